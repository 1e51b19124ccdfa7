import assert from 'node:assert/strict';
import { endOfTurnIds, ggufTokenizerSource } from '../../../src/checkpoint/gguf/tokenizer.ts';
import { preTokenizers, splitText } from '../../../src/checkpoint/gguf/preTokenizers.ts';
import { SpelledTokens } from '../../../src/checkpoint/gguf/spelledTokens.ts';
import { Tokenizer } from '../../../src/checkpoint/tokenizer.ts';
import { byteTokens, metadataOf, type MetadataValues } from '../../support/ggufMetadata.ts';

const key = (name: string): string => `tokenizer.ggml.${name}`;

/** SentencePiece: three special tokens, the bytes, then pieces with scores; ids of pieces from 259 on. */
function sentencePiece(changes: MetadataValues = {}): MetadataValues {
  const pieces = ['▁', 'a', 'b', 'c', '▁a', 'ab', 'cab', 'bc', '▁▁', '<turn>', 'é'];
  const scores = [-1, -2, -3, -4, -0.5, -0.4, -0.9, -0.2, -0.1, 0, -5];
  return {
    [key('model')]: 'llama',
    [key('tokens')]: ['<unk>', '<s>', '</s>', ...byteTokens, ...pieces],
    [key('scores')]: Float32Array.from([0, 0, 0, ...byteTokens.map(() => 0), ...scores]),
    [key('token_type')]: Int32Array.from([
      ...[2, 3, 3, ...byteTokens.map(() => 6)],
      ...pieces.map((piece) => (piece === '<turn>' ? 4 : 1)),
    ]),
    ...changes,
  };
}

/** Byte-level: letters, a few merges, a control and a user-defined token. */
function byteLevel(changes: MetadataValues = {}): MetadataValues {
  return {
    [key('model')]: 'gpt2',
    [key('pre')]: 'smollm',
    [key('tokens')]: ['<|end|>', 'a', 'b', 'Ġ', 'ab', 'Ġa', 'Ġab', '1', '2', '12', '  ', 'Ã', '©', 'Ċ'],
    [key('token_type')]: Int32Array.of(3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 1, 1, 1),
    [key('merges')]: ['a b', 'Ġ a', 'Ġ ab', '1 2'],
    ...changes,
  };
}

function open(values: MetadataValues): Tokenizer {
  return Tokenizer.from(ggufTokenizerSource('m.gguf', metadataOf(values)));
}

function refused(values: MetadataValues, message: RegExp): void {
  assert.throws(() => open(values), { name: 'UserError', message });
}

const plain = { addSpecialTokens: false };

