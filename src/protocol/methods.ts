/**
 * The methods: every way to put a question to the model, as a table. Ids, help, columns, labels, the manifest's pattern
 * and reports derive from it. How a method's prompt is made is one file of src/methods, by its template.
 */

export interface Method {
  /** In lists of methods. */
  readonly title: string;
  /** Above its answer, if not the title; `{number}` is the variant's number. */
  readonly label?: string;
  /** What is in the prompt, in one sentence. */
  readonly description: string;
  /** Which file of src/methods makes the prompt. */
  readonly template: 'completion' | 'instruction' | 'conversation' | 'parametric' | 'contrast';
  readonly showsPassages: boolean;
  /** Takes virtual tokens, so it needs an embedding file; the variant's number is how many: k. */
  readonly rows: boolean;
  /** Whose merged adapters the model carries. */
  readonly adapter?: AdapterKind;
  /** Takes a number that is not k, and this is its default. */
  readonly strength?: number;
  /** In lists of columns: the same with a number of its own, not the slider's. */
  readonly fixed?: ColumnText;
  /** The same with the embedding file and the k that are chosen now, whatever is chosen later. */
  readonly pinned?: ColumnText;
}

interface ColumnText {
  readonly title: string;
  readonly description: string;
}

export type AdapterKind = 'passages' | 'unrelated';

const plain = { showsPassages: true, rows: false } as const;

export const methods = {
  'no-rag': {
    ...plain,
    title: 'No retrieval',
    description: 'The question alone.',
    template: 'completion',
    showsPassages: false,
  },
  baseline: {
    ...plain,
    title: 'Baseline',
    description: 'The ticked passages, then the question.',
    template: 'completion',
  },
  prompt: {
    ...plain,
    title: 'Instruction prompt',
    description: 'The baseline with the instruction that the authors wrote by hand.',
    template: 'instruction',
  },
  chat: {
    ...plain,
    title: 'Chat prompt',
    description:
      'The instruction prompt in the model’s own chat template: the fair baseline of a chat model.',
    template: 'conversation',
  },
  cad: {
    ...plain,
    title: 'Context-aware decoding',
    label: 'Context-aware decoding a={number}',
    description: 'The baseline, its words weighed against those the model would say without the passages.',
    template: 'contrast',
    strength: 0.5,
  },
  spring: {
    title: 'SPRING, k of the slider',
    label: 'SPRING k={number}',
    description: 'As many virtual tokens as the slider says between passages and question.',
    template: 'completion',
    showsPassages: true,
    rows: true,
    fixed: {
      title: 'SPRING at a fixed k',
      description: 'So many virtual tokens, wherever the slider stands.',
    },
    pinned: {
      title: 'SPRING with this file and k',
      description: 'Keeps the embedding file and the k of now, so that two files can stand side by side.',
    },
  },
  prag: {
    ...plain,
    title: 'Parametric RAG',
    description: 'The question alone, to the model with the adapters of the ticked passages.',
    template: 'parametric',
    showsPassages: false,
    adapter: 'passages',
  },
  'prag+rag': {
    ...plain,
    title: 'Parametric RAG + passages',
    description: 'The passages in the prompt and as adapters.',
    template: 'parametric',
    adapter: 'passages',
  },
  'spring+prag': {
    title: 'SPRING + Parametric RAG',
    label: 'SPRING k={number} + Parametric RAG',
    description: 'Virtual tokens, as many as the slider says, and the adapters of the passages.',
    template: 'completion',
    showsPassages: true,
    rows: true,
    adapter: 'passages',
  },
  icl: {
    ...plain,
    title: 'Standard RAG (PRAG prompt)',
    description: 'For comparison: the passages in the prompt that Parametric RAG uses, no adapters.',
    template: 'parametric',
  },
  placebo: {
    ...plain,
    title: 'Placebo adapters',
    description: 'For comparison: the adapters of unrelated passages, the same ones for every question.',
    template: 'parametric',
    showsPassages: false,
    adapter: 'unrelated',
  },
} as const satisfies Record<string, Method>;

export type MethodName = keyof typeof methods;

export const methodNames = Object.keys(methods) as MethodName[];

/** With which the others are compared, and what is asked where nothing is chosen. */
export const referenceMethod: MethodName = 'baseline';
/** What an embedding file is used with where nothing is chosen. */
export const rowsMethod: MethodName = 'spring';
/** A new panel's columns. */
export const defaultColumns: readonly MethodName[] = ['no-rag', 'baseline', 'spring'];
/** What an evaluation compares where nothing is chosen; those with virtual tokens if there is an embedding file. */
export const defaultEvaluation: readonly MethodName[] = ['no-rag', 'baseline', 'prompt', 'spring'];

