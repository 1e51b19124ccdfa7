import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { UserError } from '../../src/protocol/errors.ts';
import { openCheckpoint, readModelConfig } from '../../src/checkpoint/checkpoint.ts';
import { parseModelConfig } from '../../src/checkpoint/config.ts';
import { EmbeddingTable } from '../../src/checkpoint/embeddingTable.ts';
import { readJsonObject } from '../../src/checkpoint/files.ts';
import { mergeAdaptersCat, readLoraAdapter, writeAdapter } from '../../src/checkpoint/lora.ts';
import { readTensor } from '../../src/checkpoint/safetensors.ts';
import { openTokenizer } from '../../src/checkpoint/tokenizer.ts';
import { readVirtualTokens, writeVirtualTokens } from '../../src/checkpoint/virtualTokens.ts';
import { removeFolder, temporaryFolder } from '../fixtures/checkpoint/tinyCheckpoint.ts';
import { oracleCheckpoints, oracleFolder, readGolden } from '../support/oracle.ts';

interface ManifestFile {
  file: string;
  expect: 'ok' | 'ok-or-reject' | 'reject';
  hidden: number;
  shape?: number[];
  sha256?: string;
  how: string;
  marker?: string;
}

const checkpoints = oracleCheckpoints();

describe('checkpoint readers against the oracle', () => {
  let folder: string;
  before(() => (folder = temporaryFolder()));
  after(() => removeFolder(folder));

  for (const { name, folder: checkpointFolder, adapters } of checkpoints) {
    describe(name, () => {
      it('opens, with the same configuration from transformers 4 and 5', async () => {
        const { config, tensors } = await openCheckpoint(checkpointFolder);
        const version5 = parseModelConfig(
          await readJsonObject(join(oracleFolder, 'config_v5', `${name}.json`)),
          await readJsonObject(join(checkpointFolder, 'generation_config.json')),
          'config_v5',
        );
        assert.deepEqual(version5, config);
        assert.ok(tensors.size > 0);
      });

      it('reads embedding rows equal to the whole matrix', async () => {
        const checkpoint = await openCheckpoint(checkpointFolder);
        const matrix = await readTensor(checkpoint.tensors.get('model.embed_tokens.weight')!);
        const { prefix_ids: ids } = readGolden(name);
        await using table = await EmbeddingTable.open(checkpoint);
        const rows = await table.rows(ids);
        const { hiddenSize } = checkpoint.config;
        ids.forEach((id, i) => {
          assert.deepEqual(
            rows.subarray(i * hiddenSize, (i + 1) * hiddenSize),
            matrix.subarray(id * hiddenSize, (id + 1) * hiddenSize),
          );
        });
      });

      it('writes any ids as text, virtual tokens among them', async () => {
        const tokenizer = (await openTokenizer(checkpointFolder, 512)).withVirtualTokens(10);
        const { prefix_ids: prefix, suffix_ids: suffix } = readGolden(name);
        const text = (ids: number[]): string => ids.map((id) => `<t${id}>`).join('');
        const names = Array.from({ length: 10 }, (_, i) => `[ref${i + 1}]`).join('');
        const virtual = Array.from({ length: 10 }, (_, i) => 512 + i);
        assert.deepEqual(tokenizer.encode(text(prefix) + names + text(suffix)), [
          ...prefix,
          ...virtual,
          ...suffix,
        ]);
      });

      it('reads, merges and writes adapters as PEFT does', async () => {
        const config = await readModelConfig(checkpointFolder);
        const read = (adapter: string): ReturnType<typeof readLoraAdapter> =>
          readLoraAdapter(join(adapters, adapter), config);
        const merged = mergeAdaptersCat(
          [await read('adapter0'), await read('adapter1'), await read('adapter2')],
          [1, 1, 1],
        );
        const expected = await read('merged');
        assert.deepEqual(
          merged.pairs,
          new Map([...merged.pairs.keys()].map((key) => [key, expected.pairs.get(key)!])),
        );
        assert.equal(merged.id, expected.id);
        const written = join(folder, name);
        await writeAdapter(written, merged, { loraAlpha: 6 });
        assert.deepEqual(
          readFileSync(join(written, 'adapter_model.safetensors')),
          readFileSync(join(adapters, 'merged', 'adapter_model.safetensors')),
        );
        assert.deepEqual(
          await readJsonObject(join(written, 'adapter_config.json')),
          await readJsonObject(join(adapters, 'merged', 'adapter_config.json')),
        );
        assert.equal((await read('init')).pairs.size, merged.pairs.size);
      });
    });
  }

  if (checkpoints.length > 0) {
    const path = (file: string): string => join(oracleFolder, 'pt', file);
    const manifest = JSON.parse(readFileSync(path('manifest.json'), 'utf8')) as { files: ManifestFile[] };
    for (const { file, expect, hidden, shape, sha256, how, marker } of manifest.files) {
      it(`${file} (${how}): ${expect}`, async () => {
        const result = await readVirtualTokens(path(file), { hiddenSize: hidden }).catch(
          (error: unknown) => error,
        );
        if (marker) assert.ok(!existsSync(marker), 'the hostile pickle ran');
        if (result instanceof Error) {
          assert.notEqual(expect, 'ok', result.message);
          assert.ok(result instanceof UserError, String(result.stack));
          assert.ok(result.message.length < 600 && !result.message.includes('\n'), result.message);
          return;
        }
        assert.notEqual(expect, 'reject');
        const tokens = result as Awaited<ReturnType<typeof readVirtualTokens>>;
        assert.deepEqual([tokens.count, tokens.hiddenSize], shape);
        assert.equal(tokens.sha256, sha256);
        assert.equal(createHash('sha256').update(tokens.data).digest('hex'), sha256);
      });
    }

    it('never fails but by one clear message, whatever bytes of a file are damaged', async () => {
      const sound = manifest.files
        .filter(({ expect }) => expect === 'ok')
        .map(({ file }) => readFileSync(path(file)));
      const random = randomNumbers(2026);
      const damaged = join(folder, 'damaged.pt');
      let refused = 0;
      for (let round = 0; round < 300; round++) {
        const bytes = Buffer.from(sound[random(sound.length)]!);
        for (let change = random(3); change >= 0; change--) {
          // Most structure lies at the ends: pickle first, zip directory last.
          const place = [random(400), bytes.length - 1 - random(500), random(bytes.length)][random(3)]!;
          bytes[place] = [random(256), bytes[place]! ^ (1 << random(8)), 0, 0xff][random(4)]!;
        }
        writeFileSync(damaged, random(5) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
        await readVirtualTokens(damaged).catch((error: unknown) => {
          assert.ok(error instanceof UserError, `round ${round}: ${String((error as Error).stack)}`);
          refused++;
        });
      }
      assert.ok(refused > 150, `only ${refused} of 300 were refused`);
    });

    it('reads the same virtual tokens as the golden values hold', async () => {
      for (const { name, virtual_tokens: file } of checkpoints) {
        assert.deepEqual((await readVirtualTokens(file)).data, readGolden(name).tensor('virtual_tokens'));
      }
    });

    it('writes the pickle of a tensor byte for byte as torch', async () => {
      const torch = path('ok-plain-float32.pt');
      const { data } = await readVirtualTokens(torch);
      const own = join(folder, 'own.pt');
      await writeVirtualTokens(own, data, 64);
      // Records are stored uncompressed, so the pickle lies in the file as it is: PROTO 2 to STOP.
      const original = readFileSync(torch);
      const pickle = original.subarray(64, 64 + 155);
      assert.deepEqual([pickle[0], pickle[1], pickle.at(-1)], [0x80, 2, 0x2e]);
      assert.ok(readFileSync(own).includes(pickle));
    });
  }
});

describe('tokenizers of real models', () => {
  const tokenizers = join(oracleFolder, '..', 'data', 'tokenizers');
  const texts = [
    'Hello world',
    '  two  spaces\n\n\ttab',
    'def f(x):\n    return 42',
    'naïve €𝄞 日本 😀',
    '[1] a\n[2] b',
  ];

  if (!existsSync(tokenizers)) {
    if (process.env['CI']) throw new Error(`CI requires ${tokenizers}.`);
    console.warn(`SKIPPED: no tokenizers in ${tokenizers}`);
    return;
  }

  it('SmolLM: byte-level, no BOS, chat template', async () => {
    const tokenizer = await openTokenizer(join(tokenizers, 'smollm'), 49152);
    assert.equal(tokenizer.size, 49152);
    for (const text of texts) assert.equal(tokenizer.decode(tokenizer.encode(text)), text);
    assert.deepEqual(tokenizer.encode('<|im_start|>user', { addSpecialTokens: false })[0], 1);
    assert.match(tokenizer.chatTemplate ?? '', /<\|im_start\|>/);
    const view = tokenizer.withVirtualTokens(50);
    assert.deepEqual(view.encode('[ref1][ref50]'), [49152, 49201]);
  });

  it('MiniLM: WordPiece with [CLS] and [SEP]', async () => {
    const tokenizer = await openTokenizer(join(tokenizers, 'minilm'), 30522);
    const ids = tokenizer.encode('Hello world');
    assert.deepEqual(ids, [101, 7592, 2088, 102]);
    assert.equal(tokenizer.decode(ids), 'hello world');
  });
});

/** Seeded whole numbers below a bound (xorshift32). */
function randomNumbers(seed: number): (bound: number) => number {
  let state = seed;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}
