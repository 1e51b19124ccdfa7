import assert from 'node:assert/strict';
import { PickleError, PickleMap, PickleTuple } from '../../../../src/checkpoint/torch/pickleValues.ts';
import type { PickleValue } from '../../../../src/checkpoint/torch/pickleValues.ts';
import { unpickle } from '../../../../src/checkpoint/torch/unpickler.ts';
import { bytes, global, integer, pickle, tensor, text, tuple } from '../../../fixtures/checkpoint/pickles.ts';

/** Plain JavaScript values of what a pickle holds. */
function plain(value: PickleValue): unknown {
  if (value instanceof PickleTuple) return { tuple: value.items.map(plain) };
  if (value instanceof PickleMap) return { dict: [...value].map(([key, item]) => [plain(key), plain(item)]) };
  if (value instanceof Uint8Array) return { bytes: [...value] };
  return Array.isArray(value) ? value.map(plain) : value;
}
const load = (data: Buffer): unknown => plain(unpickle(data).value);

describe('the restricted unpickler', () => {
  it('reads what Python’s pickle writes in every protocol', () => {
    // pickle.dumps([1, -2, 300, 70000, 2**40, True, None, 1.5, 'é', (1, 2), {'k': [3]}], protocol=N), in hexadecimal
    const expected = [
      1,
      -2,
      300,
      70000,
      2 ** 40,
      true,
      null,
      1.5,
      'é',
      { tuple: [1, 2] },
      { dict: [['k', [3]]] },
    ];
    for (const [protocol, hex] of pythonPickles.entries()) {
      assert.deepEqual(load(Buffer.from(hex, 'hex')), expected, `protocol ${protocol}`);
    }
  });

  it('reads bytes, sets and large integers', () => {
    assert.deepEqual(load(pickle('C', 2, 'ab')), { bytes: [97, 98] });
    assert.deepEqual(load(pickle(0x8f, '(', 'K', 1, 'K', 2, 0x90)), [1, 2]);
    assert.equal(load(pickle(integer(2n ** 62n))), 2n ** 62n);
    assert.equal(load(pickle(integer(-1n))), -1);
    assert.equal(load(pickle(integer(-(2n ** 53n)))), -(2n ** 53n));
    assert.equal(load(bytes('I01\n.')), true);
    assert.equal(load(bytes('L123456789012345678901234567890L\n.')), 123456789012345678901234567890n);
  });

  it('says where a pickle ends', () => {
    const first = pickle('K', 7);
    assert.equal(unpickle(Buffer.concat([first, pickle('N')])).end, first.length);
    assert.equal(unpickle(Buffer.concat([first, pickle('N')]), first.length).value, null);
  });

  it('keeps references: a list may hold itself', () => {
    const { value } = unpickle(pickle(']q', 0, 'h', 0, 'a'));
    assert.ok(Array.isArray(value) && value[0] === value);
  });

  const run = 'it asks for';
  const hostile: [string, Buffer, RegExp][] = [
    ['os.system by REDUCE', pickle(global('os', 'system'), tuple(text('id')), 'R'), /asks for os\.system/],
    ['a builtin', pickle(global('builtins', 'eval'), tuple(text('1')), 'R'), /asks for builtins\.eval/],
    ['a name by STACK_GLOBAL', pickle(text('os'), text('system'), 0x93), /asks for os\.system/],
    ['a name by INST', pickle('(', text('id'), 'ios\nsystem\n'), /asks for os\.system/],
    ['a name by OBJ', pickle('(', global('os', 'system'), text('id'), 'o'), /asks for os\.system/],
    ['an object by NEWOBJ', pickle(global('subprocess', 'Popen'), ')', 0x81), /asks for subprocess\.Popen/],
    ['torch.load', pickle(global('torch', 'load'), tuple(text('x')), 'R'), /asks for torch\.load/],
    ['torch.hub', pickle(global('torch.hub', 'load'), ')R'), /asks for torch\.hub\.load/],
    ['a name inside a name', pickle(global('torch', 'os.system'), ')R'), /asks for torch\.os\.system/],
    ['a property of objects', pickle(global('toString', 'constructor'), ')R'), new RegExp(run)],
    ['a prototype', pickle(global('', '__proto__'), ')R'), new RegExp(run)],
    [
      'a name with control characters',
      pickle(global('os\u001b[31m', 'system')),
      /asks for os\?\[31m\.system/,
    ],
    ['an extension code', pickle(0x82, 1), /operation 0x82/],
    ['a textual persistent id', pickle('P../../x\n'), /operation 0x50/],
    ['an out-of-band buffer', pickle(0x97), /operation 0x97/],
    ['keyword arguments', pickle(global('collections', 'OrderedDict'), ')}', 0x92), /operation 0x92/],
    ['a call of a storage type', pickle(global('torch', 'FloatStorage'), ')R'), /calls torch\.FloatStorage/],
    ['a call of a text', pickle(text('os.system'), ')R'), /calls the text os\.system/],
    ['a state for a list', pickle(']}b'), /neither a dict nor a tensor/],
    ['another persistent object', pickle(tuple(text('module'), text('x')), 'Q'), /not a tensor storage/],
    [
      'arguments for OrderedDict',
      pickle(global('collections', 'OrderedDict'), tuple(bytes(']')), 'R'),
      /OrderedDict/,
    ],
    ['a chain of rebuilds', pickle(rebuildFromType(rebuildFromType(tensor()))), /not a tensor/],
  ];
  for (const [what, data, message] of hostile) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => unpickle(data),
        (error: unknown) => {
          assert.ok(error instanceof PickleError, String(error));
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  const broken: [string, Buffer, RegExp][] = [
    ['nothing', Buffer.alloc(0), /ends in the middle/],
    ['a pickle without an end', bytes(0x80, 2, 'N'), /ends in the middle/],
    ['a value too many', pickle('NN'), /values left over/],
    ['no value', pickle(), /left over or none/],
    ['an open mark', pickle('(N'), /values left over/],
    ['an empty stack', pickle('a'), /a value where there is none/],
    ['a tuple of too few', pickle('N', 0x86), /a value where there is none/],
    ['a list that was not opened', pickle('t'), /not opened/],
    ['an unknown memo', pickle('h', 3), /never stored/],
    ['a dict with half an entry', pickle('}(Nu'), /not a dict/],
    ['a text that lies about its length', pickle('X', 0xff, 0xff, 0xff, 0x7f, 'ab'), /ends in the middle/],
    ['a text of 2^63 bytes', pickle(0x8d, ...Array<number>(7).fill(0), 0x80, 'a'), /ends in the middle/],
    ['an integer of 2^31 bytes', pickle(0x8b, 0, 0, 0, 0x80), /an integer of 2147483648 bytes/],
    ['an unknown protocol', bytes(0x80, 9, 'N.'), /unknown protocol 9/],
    ['a line without an end', pickle('c', 'x'.repeat(10_000)), /no valid pickle/],
    ['words for a number', pickle('Iabc\n'), /an integer that is none/],
  ];
  for (const [what, data, message] of broken) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => unpickle(data),
        (error: unknown) => {
          assert.ok(error instanceof PickleError, String(error));
          assert.match(error.message, message);
          return true;
        },
      );
    });
  }

  it('stops at absurd nesting and length', () => {
    assert.throws(() => unpickle(pickle(']'.repeat(200_000))), /nests or lists more values/);
    assert.throws(() => unpickle(pickle('('.repeat(200_000))), /nests or lists more values/);
    assert.throws(() => unpickle(pickle('N0'.repeat(1_500_000))), /longer than that of any file/);
  });

  it('holds a billion laughs as the few lists they are', () => {
    let program = bytes(']q', 0);
    for (let i = 1; i < 40; i++)
      program = bytes(program, ']', '(', ...Array<Buffer>(10).fill(bytes('h', i - 1)), 'eq', i);
    const { value } = unpickle(pickle('(', program, 'l'));
    assert.ok(Array.isArray(value) && value.length === 40);
  });
});