describe('tokenizers of GGUF files: SentencePiece', () => {
  it('merges the pair with the best score first, the left one among equals', () => {
    const tokenizer = open(sentencePiece({ [key('add_space_prefix')]: false }));
    assert.deepEqual(tokenizer.encode('abc', plain), [260, 266]); // bc (-0.2) before ab (-0.4)
    assert.deepEqual(tokenizer.encode('ab ab', plain), [264, 259, 264]); // ab (-0.4) before ▁a (-0.5)
    assert.deepEqual(tokenizer.encode('   ', plain), [267, 259]);
    assert.deepEqual(tokenizer.encode('', plain), []);
  });

  it('puts a space in front of text, at the start and behind special tokens, and takes it away again', () => {
    const tokenizer = open(sentencePiece());
    assert.deepEqual(tokenizer.encode('a', plain), [263]);
    assert.deepEqual(tokenizer.encode(' a', plain), [267, 260]);
    assert.deepEqual(tokenizer.encode('a<turn>a', plain), [263, 268, 263]);
    assert.equal(tokenizer.decode([1, 263, 261]), 'ab');
    assert.equal(tokenizer.decode([1, 267, 260]), ' a');
    assert.equal(tokenizer.decode([1, 263], { skipSpecialTokens: false }), '<s> a');
  });

  it('takes what is no token by its UTF-8 bytes, and puts bytes together again', () => {
    const tokenizer = open(sentencePiece({ [key('add_space_prefix')]: false }));
    assert.deepEqual(tokenizer.encode('é', plain), [269]);
    const ids = tokenizer.encode('a€\n', plain);
    assert.deepEqual(ids, [260, 3 + 0xe2, 3 + 0x82, 3 + 0xac, 3 + 0x0a]);
    assert.equal(tokenizer.decode(ids), 'a€\n');
    assert.equal(tokenizer.decode(ids.slice(0, 3)), 'a\ufffd');
    assert.equal(tokenizer.decode([3 + 0xff, 260]), '\ufffda');
    assert.equal(tokenizer.decode(tokenizer.encode('\ud800', plain)), '\ufffd');
    assert.deepEqual(tokenizer.pieces(ids), ['a', '<0xE2>', '<0x82>', '<0xAC>', '\n']);
  });

  it('adds BOS unless the file says otherwise, EOS if it says so, neither twice', () => {
    assert.deepEqual(open(sentencePiece()).encode('a'), [1, 263]);
    assert.deepEqual(open(sentencePiece()).encode(''), [1]);
    assert.deepEqual(open(sentencePiece()).encode('<s>a'), [1, 263]);
    assert.deepEqual(open(sentencePiece({ [key('add_bos_token')]: false })).encode('a'), [263]);
    const both = open(sentencePiece({ [key('add_eos_token')]: true, [key('bos_token_id')]: 0 }));
    assert.deepEqual(both.encode('a'), [0, 263, 2]);
    assert.deepEqual(both.encode('a</s>'), [0, 263, 2]);
  });

  it('takes special tokens as text where asked; those that are user-defined never', () => {
    const tokenizer = open(sentencePiece({ [key('add_space_prefix')]: false }));
    assert.deepEqual(tokenizer.encode('<s><turn>', plain), [1, 268]);
    const asText = tokenizer.encode('<s><turn>', { ...plain, specialTokensAsText: true });
    assert.deepEqual(asText, [3 + 0x3c, 3 + 0x73, 3 + 0x3e, 268]);
    assert.equal(tokenizer.decode([1, 268, 0]), '<turn>');
  });

  it('drops white space behind the control tokens of Phi-3', () => {
    const phi = sentencePiece({ 'general.name': 'Phi3 mini' });
    assert.deepEqual(open(phi).encode('<turn>\n a', plain), [268, 263]);
    assert.deepEqual(open(phi).encode('<s> a', plain), [1, 267, 260]);
    assert.deepEqual(open(sentencePiece()).encode('<turn>\na', plain), [268, 259, 3 + 0x0a, 260]);
  });

  it('tells roles, template and the ends of a turn', () => {
    const values = sentencePiece({
      [key('padding_token_id')]: 0xffffffff,
      'tokenizer.chat_template': 'T',
      'tokenizer.chat_template.tool_use': 'U',
    });
    const tokenizer = open(values);
    assert.deepEqual(tokenizer.specialTokens, { bos: '<s>', eos: '</s>', unk: '<unk>' });
    assert.equal(tokenizer.chatTemplate, 'T');
    const named = { 'tokenizer.chat_templates': ['rag'], 'tokenizer.chat_template.rag': 'R' };
    assert.equal(open(sentencePiece(named)).chatTemplate, 'R');
    assert.equal(open(sentencePiece()).chatTemplate, undefined);
    const ends = byteLevel({ [key('eos_token_id')]: 4, [key('eot_token_id')]: 4, [key('eom_token_id')]: 99 });
    assert.deepEqual(endOfTurnIds(metadataOf(ends)), [4, 0]);
  });

  it('numbers virtual tokens behind the vocabulary', () => {
    const tokenizer = open(sentencePiece());
    assert.equal(tokenizer.size, 270);
    const view = tokenizer.withVirtualTokens(12);
    assert.deepEqual(view.encode('a[ref12][ref1]b', plain), [263, 281, 270, 259, 261]);
    assert.equal(view.decode([281]), '[ref12]');
    assert.deepEqual(view.pieces([281, 999]), ['[ref12]', '']);
    assert.ok(!tokenizer.encode('[ref1]').includes(270));
  });

  it('refuses vocabularies that are broken, and says what is', () => {
    const tokens = sentencePiece()[key('tokens')] as string[];
    refused({ [key('model')]: 'bert' }, /of the kind "bert", which is not supported/);
    refused({}, /m\.gguf: the file holds no tokenizer/);
    refused(sentencePiece({ [key('tokens')]: undefined }), /holds no vocabulary/);
    refused(sentencePiece({ [key('scores')]: new Float32Array(9) }), /scores has 9 values for 270 tokens/);
    refused(sentencePiece({ [key('scores')]: undefined }), /scores has no values/);
    refused(sentencePiece({ [key('scores')]: new Float32Array(270).fill(NaN) }), /token 0 .* not a number/);
    refused(sentencePiece({ [key('token_type')]: new Int32Array(271) }), /token_type has 271 values for 270/);
    refused(
      sentencePiece({ [key('token_type')]: new Int32Array(270).fill(7) }),
      /of the type 7, which is none/,
    );
    refused(
      sentencePiece({ [key('token_type')]: new Int32Array(270).fill(6) }),
      /"<unk>", is said to be a byte/,
    );
    refused(sentencePiece({ [key('bos_token_id')]: 270 }), /bos_token_id is 270, .* only 270 tokens/);
    refused(sentencePiece({ [key('eos_token_id')]: 99999 }), /eos_token_id is 99999/);
    refused(
      sentencePiece({ [key('tokens')]: tokens.with(300 - 40, 'b') }),
      /the token "b" is in the vocabulary twice, as 260 and 261/,
    );
    refused(
      sentencePiece({ [key('tokens')]: tokens.with(13, 'x'), [key('token_type')]: undefined }),
      /no token <0x0A>/,
    );
  });

  it('reads what llama.cpp reads: token types of any width, empty tokens, more padding than tokens', () => {
    const types = Uint32Array.from(sentencePiece()[key('token_type')] as Int32Array);
    assert.deepEqual(open(sentencePiece({ [key('token_type')]: types })).encode('<s>a'), [1, 263]);
    const tokens = sentencePiece()[key('tokens')] as string[];
    const empty = open(sentencePiece({ [key('tokens')]: tokens.with(269, '').with(262, '') }));
    assert.equal(empty.tokenId('[EMPTY_269]'), 269);
    assert.deepEqual(open(sentencePiece({ [key('padding_token_id')]: 270 })).specialTokens.pad, undefined);
  });
});