/** A method with its numbers. */
export interface Variant {
  method: MethodName;
  /** Virtual tokens; of methods with rows. */
  k?: number;
  /** Label of the embedding file; absent: the one that is chosen for all. */
  tokenFile?: string;
  /** Of methods that have one; absent: its default. */
  strength?: number;
}

/** A variant as text, see formatVariant. */
export type VariantId = string;

export function methodOf({ method }: Pick<Variant, 'method'>): Method {
  return methods[method];
}

/**
 * A variant's id: the method's name, its number behind the name's first word, and its embedding file:
 * `baseline`, `cad:0.3`, `spring:50`, `spring:50+prag`, `spring:50@tokens`.
 */
export function formatVariant({ method, k, strength, tokenFile }: Variant): VariantId {
  const [head, tail] = wordsOf(method);
  const number = k ?? strength;
  return `${head}${number === undefined ? '' : `:${number}`}${tail}${tokenFile === undefined ? '' : `@${tokenFile}`}`;
}

function wordsOf(name: MethodName): [head: string, tail: string] {
  const plus = name.indexOf('+');
  return plus === -1 ? [name, ''] : [name.slice(0, plus), name.slice(plus)];
}

const tokenFilePattern = '(@[^,@]{1,200})';

function patternOf(name: MethodName, numbers: 'optional' | 'required'): string {
  const [head, tail] = wordsOf(name).map((word) => word.replaceAll('+', '\\+')) as [string, string];
  const { rows, strength }: Method = methods[name];
  if (rows) return `${head}(:[0-9]{1,6})${numbers === 'optional' ? '?' : ''}${tail}${tokenFilePattern}?`;
  return strength === undefined ? head + tail : `${head}(:[0-9]{1,3}(\\.[0-9]{1,6})?)?${tail}`;
}

/** Matches every id. `optional`: also methods without their number of virtual tokens, such as `spring`. */
export function variantPattern(numbers: 'optional' | 'required'): string {
  return `^(${methodNames.map((name) => patternOf(name, numbers)).join('|')})$`;
}

/** Reads an id; methods with rows may come without k. Undefined: it is none. */
export function parseVariant(id: string): Variant | undefined {
  for (const method of methodNames) {
    if (!new RegExp(`^${patternOf(method, 'optional')}$`).test(id)) continue;
    const [name, tokenFile] = id.split('@') as [string, string?];
    const number = /:([0-9.]+)/.exec(name)?.[1];
    return {
      method,
      ...(number !== undefined && { [methodOf({ method }).rows ? 'k' : 'strength']: Number(number) }),
      ...(tokenFile !== undefined && { tokenFile }),
    };
  }
  return undefined;
}

/** The variant of an id that is known to be one: of a record, of a request that was checked. */
export function variantFrom(id: VariantId): Variant {
  const variant = parseVariant(id);
  if (!variant) throw new Error(`"${id}" is no variant.`);
  return variant;
}

/** A variant's name for people: `SPRING k=10`. */
export function variantLabel(variant: Variant): string {
  const { title, label = title, strength }: Method = methodOf(variant);
  const number = variant.k ?? variant.strength ?? strength ?? 0;
  const file = variant.tokenFile === undefined ? '' : `, ${variant.tokenFile}`;
  return label.replace('{number}', String(number)) + file;
}

/** The names for a help text: `baseline, cad[:X], spring[:K][@FILE]`. */
export function variantHelp(): string {
  const names = methodNames.map((name) => {
    const [head, tail] = wordsOf(name);
    const { rows, strength }: Method = methods[name];
    if (rows) return `${head}[:K]${tail}[@FILE]`;
    return strength === undefined ? name : `${head}[:X]${tail}`;
  });
  return names.join(', ');
}

/** An embedding file that variants without one of their own stand for, and the k that they stand for. */
export interface RowsAxis {
  /** Undefined: the one file of the comparison, whose label is not written into ids. */
  tokenFile?: string | undefined;
  k: readonly number[];
}

/** Variants that name no embedding file or no k, written out: one for each of those given. */
export function expandVariants(variants: readonly Variant[], axes: readonly RowsAxis[]): Variant[] {
  return variants.flatMap((variant) => {
    if (!methodOf(variant).rows) return [variant];
    const wanted = axes.filter(
      ({ tokenFile }) =>
        variant.tokenFile === undefined || tokenFile === undefined || tokenFile === variant.tokenFile,
    );
    return wanted.flatMap(({ tokenFile = variant.tokenFile, k }) =>
      (variant.k === undefined ? k : [variant.k]).map((count) => ({
        ...variant,
        k: count,
        ...(tokenFile !== undefined && { tokenFile }),
      })),
    );
  });
}
