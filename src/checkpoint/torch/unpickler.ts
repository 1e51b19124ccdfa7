import { PickleReader } from './pickleReader.ts';
import { PickleError, PickleMap, PickleTuple, TorchTensor } from './pickleValues.ts';
import type { PickleValue, TorchStorage } from './pickleValues.ts';
import { callGlobal, resolveGlobal, resolvePersistentId } from './torchGlobals.ts';

/** Bounds far above what real files need; they keep hostile ones cheap. */
const maximumOperations = 2_000_000;
const maximumStack = 100_000;

/**
 * Runs one pickle (protocols 0 to 5) of a torch file. Only the names of torchGlobals.ts exist, and they make
 * nothing but data: no class is looked up, no attribute set, no code run.
 *
 * The machine is described in Python's Lib/pickletools.py.
 *
 * @param onStorage called for every reference to a storage
 * @returns the value and the position behind the pickle
 * @throws PickleError for anything broken, hostile or not supported
 */
export function unpickle(
  bytes: Uint8Array,
  start = 0,
  onStorage?: (storage: TorchStorage) => void,
): { value: PickleValue; end: number } {
  const machine = new Unpickler(new PickleReader(bytes, start), onStorage);
  return { value: machine.run(), end: machine.position };
}

class Unpickler {
  readonly #reader: PickleReader;
  readonly #onStorage: ((storage: TorchStorage) => void) | undefined;
  #stack: PickleValue[] = [];
  readonly #marks: PickleValue[][] = [];
  readonly #memo = new Map<number, PickleValue>();

  constructor(reader: PickleReader, onStorage?: (storage: TorchStorage) => void) {
    this.#reader = reader;
    this.#onStorage = onStorage;
  }

  get position(): number {
    return this.#reader.position;
  }

  run(): PickleValue {
    for (let count = 0; count < maximumOperations; count++) {
      const code = this.#reader.uint8();
      if (code === 0x2e /* STOP */) {
        if (this.#stack.length !== 1 || this.#marks.length !== 0) {
          throw new PickleError('its pickle ends with values left over.');
        }
        return this.#pop();
      }
      this.#step(code);
      // Marks hold the stacks below them, so the sum bounds memory.
      if (this.#stack.length > maximumStack || this.#marks.length > maximumStack) {
        throw new PickleError('its pickle nests or lists more values than any file of tensors.');
      }
    }
    throw new PickleError('its pickle is longer than that of any file of tensors.');
  }