describe('tokenizers of GGUF files: byte-level', () => {
  it('merges in the order of the list, within the pieces of the pre-tokenizer', () => {
    const tokenizer = open(byteLevel());
    assert.deepEqual(tokenizer.encode('ab ab'), [4, 6]);
    assert.deepEqual(tokenizer.encode('aab'), [1, 4]);
    assert.deepEqual(tokenizer.encode('12 12'), [7, 8, 3, 7, 8]); // smollm: digits one by one
    assert.deepEqual(open(byteLevel({ [key('pre')]: 'gpt-2' })).encode('12'), [9]);
    assert.deepEqual(tokenizer.encode('é'), [11, 12]);
    assert.deepEqual(tokenizer.encode('xaz'), [1]); // bytes that the vocabulary lacks are left out
    assert.equal(tokenizer.decode([4, 6, 3, 11, 12, 13]), 'ab ab é\n');
    assert.equal(tokenizer.decode([11]), '\ufffd');
    assert.deepEqual(tokenizer.pieces([6, 11, 12]), [' ab', '<0xC3>', '<0xA9>']);
  });

  it('takes whole pieces that are tokens without merges where the pre-tokenizer says so', () => {
    const values = { [key('merges')]: ['1 2'], [key('bos_token_id')]: 0 };
    assert.deepEqual(open(byteLevel({ ...values, [key('pre')]: 'smaug-bpe' })).encode('ab'), [1, 2]);
    assert.deepEqual(open(byteLevel({ ...values, [key('pre')]: 'llama-bpe' })).encode('ab'), [0, 4]);
  });

  it('recognises control and user-defined tokens, the longest first', () => {
    const tokenizer = open(byteLevel());
    assert.deepEqual(tokenizer.encode('a<|end|>  a'), [1, 0, 10, 1]);
    assert.equal(tokenizer.decode([1, 0, 10, 1]), 'a  a');
    const overlapping = byteLevel({
      [key('tokens')]: ['<|end|>', 'a', 'b', 'Ġ', 'ab', 'Ġa', 'Ġab', '1', '2', '12', 'ba', 'ab1', '©', 'Ċ'],
      [key('token_type')]: Int32Array.of(3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 4, 4, 1, 1),
    });
    assert.deepEqual(open(overlapping).encode('bab1'), [2, 11]);
    assert.deepEqual(open(overlapping).encode('ba ba'), [10, 3, 10]);
  });

  it('takes the end of a turn for a control token whatever the file says', () => {
    const tokenizer = open(byteLevel({ [key('token_type')]: undefined }));
    assert.deepEqual(tokenizer.encode('<|end|>a'), [0, 1]);
    assert.equal(tokenizer.decode([0, 1]), 'a');
  });

  it('adds BOS only where file or pre-tokenizer say so', () => {
    assert.deepEqual(open(byteLevel({ [key('bos_token_id')]: 0 })).encode('a'), [1]);
    assert.deepEqual(
      open(byteLevel({ [key('bos_token_id')]: 0, [key('add_bos_token')]: true })).encode('a'),
      [0, 1],
    );
    refused(byteLevel({ [key('add_bos_token')]: true }), /BOS .*\.bos_token_id is missing/);
    refused(byteLevel({ [key('add_eos_token')]: true }), /EOS .*\.eos_token_id is missing/);
    refused(byteLevel({ [key('pre')]: 'tekken' }), /BOS/);
  });

  it('refuses an unknown or absent pre-tokenizer, and merges that are none', () => {
    refused(byteLevel({ [key('pre')]: 'zorp' }), /pre-tokenizer "zorp" .* not known here/);
    refused(byteLevel({ [key('pre')]: 'constructor' }), /pre-tokenizer "constructor"/);
    refused(byteLevel({ [key('pre')]: undefined }), /does not say how text is split/);
    refused(byteLevel({ [key('merges')]: undefined }), /no merges/);
    refused(byteLevel({ [key('merges')]: ['a b', 'ab'] }), /merge 1 .*"ab", is not two tokens/);
  });
});

