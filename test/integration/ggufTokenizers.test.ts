/** Tokenizers of real GGUF files against llama.cpp's ids, and of the same vocabulary against its tokenizer.json. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { renderChat } from '../../src/checkpoint/chatTemplate.ts';
import { openTokenizer, type Tokenizer } from '../../src/checkpoint/tokenizer.ts';
import { oracleFolder } from '../support/oracle.ts';
import { realModel } from '../support/realModels.ts';

interface Tokenized {
  text: string;
  ids: number[];
  idsWithSpecial: number[];
}

const oracle = join(oracleFolder, 'gguf', 'tokenize.json');
const tokenizers = resolve(oracleFolder, '../data/tokenizers');

describe('tokenizers of real GGUF files', function () {
  this.timeout(60_000);
  const smollm2 = realModel('smollm2');
  const gemma3 = realModel('gemma3');
  if (!existsSync(oracle)) {
    if (process.env['CI']) throw new Error(`CI requires ${oracle}.`);
    console.warn(`SKIPPED: no ${oracle}`);
  }

  for (const path of [smollm2, gemma3]) {
    if (path === undefined || !existsSync(oracle)) continue;

    it(`${basename(path)}: llama.cpp's ids, special tokens as text and recognised, there and back`, async () => {
      const all = JSON.parse(readFileSync(oracle, 'utf8')) as Record<string, Tokenized[]>;
      const tokenizer = await openTokenizer(path);
      const cases = all[basename(path)]!;
      assert.ok(cases.length > 20);
      for (const { text, ids, idsWithSpecial } of cases) {
        const plain = { addSpecialTokens: false };
        assert.deepEqual(tokenizer.encode(text, { ...plain, specialTokensAsText: true }), ids, text);
        assert.deepEqual(tokenizer.encode(text, plain), idsWithSpecial, text);
        assert.equal(tokenizer.decode(ids, { skipSpecialTokens: false }), text);
        assert.equal(
          tokenizer
            .pieces(ids)
            .join('')
            .replace(/<0x..>/g, '')
            .includes('\ufffd'),
          false,
        );
      }
    });
  }

  if (smollm2 !== undefined) {
    it('SmolLM2: roles, chat template, ends of a turn, virtual tokens', async () => {
      const tokenizer = await openTokenizer(smollm2, 49152);
      assert.deepEqual(tokenizer.specialTokens, {
        bos: '<|im_start|>',
        eos: '<|im_end|>',
        unk: '<|endoftext|>',
        pad: '<|im_end|>',
      });
      assert.deepEqual(tokenizer.encode('Hello world'), [19556, 905]); // no BOS
      assert.match(
        renderChat(tokenizer, [{ role: 'user', content: 'Hi' }])!,
        /^<\|im_start\|>system\n[^]*<\|im_end\|>\n<\|im_start\|>user\nHi<\|im_end\|>\n<\|im_start\|>assistant\n$/,
      );
      const { config } = await openCheckpoint(smollm2);
      assert.deepEqual(config.eosTokenIds, [2, 0]);
      assert.deepEqual(tokenizer.withVirtualTokens(50).encode('[ref1][ref50]'), [49152, 49201]);
    });

    it('SmolLM2: the ids that its tokenizer.json gives', async () => {
      const folder = join(tokenizers, 'smollm');
      if (!existsSync(folder)) {
        if (process.env['CI']) throw new Error(`CI requires ${folder}.`);
        console.warn(`SKIPPED: no tokenizer in ${folder}`);
        return;
      }
      const [fromFile, fromFolder] = await Promise.all([openTokenizer(smollm2), openTokenizer(folder)]);
      for (const text of randomTexts(800)) {
        const ids = fromFile.encode(text);
        assert.deepEqual(ids, fromFolder.encode(text), JSON.stringify(text));
        assert.equal(fromFile.decode(ids), fromFolder.decode(ids));
        assert.deepEqual(fromFile.pieces(ids), fromFolder.pieces(ids));
      }
    });
  }

  if (gemma3 !== undefined) {
    it('Gemma 3: BOS once, both ends of a turn, 262,144 tokens in little time', async () => {
      const start = performance.now();
      const tokenizer: Tokenizer = await openTokenizer(gemma3, 262144);
      assert.deepEqual(tokenizer.encode('Hello world'), [2, 9259, 1902]);
      assert.ok(performance.now() - start < 2500);
      assert.deepEqual(tokenizer.encode('<bos>Hello world'), [2, 9259, 1902]);
      assert.equal(tokenizer.decode([2, 9259, 1902, 106]), 'Hello world');
      assert.equal(tokenizer.chatTemplate, undefined); // the base model
      const { config } = await openCheckpoint(gemma3);
      assert.deepEqual(config.eosTokenIds, [1, 106]);
    });
  }
});

/** Seeded texts of letters, marks, digits and spaces of many scripts. */
function randomTexts(count: number): string[] {
  const parts =
    ' |  |\n|\t|\r\n|\u00a0|\ufeff|\u0085|\u3000|a|The|é|e\u0301|ß|Σ|日本|한국|😀|👨\u200d👩|1|23|٣|½|²|Ⅷ|.|!|--|…|“|_|$|+|<|`|' +
    "'s|'T|don't|नमस्ते|العربية|\u0301|<|im_start|>|[ref1]|{|}|\u{20000}|the quick| brown| fox";
  const pool = [...parts.split('|'), '|', '<|im_end|>', '<|endoftext|>'];
  let state = 12345;
  const next = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + next(12) }, () => pool[next(pool.length)]!).join(''),
  );
}
