/**
 * Renders chat templates as Jinja2 does in transformers. The library's interpreter, except where it differs in silence:
 * what an iteration wrote before `break` or `continue` (the library throws it away), how values are printed (True, None,
 * lists as Python writes them), white space and the arguments of strip, the length of a text (characters, not UTF-16
 * units).
 */
import {
  Environment as UntypedEnvironment,
  Interpreter as UntypedInterpreter,
  Template,
} from '@huggingface/jinja';

/** The library's declarations import without file extensions, which TypeScript does not resolve for ES modules. */
interface Environment {
  set(name: string, value: unknown): unknown;
}
interface Node {
  type: string;
  [part: string]: unknown;
}
interface Value {
  type: string;
  value: unknown;
  toString(): string;
}
interface Interpreter {
  run(program: Node): Value;
  evaluate(node: Node | undefined, environment: Environment): Value;
  evaluateBlock(nodes: readonly Node[], environment: Environment): Value;
  evaluateFor(node: Node, environment: Environment): Value;
}
const Environment = UntypedEnvironment as unknown as new () => Environment;
const Interpreter = UntypedInterpreter as unknown as new (environment: Environment) => Interpreter;
const parse = (source: string): Node => (new Template(source) as unknown as { parsed: Node }).parsed;

/**
 * @param variables plain values and functions that the template may use
 * @throws Error what is wrong with the template, or what it says about the variables (`raise_exception`)
 */
export function renderTemplate(source: string, variables: Readonly<Record<string, unknown>>): string {
  const environment = new Environment();
  const all = { ...globals, ...variables };
  for (const [name, value] of Object.entries(all)) environment.set(name, value);
  return new ChatInterpreter(environment).run(parse(source)).value as string;
}

const globals = {
  ...{ true: true, false: false, none: null, True: true, False: false, None: null },
  raise_exception: (message: unknown): never => {
    throw new Error(String(message));
  },
  range: (first: number, end?: number, step = 1): number[] => {
    const [from, to] = end === undefined ? [0, first] : [first, end];
    const length = Math.max(0, Math.ceil((to - from) / step));
    if (!(length <= largestRange))
      throw new Error(`range() of ${length} numbers; at most ${largestRange} are given.`);
    return Array.from({ length }, (_, index) => from + index * step);
  },
};

/** As in Jinja2's sandbox. */
const largestRange = 100_000;
/** Characters of a text, and items of a list, that a template makes. */
const largestValue = 4_000_000;

class ChatInterpreter extends Interpreter {
  /** What `break` and `continue` throw. */
  readonly #leaving = new WeakSet();
  /** By the blocks of loops that are running: what iterations wrote that were left, until it is put in place. */
  readonly #written = new Map<unknown, { text: string }>();

  override evaluateFor(node: Node, environment: Environment): Value {
    const before = this.#written.get(node['body']);
    const written = { text: '' };
    for (const block of [node['body'], node['defaultBlock']]) this.#written.set(block, written);
    try {
      const result = super.evaluateFor(node, environment);
      return this.#text(`${String(result.value)}${written.text}`, environment);
    } finally {
      // A macro that calls itself runs the same loop within the loop.
      for (const block of [node['body'], node['defaultBlock']]) {
        if (before) this.#written.set(block, before);
        else this.#written.delete(block);
      }
    }
  }

  override evaluateBlock(nodes: readonly Node[], environment: Environment): Value {
    const loop = this.#written.get(nodes);
    let text = loop?.text ?? '';
    if (loop) loop.text = '';
    for (const node of nodes) {
      try {
        text += printed(node, this.evaluate(node, environment));
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        if (node.type === 'Break' || node.type === 'Continue') this.#leaving.add(error);
        if (!this.#leaving.has(error)) throw error;
        // The text travels with what is thrown up to the loop's own block.
        const all = text + error.message;
        error.message = loop ? '' : all;
        if (loop) loop.text = all;
        throw error;
      }
    }
    return this.#text(text, environment);
  }

  /** A value that doubles at every step fills the memory long before its time is over. */
  override evaluate(node: Node | undefined, environment: Environment): Value {
    const value = this.#evaluate(node, environment);
    const made = value.value;
    if ((typeof made === 'string' || Array.isArray(made)) && made.length > largestValue) {
      throw new Error(`it makes a text or list of more than ${largestValue} parts`);
    }
    return value;
  }

  #evaluate(node: Node | undefined, environment: Environment): Value {
    const call = node && textCall(node);
    if (!call) return super.evaluate(node, environment);
    const value = this.evaluate(call.object, environment);
    const given = call.argument && this.evaluate(call.argument, environment);
    if (call.name === 'length') {
      return super.evaluate({ type: 'IntegerLiteral', value: lengthOf(value) }, environment);
    }
    const isFilter = node.type === 'FilterExpression';
    if ((value.type !== 'StringValue' && !isFilter) || (given && given.type !== 'StringValue')) {
      throw new Error(`${call.name}() takes texts, not ${value.type} and ${given?.type ?? 'nothing'}`);
    }
    const text = value.type === 'StringValue' ? (value.value as string) : python(value);
    return this.#text(strip(text, call.name, given?.value as string | undefined), environment);
  }