function rebuildFromType(inner: Buffer): Buffer {
  return bytes(
    global('torch._tensor', '_rebuild_from_type_v2'),
    tuple(global('torch._tensor', '_rebuild_from_type_v2'), global('torch', 'Tensor'), inner, bytes('}')),
    'R',
  );
}

const pythonPickles = [
  '286c70300a49310a61492d320a61493330300a614937303030300a614c313039393531313632373737364c0a614930310a614e6146312e350a6156e90a70310a612849310a49320a7470320a61286470330a566b0a70340a286c70350a49330a6173612e',
  '5d7100284b014afeffffff4d2c014a701101004c313039393531313632373737364c0a4930310a4e473ff80000000000005802000000c3a97101284b014b027471027d710358010000006b71045d71054b036173652e',
  '80025d7100284b014afeffffff4d2c014a701101008a06000000000001884e473ff80000000000005802000000c3a971014b014b028671027d710358010000006b71045d71054b036173652e',
  '80035d7100284b014afeffffff4d2c014a701101008a06000000000001884e473ff80000000000005802000000c3a971014b014b028671027d710358010000006b71045d71054b036173652e',
  '8004953e000000000000005d94284b014afeffffff4d2c014a701101008a06000000000001884e473ff80000000000008c02c3a9944b014b0286947d948c016b945d944b036173652e',
  '8005953e000000000000005d94284b014afeffffff4d2c014a701101008a06000000000001884e473ff80000000000008c02c3a9944b014b0286947d948c016b945d944b036173652e',
];