  #step(code: number): void {
    const reader = this.#reader;
    switch (String.fromCharCode(code)) {
      // Structure
      case '\x80': {
        // PROTO
        this.#protocol(reader.uint8());
        return;
      }
      case '\x95': // FRAME: a hint for buffering
        reader.length64();
        return;
      case '(': // MARK
        this.#marks.push(this.#stack);
        this.#stack = [];
        return;
      case '0': // POP
        if (this.#stack.length === 0) this.#popMark();
        else this.#pop();
        return;
      case '1': // POP_MARK
        this.#popMark();
        return;
      case '2': {
        // DUP
        this.#push(this.#top());
        return;
      }
      // Constants
      case 'N': {
        this.#push(null);
        return;
      }
      case '\x88': {
        this.#push(true);
        return;
      }
      case '\x89': {
        this.#push(false);
        return;
      }
      case 'K': {
        this.#push(reader.uint8());
        return;
      }
      case 'M': {
        this.#push(reader.uint16());
        return;
      }
      case 'J': {
        this.#push(reader.int32());
        return;
      }
      case '\x8a': {
        // LONG1
        this.#push(reader.integer(reader.uint8()));
        return;
      }
      case '\x8b': {
        // LONG4
        this.#push(reader.integer(reader.uint32()));
        return;
      }
      case 'I':
      case 'L': {
        this.#push(reader.decimal());
        return;
      }
      case 'F': {
        this.#push(Number(reader.line()));
        return;
      }
      case 'G': {
        this.#push(reader.float64());
        return;
      }
      // Texts and bytes
      case 'S': {
        this.#push(reader.line().slice(1, -1));
        return;
      }
      case 'V': {
        this.#push(reader.line());
        return;
      }
      case 'U': // SHORT_BINSTRING: Python 2's str, text in torch files
      case '\x8c': {
        this.#push(reader.text(reader.uint8()));
        return;
      }
      case 'T':
      case 'X': {
        this.#push(reader.text(reader.uint32()));
        return;
      }
      case '\x8d': {
        this.#push(reader.text(reader.length64()));
        return;
      }
      case 'C': {
        this.#push(reader.bytes(reader.uint8()));
        return;
      }
      case 'B': {
        this.#push(reader.bytes(reader.uint32()));
        return;
      }
      case '\x8e': // BINBYTES8
      case '\x96': {
        // BYTEARRAY8
        this.#push(reader.bytes(reader.length64()));
        return;
      }
      // Containers
      case ')': {
        this.#push(new PickleTuple([]));
        return;
      }
      case '\x85': {
        this.#push(new PickleTuple(this.#popMany(1)));
        return;
      }
      case '\x86': {
        this.#push(new PickleTuple(this.#popMany(2)));
        return;
      }
      case '\x87': {
        this.#push(new PickleTuple(this.#popMany(3)));
        return;
      }
      case 't':
      case '\x91': {
        // FROZENSET
        this.#push(new PickleTuple(this.#popMark()));
        return;
      }
      case ']':
      case '\x8f': {
        // EMPTY_SET: kept as a list
        this.#push([]);
        return;
      }
      case 'l': {
        this.#push(this.#popMark());
        return;
      }
      case '}': {
        this.#push(new PickleMap());
        return;
      }
      case 'd': {
        this.#push(setItems(new PickleMap(), this.#popMark()));
        return;
      }
      case 'a': {
        const item = this.#pop();
        this.#extend([item]);
        return;
      }
      case 'e':
      case '\x90': {
        // ADDITEMS
        this.#extend(this.#popMark());
        return;
      }
      case 's': {
        const items = this.#popMany(2);
        setItems(this.#top(), items);
        return;
      }
      case 'u': {
        const items = this.#popMark();
        setItems(this.#top(), items);
        return;
      }
      default: {
        this.#memoOrObject(String.fromCharCode(code));
        return;
      }
    }
  }

  #memoOrObject(code: string): void {
    const reader = this.#reader;
    switch (code) {
      // Memo
      case 'p': {
        this.#remember(Number(reader.decimal()));
        return;
      }
      case 'q': {
        this.#remember(reader.uint8());
        return;
      }
      case 'r': {
        this.#remember(reader.uint32());
        return;
      }
      case '\x94': {
        // MEMOIZE
        this.#remember(this.#memo.size);
        return;
      }
      case 'g': {
        this.#recall(Number(reader.decimal()));
        return;
      }
      case 'h': {
        this.#recall(reader.uint8());
        return;
      }
      case 'j': {
        this.#recall(reader.uint32());
        return;
      }
      // Names, calls and objects
      case 'c': {
        const module = reader.line();
        this.#push(resolveGlobal(module, reader.line()));
        return;
      }
      case '\x93': {
        const [module, name] = this.#popMany(2);
        if (typeof module !== 'string' || typeof name !== 'string') {
          throw new PickleError('it asks for a name that is not text.');
        }
        this.#push(resolveGlobal(module, name));
        return;
      }
      case 'i': {
        // INST
        const module = reader.line();
        const callee = resolveGlobal(module, reader.line());
        this.#push(callGlobal(callee, new PickleTuple(this.#popMark())));
        return;
      }
      case 'o': {
        // OBJ
        const [callee = null, ...args] = this.#popMark();
        this.#push(callGlobal(callee, new PickleTuple(args)));
        return;
      }
      case 'R': // REDUCE
      case '\x81': {
        // NEWOBJ
        const [callee, args] = this.#popMany(2) as [PickleValue, PickleValue];
        this.#push(callGlobal(callee, args));
        return;
      }
      case 'b': {
        // BUILD: the state of dicts (_metadata) and tensors says nothing about the numbers; others have none.
        this.#pop();
        const target = this.#top();
        if (!(target instanceof PickleMap) && !(target instanceof TorchTensor)) {
          throw new PickleError('it sets the state of an object that is neither a dict nor a tensor.');
        }
        return;
      }
      case 'Q': {
        const storage = resolvePersistentId(this.#pop());
        this.#onStorage?.(storage);
        this.#push(storage);
        return;
      }
      default:
        throw new PickleError(
          `it is not a torch file, or a broken one (operation 0x${code.charCodeAt(0).toString(16)} at byte ` +
            `${this.#reader.position - 1} of its pickle is unknown or not allowed).`,
        );
    }
  }

  #protocol(version: number): void {
    if (version > 5) throw new PickleError(`its pickle has the unknown protocol ${version}.`);
  }

  #push(value: PickleValue): void {
    this.#stack.push(value);
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined)
      throw new PickleError('its pickle is broken (it takes a value where there is none).');
    return value;
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined)
      throw new PickleError('its pickle is broken (it uses a value where there is none).');
    return value;
  }

  #popMany(count: number): PickleValue[] {
    if (this.#stack.length < count)
      throw new PickleError('its pickle is broken (it takes a value where there is none).');
    return this.#stack.splice(this.#stack.length - count);
  }

  #popMark(): PickleValue[] {
    const above = this.#stack;
    const below = this.#marks.pop();
    if (!below) throw new PickleError('its pickle is broken (it closes a list that was not opened).');
    this.#stack = below;
    return above;
  }

  #extend(items: readonly PickleValue[]): void {
    const list = this.#top();
    if (!Array.isArray(list))
      throw new PickleError('its pickle is broken (it appends to what is not a list).');
    for (const item of items) list.push(item);
  }

  #remember(index: number): void {
    this.#memo.set(index, this.#top());
  }

  #recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined)
      throw new PickleError('its pickle is broken (it recalls a value it never stored).');
    this.#push(value);
  }
}

function setItems(target: PickleValue, items: readonly PickleValue[]): PickleMap {
  if (!(target instanceof PickleMap) || items.length % 2 !== 0) {
    throw new PickleError('its pickle is broken (it sets entries of what is not a dict).');
  }
  for (let i = 0; i < items.length; i += 2) target.set(items[i]!, items[i + 1]!);
  return target;
}