  #text(value: string, environment: Environment): Value {
    return super.evaluate({ type: 'StringLiteral', value }, environment);
  }
}

interface TextCall {
  object: Node;
  name: 'strip' | 'lstrip' | 'rstrip' | 'length';
  argument?: Node;
}

const textFilters: ReadonlyMap<string, TextCall['name']> = new Map([
  ['trim', 'strip'],
  ['length', 'length'],
  ['count', 'length'],
]);

/** `text.strip()`, `text.lstrip('x')`, `text|trim`, `text|length`, … */
function textCall(node: Node): TextCall | undefined {
  if (node.type === 'FilterExpression') {
    const filter = node['filter'] as Node;
    const name = filter.type === 'Identifier' ? textFilters.get(String(filter['value'])) : undefined;
    return name && { object: node['operand'] as Node, name };
  }
  if (node.type !== 'CallExpression') return undefined;
  const { type, object, property, computed } = node['callee'] as Node;
  const [argument, ...more] = node['args'] as Node[];
  if (type !== 'MemberExpression' || computed === true || more.length > 0) return undefined;
  const name = (property as Node)['value'];
  if (name !== 'strip' && name !== 'lstrip' && name !== 'rstrip') return undefined;
  return { object: object as Node, name, ...(argument && { argument }) };
}

function lengthOf({ type, value }: Value): number {
  if (typeof value === 'string') return Array.from(value).length;
  if (Array.isArray(value)) return value.length;
  if (value instanceof Map) return value.size;
  if (type === 'UndefinedValue') return 0;
  throw new Error(`${type} has no length`);
}

// eslint-disable-next-line no-control-regex
const pythonSpace = /[\p{White_Space}\u001c-\u001f]/u;

/** Python's str.strip: white space, or any of the characters given. */
function strip(text: string, name: 'strip' | 'lstrip' | 'rstrip', characters?: string): string {
  const set = characters === undefined ? undefined : new Set(characters);
  const goes = (character: string | undefined): boolean =>
    character !== undefined && (set?.has(character) ?? pythonSpace.test(character));
  const all = Array.from(text);
  let start = 0;
  let end = all.length;
  if (name !== 'rstrip') while (start < end && goes(all[start])) start++;
  if (name !== 'lstrip') while (end > start && goes(all[end - 1])) end--;
  return all.slice(start, end).join('');
}

/** Statements that print nothing although they have a value for the interpreter. */
const silent = new Set(['Set', 'Macro', 'Comment']);

function printed(node: Node, value: Value): string {
  return silent.has(node.type) ? '' : value.type === 'StringValue' ? (value.value as string) : python(value);
}

/** Python's repr, as far as templates can tell. */
function python(value: Value): string {
  switch (value.type) {
    case 'UndefinedValue':
      return '';
    case 'NullValue':
      return 'None';
    case 'BooleanValue':
      return value.value === true ? 'True' : 'False';
    case 'StringValue':
      return pythonText(value.value as string);
    case 'ArrayValue':
      return `[${(value.value as Value[]).map(python).join(', ')}]`;
    case 'TupleValue': {
      const items = (value.value as Value[]).map(python);
      return `(${items.join(', ')}${items.length === 1 ? ',' : ''})`;
    }
    case 'ObjectValue': {
      const entries = [...(value.value as Map<string, Value>)];
      return `{${entries.map(([key, item]) => `${pythonText(key)}: ${python(item)}`).join(', ')}}`;
    }
    default:
      return value.toString();
  }
}

function pythonText(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named: Record<string, string> = {
    '\\': '\\\\',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    [quote]: `\\${quote}`,
  };
  // eslint-disable-next-line no-control-regex
  const inner = text.replaceAll(/[\\\n\r\t'"\u0000-\u001f\u007f-\u00a0]/g, (character) => {
    const code = character.charCodeAt(0);
    const hidden = code < 0x20 || code >= 0x7f;
    return named[character] ?? (hidden ? `\\x${code.toString(16).padStart(2, '0')}` : character);
  });
  return `${quote}${inner}${quote}`;
}
