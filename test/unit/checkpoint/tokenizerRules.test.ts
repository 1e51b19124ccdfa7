import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { openTokenizer, type Tokenizer } from '../../../src/checkpoint/tokenizer.ts';
import { removeFolder, temporaryFolder, writeJson } from '../../fixtures/checkpoint/tinyCheckpoint.ts';

const emoji = '😀';

/** What is expected here is what huggingface/tokenizers 0.22 gives. */
describe('steps of tokenizer.json', () => {
  let root: string;
  let count = 0;
  before(() => (root = temporaryFolder()));
  after(() => removeFolder(root));

  async function open(json: object, config: object = {}): Promise<Tokenizer> {
    const folder = join(root, `t${count++}`);
    mkdirSync(folder);
    writeJson(join(folder, 'tokenizer.json'), json);
    writeJson(join(folder, 'tokenizer_config.json'), config);
    return openTokenizer(folder);
  }

  /** A tokenizer whose merges make one token of each piece, and then one of two neighbours, if nothing parts them. */
  async function split(steps: object, text: string, pieces: string[]): Promise<string[]> {
    const merges: string[][] = [];
    const join = (left: string, right: string): void => {
      if (left !== '' && !merges.some(([a, b]) => a === left && b === right)) merges.push([left, right]);
    };
    for (const piece of pieces) {
      let done = '';
      for (const character of piece) {
        join(done, character);
        done += character;
      }
    }
    for (const [index, piece] of pieces.entries()) if (index > 0) join(pieces[index - 1]!, piece);
    const tokens = new Set([
      ...Array.from(text),
      ...Array.from(pieces.join('')),
      ...merges.flat(),
      ...merges.map((pair) => pair.join('')),
    ]);
    const vocab = Object.fromEntries([...tokens].map((token, id) => [token, id]));
    const tokenizer = await open({ added_tokens: [], model: { type: 'BPE', vocab, merges }, ...steps });
    return tokenizer.pieces(tokenizer.encode(text));
  }

  async function splits(step: object, text: string, pieces: string[]): Promise<void> {
    const shown = pieces.map((piece) => piece.replaceAll('▁', ' '));
    assert.deepEqual(await split({ pre_tokenizer: step }, text, pieces), shown, JSON.stringify(step));
    const within = { type: 'Sequence', pretokenizers: [step] };
    assert.deepEqual(await split({ pre_tokenizer: within }, text, pieces), shown);
    // The helper tells pieces from their neighbours: without the step there are fewer.
    if (pieces.length > 1) assert.notDeepEqual(await split({}, text, pieces), shown);
  }

  it('digits are Unicode’s numbers', async () => {
    const text = 'x ¾ 10³ ४५ Ⅻ';
    const one = { type: 'Digits', individual_digits: true };
    await splits(one, text, ['x ', '¾', ' ', '1', '0', '³', ' ', '४', '५', ' ', 'Ⅻ']);
    await splits({ type: 'Digits', individual_digits: false }, text, [
      'x ',
      '¾',
      ' ',
      '10³',
      ' ',
      '४५',
      ' ',
      'Ⅻ',
    ]);
    await splits({ type: 'Digits' }, 'a77', ['a', '77']);
  });

  it('words and white space are Unicode’s', async () => {
    await splits({ type: 'Whitespace' }, 'né_1\u00a0!?\ufeffक\u093e\u0085x', [
      'né_1',
      '!?\ufeff',
      'क\u093e',
      'x',
    ]);
    await splits({ type: 'WhitespaceSplit' }, 'a\ufeffb\u0085c\u2003d', ['a\ufeffb', 'c', 'd']);
    await splits({ type: 'BertPreTokenizer' }, 'a+b--c\u00a0«d»', [
      'a',
      '+',
      'b',
      '-',
      '-',
      'c',
      '«',
      'd',
      '»',
    ]);
  });

  it('splits have all behaviours', async () => {
    const punctuation = (behavior?: string): object => ({
      type: 'Punctuation',
      ...(behavior && { behavior }),
    });
    await splits(punctuation(), 'a--b«', ['a', '-', '-', 'b', '«']);
    await splits(punctuation('Contiguous'), 'a--b«', ['a', '--', 'b', '«']);
    await splits(punctuation('MergedWithPrevious'), 'a--b«', ['a-', '-', 'b«']);
    await splits(punctuation('MergedWithNext'), 'a--b«', ['a', '-', '-b', '«']);
    await splits(punctuation('Removed'), 'a--b«', ['a', 'b']);
    const letters = { type: 'Split', pattern: { Regex: '\\p{L}+' }, invert: true };
    await splits({ ...letters, behavior: 'Removed' }, 'ab1c2', ['ab', 'c']);
    await splits({ ...letters, behavior: 'Isolated' }, 'ab1c2', ['ab', '1', 'c', '2']);
    await splits({ type: 'Split', pattern: { String: '+.' }, behavior: 'Removed' }, 'a+.b+c', ['a', 'b+c']);
    await splits({ type: 'FixedLength', length: 2 }, `a${emoji}b${emoji}c`, [`a${emoji}`, `b${emoji}`, 'c']);
    const refused = open({
      model: { type: 'BPE', vocab: { a: 0 }, merges: [] },
      pre_tokenizer: { ...letters, behavior: 'MergedWithNext' },
    });
    await assert.rejects(refused, { name: 'UserError', message: /behaviour MergedWithNext, inverted/ });
  });

  it('the sign for a space begins a piece', async () => {
    const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always' };
    await splits(metaspace, 'a  b c', ['▁a', '▁', '▁b', '▁c']);
    await splits({ ...metaspace, prepend_scheme: 'never', split: false }, 'a  b c', ['a▁▁b▁c']);
    await splits({ type: 'Metaspace', replacement: '▁', add_prefix_space: false }, 'a b', ['a', '▁b']);
  });

  it('byte-level pieces know Unicode’s white space, with and without a space in front', async () => {
    const decoder = { type: 'ByteLevel' };
    const vocab = Object.fromEntries(
      ['a', 'Ġ', 'Ġa', 'ï', '»', '¿', 'ï»¿', 'Â', 'ħ'].map((token, id) => [token, id]),
    );
    const merges = ['Ġ a', 'ï »', 'ï» ¿', 'Ġ ï»¿'];
    const make = (prefix: boolean): Promise<Tokenizer> =>
      open({
        decoder,
        model: { type: 'BPE', vocab: { ...vocab, 'ï»': 20, 'Ġï»¿': 21 }, merges },
        pre_tokenizer: { type: 'ByteLevel', add_prefix_space: prefix, use_regex: true },
      });
    // U+FEFF is no white space: it takes the space before it; U+0085 is.
    assert.deepEqual((await make(false)).encode('a \ufeffa\u0085'), [0, 21, 0, 7, 8]);
    assert.deepEqual((await make(true)).encode('a \ufeff'), [2, 21]);
    assert.deepEqual((await make(true)).encode(' a'), [2]);
  });

  it('normalizers lower, strip and clean as Rust does', async () => {
    const normal = async (normalizer: object, text: string): Promise<string> => {
      const all = 'abcdefghijklmnopqrstuvwxyz $&ασς\ufeff\u00a0\u0085\n\u{20000}';
      const vocab = Object.fromEntries(Array.from(all, (character, id) => [character, id]));
      const tokenizer = await open({ model: { type: 'BPE', vocab, merges: [] }, normalizer });
      return tokenizer.pieces(tokenizer.encode(text)).join('');
    };
    assert.equal(await normal({ type: 'Lowercase' }, 'ΑΣ Σ'), 'ασ σ');
    const strip = { type: 'Strip', strip_left: true, strip_right: true };
    assert.equal(await normal(strip, '\u0085\ufeff a \u00a0'), '\ufeff a');
    assert.equal(await normal({ ...strip, strip_right: false }, ' \n a \n'), 'a \n');
    const bert = { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true };
    assert.equal(await normal(bert, 'É\u0007\u{20000}ΣΑΣ\ufffd'), 'e \u{20000} σασ');
    assert.equal(await normal({ ...bert, strip_accents: false }, 'A'), 'a');
    assert.equal(await normal({ type: 'Replace', pattern: { String: 'a' }, content: '$&' }, 'ba'), 'b$&');
  });

  describe('BOS and EOS', () => {
    const template = {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: '<x>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [],
      special_tokens: { '<x>': { id: '<x>', ids: [5], tokens: ['<x>'] } },
    };
    const vocab = { '<s>': 0, '</s>': 1, a: 2, '<b>': 3, '<bos>': 4, '<x>': 5 };
    const added = ['<s>', '</s>', '<b>', '<bos>', '<x>'].map((content) => ({
      content,
      id: vocab[content as keyof typeof vocab],
      special: true,
    }));
    const encode = async (config: object, postProcessor: object | null = null): Promise<number[]> => {
      const json = {
        model: { type: 'BPE', vocab, merges: [] },
        added_tokens: added,
        post_processor: postProcessor,
      };
      return (await open(json, config)).encode('a');
    };

    it('are put as add_bos_token and add_eos_token say for the classes of Llama, Gemma and Cohere', async () => {
      const llama = { tokenizer_class: 'LlamaTokenizerFast' };
      assert.deepEqual(await encode(llama), [0, 2]);
      assert.deepEqual(await encode({ ...llama, add_bos_token: true, bos_token: '<b>' }), [3, 2]);
      assert.deepEqual(
        await encode({ ...llama, bos_token: { content: '<b>' }, add_eos_token: true }),
        [3, 2, 1],
      );
      assert.deepEqual(await encode({ ...llama, add_bos_token: false }), [2]);
      assert.deepEqual(await encode({ ...llama, add_bos_token: false }, template), [2]);
      assert.deepEqual(
        await encode({ tokenizer_class: 'LlamaTokenizer', add_bos_token: true }, template),
        [0, 2],
      );
      assert.deepEqual(await encode({ tokenizer_class: 'GemmaTokenizer' }), [4, 2]);
      assert.deepEqual(await encode({ ...llama, bos_token: '<gone>' }), [2]);
    });

    it('are those of tokenizer.json for all other classes', async () => {
      for (const name of ['PreTrainedTokenizerFast', 'Qwen2Tokenizer', 'GPT2TokenizerFast', undefined]) {
        const config = { tokenizer_class: name, bos_token: '<b>', add_bos_token: true };
        assert.deepEqual(await encode(config), [2]);
        assert.deepEqual(await encode({ ...config, add_bos_token: false }, template), [5, 2]);
      }
    });
  });

  it('spaces before punctuation stay, but for WordPiece where the file asks for tidying', async () => {
    const texts = ['a ? b : c !', "x , y . don 't", 'Bonjour ! Ça va ?'];
    const characters = [...new Set(texts.join(''))];
    const vocab = Object.fromEntries(characters.map((character, id) => [character, id]));
    const config = { clean_up_tokenization_spaces: true };
    const bpe = await open({ model: { type: 'BPE', vocab, merges: [] }, decoder: { type: 'Fuse' } }, config);
    const untyped = await open({ model: { vocab, merges: [] }, decoder: { type: 'Fuse' } }, config);
    for (const text of texts) {
      assert.equal(bpe.decode(bpe.encode(text)), text);
      assert.equal(untyped.decode(untyped.encode(text)), text);
    }
    const model = {
      type: 'WordPiece',
      unk_token: 'u',
      continuing_subword_prefix: '##',
      vocab: { a: 0, '!': 1, u: 2 },
    };
    const wordPiece = {
      model,
      pre_tokenizer: { type: 'BertPreTokenizer' },
      decoder: { type: 'WordPiece', prefix: '##' },
    };
    assert.equal((await open(wordPiece, config)).decode([0, 1]), 'a!');
    assert.equal((await open(wordPiece)).decode([0, 1]), 'a !');
  });

  it('a token added beyond the model’s rows is no fault, a vocabulary beyond them is', async () => {
    const json = {
      model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] },
      added_tokens: [
        { id: 2, content: '<pad>', special: true },
        { id: 9, content: '<tool>', special: false },
      ],
    };
    const folder = join(root, 'padded');
    mkdirSync(folder);
    writeJson(join(folder, 'tokenizer.json'), json);
    const tokenizer = await openTokenizer(folder, 2);
    assert.equal(tokenizer.firstVirtualTokenId, 10);
    assert.deepEqual(tokenizer.withVirtualTokens(1).encode('a<pad>[ref1]'), [0, 2, 10]);
    await assert.rejects(openTokenizer(folder, 1), /token ids up to 1, the model's vocabulary only 1 tokens/);
  });
});
