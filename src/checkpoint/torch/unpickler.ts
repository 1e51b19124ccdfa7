import { PickleReader } from './pickleReader.ts';
import { PickleStack } from './pickleStack.ts';
import { PickleError, PickleMap, PickleTuple, TorchTensor } from './pickleValues.ts';
import type { PickleValue, TorchStorage } from './pickleValues.ts';
import { callGlobal, resolveGlobal, resolvePersistentId } from './torchGlobals.ts';

/** Bound far above what real files need; it keeps hostile ones cheap. */
const maximumOperations = 2_000_000;

const stop = 0x2e; // '.'

type OnStorage = (storage: TorchStorage) => void;
type Operation = (stack: PickleStack, reader: PickleReader, onStorage: OnStorage | undefined) => void;

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
  onStorage?: OnStorage,
): { value: PickleValue; end: number } {
  const reader = new PickleReader(bytes, start);
  const stack = new PickleStack();
  for (let count = 0; count < maximumOperations; count++) {
    const code = reader.uint8();
    if (code === stop) {
      if (!stack.isFinished) throw new PickleError('its pickle ends with values left over or none at all.');
      return { value: stack.pop(), end: reader.position };
    }
    const operation = operations.get(code);
    if (!operation) {
      throw new PickleError(
        `it is not a torch file, or a broken one (operation 0x${code.toString(16)} at byte ` +
          `${reader.position - 1} of its pickle is unknown or not allowed).`,
      );
    }
    operation(stack, reader, onStorage);
  }
  throw new PickleError('its pickle is longer than that of any file of tensors.');
}