describe('tokens spelled in text', () => {
  const tokens = (...contents: string[]): SpelledTokens =>
    new SpelledTokens(contents.map((content, id) => ({ id, content, special: false })));

  it('are found the longest first, then from left to right', () => {
    assert.deepEqual(tokens('ab', 'bcd', 'b').split('xabcdab', false), ['xa', 1, 0]);
    assert.deepEqual(tokens('aa', 'aaa').split('aaaaaaaa', false), [1, 1, 0]);
    assert.deepEqual(tokens('aa').split('baaab', false), ['b', 0, 'ab']);
    assert.deepEqual(tokens('aba', 'c').split('ababac', false), [0, 'ba', 1]);
    assert.deepEqual(tokens().split('a', false), ['a']);
    assert.deepEqual(tokens('a').split('', false), []);
  });

  it('take the white space behind them, up to the next token', () => {
    const strips = new SpelledTokens([
      { id: 0, content: '<a>', special: true, stripsRight: true },
      { id: 1, content: '  ', special: false },
    ]);
    assert.deepEqual(strips.split('x <a>\n\t y<a> ', false), ['x ', 0, 'y', 0]);
    assert.deepEqual(strips.split('<a> z', true), ['<a> z']);
  });

  it('are found in time in proportion to the text', () => {
    const many = tokens(...Array.from({ length: 3000 }, (_, i) => String.fromCharCode(0x4e00 + i)));
    const runs = tokens(...Array.from({ length: 31 }, (_, i) => '\n'.repeat(i + 1)));
    const start = performance.now();
    const text = Array.from({ length: 60_000 }, (_, i) => String.fromCharCode(0x4e00 + (i % 3000))).join('');
    assert.equal(many.split(text, false).length, 60_000);
    assert.equal(runs.split('\n'.repeat(62_000), false).length, 2000);
    assert.ok(performance.now() - start < 10_000);
  });
});

describe('pre-tokenizers', () => {
  const split = (name: string, text: string): string[] => splitText(text, preTokenizers[name]!);

  it('split as the models’ own rules do', () => {
    const text = "It's  4½ m²,\n\n ok\u00a0x\u0085";
    assert.deepEqual(split('gpt-2', text), [
      'It',
      "'s",
      ' ',
      ' 4½',
      ' m',
      '²',
      ',',
      '\n\n',
      ' ok',
      '\u00a0',
      'x',
      '\u0085',
    ]);
    assert.deepEqual(split('smollm', '٣ ١٢ Ⅷ'), ['٣', ' ', '١', '٢', ' ', 'Ⅷ']);
    assert.deepEqual(split('llama-bpe', "DON'T 12345 ;)\n x"), [
      'DON',
      "'T",
      ' ',
      '123',
      '45',
      ' ;)\n',
      ' x',
    ]);
    assert.deepEqual(split('qwen2', '12 a'), ['1', '2', ' a']);
    assert.deepEqual(split('qwen35', 'नमस्ते x'), ['नमस्ते', ' x']);
    assert.deepEqual(split('qwen2', 'नमस्ते').length > 1, true);
    assert.deepEqual(split('gpt-4o', "ÉCOLE camelCase it's/\n"), ['ÉCOLE', ' camel', 'Case', " it's", '/\n']);
    assert.deepEqual(split('tekken', "HTTPServer it's 12"), ['HTTPServer', ' it', "'s", ' ', '1', '2']);
    assert.deepEqual(split('default', 'a, 1234'), ['a', ',', ' ', '123', '4']);
    assert.deepEqual(split('deepseek-v3', 'a1234日本 b'), ['a', '123', '4', '日本', ' b']);
  });

  it('lose nothing and take no time out of proportion', () => {
    const texts = [
      ' \t\u00a0'.repeat(30_000),
      'aA'.repeat(40_000),
      'あ'.repeat(80_000),
      '!'.repeat(80_000),
      '\r\n '.repeat(30_000),
    ];
    for (const [name, rules] of Object.entries(preTokenizers)) {
      for (const text of texts) {
        const start = performance.now();
        assert.equal(splitText(text, rules).join(''), text);
        assert.ok(performance.now() - start < 5000, `${name} took ${performance.now() - start} ms`);
      }
    }
  });
});
