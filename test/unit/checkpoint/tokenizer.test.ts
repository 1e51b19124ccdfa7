import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openTokenizer } from '../../../src/checkpoint/tokenizer.ts';
import { demoFolder } from '../../support/oracle.ts';
import { removeFolder, temporaryFolder, writeJson } from '../../fixtures/checkpoint/tinyCheckpoint.ts';

describe('tokenizers', () => {
  let root: string;
  let count = 0;
  before(() => (root = temporaryFolder()));
  after(() => removeFolder(root));

  /** A folder with a word-level BPE of single letters and the given additions. */
  function write(changes: object = {}, config?: object): string {
    const folder = join(root, `tokenizer${count++}`);
    mkdirSync(folder);
    const vocab = { '<s>': 0, '</s>': 1, a: 2, b: 3, ab: 4 };
    writeJson(join(folder, 'tokenizer.json'), {
      added_tokens: [
        { id: 0, content: '<s>', special: true },
        { id: 1, content: '</s>', special: true },
      ],
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      decoder: { type: 'Fuse' },
      model: { type: 'BPE', vocab, merges: ['a b'] },
      ...changes,
    });
    if (config) writeJson(join(folder, 'tokenizer_config.json'), config);
    return folder;
  }
  const bos = {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<s>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<s>': { id: '<s>', ids: [0], tokens: ['<s>'] } },
  };

  it('adds BOS if and only if the post-processor does', async () => {
    const plain = await openTokenizer(write({}, { add_bos_token: true }));
    assert.deepEqual(plain.encode('ab'), [4]);
    const template = await openTokenizer(write({ post_processor: bos }, { add_bos_token: false }));
    assert.deepEqual(template.encode('ab'), [0, 4]);
    assert.deepEqual(template.encode('ab', { addSpecialTokens: false }), [4]);
    assert.deepEqual(template.encode('<s>ab</s>', { addSpecialTokens: false }), [0, 4, 1]);
    assert.deepEqual(template.encode(''), [0]);
  });

  it('leaves special tokens out of decoded text unless asked for', async () => {
    const tokenizer = await openTokenizer(write());
    assert.equal(tokenizer.decode([0, 4, 1]), 'ab');
    assert.equal(tokenizer.decode([0, 4, 1], { skipSpecialTokens: false }), '<s>ab</s>');
    assert.equal(tokenizer.decode([]), '');
    assert.equal(tokenizer.decode([4, 12345, 3]), 'abb');
    assert.equal(tokenizer.decode([0]), '');
  });

  it('leaves out characters that the vocabulary lacks', async () => {
    const tokenizer = await openTokenizer(write());
    assert.deepEqual(tokenizer.encode('aéb'), [2, 3]);
  });

  it('numbers virtual tokens from its length on, in views of its own', async () => {
    const added = [{ id: 7, content: '<extra>', special: false }];
    const tokenizer = await openTokenizer(write({ added_tokens: added }));
    assert.equal(tokenizer.size, 6); // five of the model and one added
    assert.equal(tokenizer.highestId, 7); // ids 5 and 6 are unused
    assert.equal(tokenizer.firstVirtualTokenId, 8);
    const gapless = await openTokenizer(write());
    assert.equal(gapless.size, 5);
    assert.equal(gapless.firstVirtualTokenId, 5);

    const view = gapless.withVirtualTokens(12);
    assert.deepEqual(view.encode('ab[ref1][ref12]a [ref2]'), [4, 5, 16, 2, 6]);
    assert.deepEqual(gapless.encode('ab[ref1]'), [4]);
    assert.deepEqual(gapless.withVirtualTokens(1).encode('[ref1][ref2]'), [5]);
    assert.equal(gapless.withVirtualTokens(12), view);
    assert.equal(gapless.withVirtualTokens(0), gapless);
    assert.equal(view.size, 5);
    assert.ok(view.isVirtualToken(5) && view.isVirtualToken(16));
    assert.ok(!view.isVirtualToken(4) && !view.isVirtualToken(17) && !gapless.isVirtualToken(5));
    assert.equal(view.decode([4, 5]), 'ab[ref1]');
  });

  it('recognises virtual tokens although the normalizer puts a space before every text', async () => {
    const normalizer = { type: 'Prepend', prepend: 'a' };
    const view = (await openTokenizer(write({ normalizer }))).withVirtualTokens(2);
    assert.deepEqual(view.encode('[ref1][ref2]b'), [5, 6, 4]);
  });

  it('refuses a tokenizer that is too large for the model, not one that is too small', async () => {
    const folder = write();
    await openTokenizer(folder, 5);
    await openTokenizer(folder, 64);
    await assert.rejects(openTokenizer(folder, 4), /token ids up to 4, the model's vocabulary only 4 tokens/);
  });

  it('names what is missing or broken', async () => {
    const empty = join(root, 'empty');
    mkdirSync(empty);
    await assert.rejects(openTokenizer(empty), /empty has no tokenizer\.json/);
    await assert.rejects(
      openTokenizer(write({ model: { type: 'WordLevel', vocab: { a: 0 } } })),
      /is of the kind "WordLevel", which is not supported/,
    );
    await assert.rejects(openTokenizer(write({ decoder: { type: 'Magic' } })), /cannot be used: .*Magic/);
    await assert.rejects(
      openTokenizer(write({ model: { type: 'BPE', vocab: {} }, added_tokens: [] })),
      /holds no vocabulary/,
    );
    await assert.rejects(
      openTokenizer(write({ model: { type: 'BPE', vocab: { a: 'x' } } })),
      /the vocabulary entry \["a","x"\] is not a token and its id/,
    );
  });

  it('exposes the chat template and special tokens, wherever they are written', async () => {
    const inConfig = await openTokenizer(
      write({}, { chat_template: '{{ messages }}', bos_token: { content: '<s>' }, eos_token: '</s>' }),
    );
    assert.equal(inConfig.chatTemplate, '{{ messages }}');
    assert.deepEqual(inConfig.specialTokens, { bos: '<s>', eos: '</s>' });
    const named = [
      { name: 'tool_use', template: 'T' },
      { name: 'default', template: 'D' },
    ];
    assert.equal((await openTokenizer(write({}, { chat_template: named }))).chatTemplate, 'D');
    const folder = write();
    assert.equal((await openTokenizer(folder)).chatTemplate, undefined);
    writeFileSync(join(folder, 'chat_template.jinja'), 'J');
    writeJson(join(folder, 'special_tokens_map.json'), { eos_token: '</s>' });
    const beside = await openTokenizer(folder);
    assert.equal(beside.chatTemplate, 'J');
    assert.deepEqual(beside.specialTokens, { eos: '</s>' });
  });

  it('brings text there and back with the demo’s tokenizer', async () => {
    const tokenizer = await openTokenizer(demoFolder, 1536);
    assert.equal(tokenizer.size, 1536);
    for (const text of ['Question: what?\nAnswer:', ' two  spaces\n\n', 'naïve €𝄞 日本', '[1] a\n[2] b']) {
      const ids = tokenizer.encode(text);
      assert.equal(ids[0], 0); // BOS, by its post-processor
      assert.equal(tokenizer.decode(ids), text);
    }
  });
});