/** By the operation's byte. Extension codes, textual persistent ids and out-of-band buffers do not exist here. */
const operations: ReadonlyMap<number, Operation> = new Map(
  Object.entries<Operation>({
    // Structure
    '\x80': (_, reader) => checkProtocol(reader.uint8()), // PROTO
    '\x95': (_, reader) => void reader.length64(), // FRAME: a hint for buffering
    '(': (stack) => stack.mark(), // MARK
    0: (stack) => stack.drop(), // POP
    1: (stack) => void stack.popMark(), // POP_MARK
    2: (stack) => stack.push(stack.top()), // DUP

    // Constants and numbers
    N: (stack) => stack.push(null), // NONE
    '\x88': (stack) => stack.push(true), // NEWTRUE
    '\x89': (stack) => stack.push(false), // NEWFALSE
    K: (stack, reader) => stack.push(reader.uint8()), // BININT1
    M: (stack, reader) => stack.push(reader.uint16()), // BININT2
    J: (stack, reader) => stack.push(reader.int32()), // BININT
    '\x8a': (stack, reader) => stack.push(reader.integer(reader.uint8())), // LONG1
    '\x8b': (stack, reader) => stack.push(reader.integer(reader.uint32())), // LONG4
    I: (stack, reader) => stack.push(reader.decimal()), // INT
    L: (stack, reader) => stack.push(reader.decimal()), // LONG
    F: (stack, reader) => stack.push(Number(reader.line())), // FLOAT
    G: (stack, reader) => stack.push(reader.float64()), // BINFLOAT

    // Texts (Python 2's byte strings among them: torch files hold names in them) and bytes
    S: (stack, reader) => stack.push(reader.line().slice(1, -1)), // STRING
    V: (stack, reader) => stack.push(reader.escapedLine()), // UNICODE
    U: (stack, reader) => stack.push(reader.text(reader.uint8())), // SHORT_BINSTRING
    T: (stack, reader) => stack.push(reader.text(reader.uint32())), // BINSTRING
    X: (stack, reader) => stack.push(reader.text(reader.uint32())), // BINUNICODE
    '\x8c': (stack, reader) => stack.push(reader.text(reader.uint8())), // SHORT_BINUNICODE
    '\x8d': (stack, reader) => stack.push(reader.text(reader.length64())), // BINUNICODE8
    C: (stack, reader) => stack.push(reader.bytes(reader.uint8())), // SHORT_BINBYTES
    B: (stack, reader) => stack.push(reader.bytes(reader.uint32())), // BINBYTES
    '\x8e': (stack, reader) => stack.push(reader.bytes(reader.length64())), // BINBYTES8
    '\x96': (stack, reader) => stack.push(reader.bytes(reader.length64())), // BYTEARRAY8

    // Containers; sets are kept as lists
    ')': (stack) => stack.push(new PickleTuple([])), // EMPTY_TUPLE
    '\x85': (stack) => stack.push(new PickleTuple(stack.popMany(1))), // TUPLE1
    '\x86': (stack) => stack.push(new PickleTuple(stack.popMany(2))), // TUPLE2
    '\x87': (stack) => stack.push(new PickleTuple(stack.popMany(3))), // TUPLE3
    t: (stack) => stack.push(new PickleTuple(stack.popMark())), // TUPLE
    '\x91': (stack) => stack.push(new PickleTuple(stack.popMark())), // FROZENSET
    ']': (stack) => stack.push([]), // EMPTY_LIST
    '\x8f': (stack) => stack.push([]), // EMPTY_SET
    l: (stack) => stack.push(stack.popMark()), // LIST
    '}': (stack) => stack.push(new PickleMap()), // EMPTY_DICT
    d: (stack) => makeDict(stack, stack.popMark()), // DICT
    a: (stack) => stack.extend([stack.pop()]), // APPEND
    e: (stack) => stack.extend(stack.popMark()), // APPENDS
    '\x90': (stack) => stack.extend(stack.popMark()), // ADDITEMS
    s: (stack) => stack.setItems(stack.popMany(2)), // SETITEM
    u: (stack) => stack.setItems(stack.popMark()), // SETITEMS

    // Memo
    p: (stack, reader) => stack.remember(Number(reader.decimal())), // PUT
    q: (stack, reader) => stack.remember(reader.uint8()), // BINPUT
    r: (stack, reader) => stack.remember(reader.uint32()), // LONG_BINPUT
    '\x94': (stack) => stack.remember(stack.memoSize), // MEMOIZE
    g: (stack, reader) => stack.recall(Number(reader.decimal())), // GET
    h: (stack, reader) => stack.recall(reader.uint8()), // BINGET
    j: (stack, reader) => stack.recall(reader.uint32()), // LONG_BINGET

    // Names, calls and objects
    c: (stack, reader) => stack.push(resolveGlobal(reader.line(), reader.line())), // GLOBAL
    '\x93': (stack) => stack.push(stackGlobal(stack.popMany(2))), // STACK_GLOBAL
    R: (stack) => call(stack, stack.popMany(2)), // REDUCE
    '\x81': (stack) => call(stack, stack.popMany(2)), // NEWOBJ
    i: (stack, reader) => {
      // INST
      const callee = resolveGlobal(reader.line(), reader.line());
      call(stack, [callee, new PickleTuple(stack.popMark())]);
    },
    o: (stack) => {
      // OBJ
      const [callee, ...args] = stack.popMark();
      call(stack, [callee ?? null, new PickleTuple(args)]);
    },
    b: (stack) => dropState(stack), // BUILD
    Q: (stack, _, onStorage) => {
      // BINPERSID
      const storage = resolvePersistentId(stack.pop());
      onStorage?.(storage);
      stack.push(storage);
    },
  }).map(([character, operation]) => [character.charCodeAt(0), operation]),
);

function checkProtocol(version: number): void {
  if (version > 5) throw new PickleError(`its pickle has the unknown protocol ${version}.`);
}

function stackGlobal([module, name]: readonly PickleValue[]): PickleValue {
  if (typeof module !== 'string' || typeof name !== 'string') {
    throw new PickleError('it asks for a name that is not text.');
  }
  return resolveGlobal(module, name);
}

function makeDict(stack: PickleStack, items: readonly PickleValue[]): void {
  stack.push(new PickleMap());
  stack.setItems(items);
}

function call(stack: PickleStack, calleeAndArguments: readonly PickleValue[]): void {
  const [callee = null, args = null] = calleeAndArguments;
  stack.push(callGlobal(callee, args));
}

/** The state of dicts (_metadata) and tensors says nothing about the numbers; other objects have none. */
function dropState(stack: PickleStack): void {
  stack.pop();
  const target = stack.top();
  if (!(target instanceof PickleMap) && !(target instanceof TorchTensor)) {
    throw new PickleError('it sets the state of an object that is neither a dict nor a tensor.');
  }
}
