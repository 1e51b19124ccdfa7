import assert from 'node:assert/strict';
import { join } from 'node:path';
import { architectures } from '../../../src/checkpoint/types.ts';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import { linearParameters } from '../../../src/checkpoint/layers.ts';
import { readVirtualTokens } from '../../../src/checkpoint/virtualTokens.ts';
import { catalogueEntries, findEntry, isRelativeFile, loadCatalogue } from '../../../src/hub/catalogue.ts';
import { fitOf, backbonesFor, repositoryOfFolder, tokenFilesFor } from '../../../src/hub/fit.ts';
import { bestPrecision, estimateMemory, memoryFit, shapeOfConfig } from '../../../src/hub/memory.ts';
import { requestOf } from '../../../src/hub/request.ts';
import type { ModelEntry, ModelShape } from '../../../src/hub/types.ts';

const catalogue = loadCatalogue();
const demoFolder = join(import.meta.dirname, '..', '..', '..', 'media', 'demo');
const shapeOf = (id: string): ModelShape => (findEntry(catalogue, id) as ModelEntry).shape!;

describe('the catalogue', () => {
  it('lists the models of the paper, its six files, and retrieval models', () => {
    assert.equal(
      catalogue.tokenFiles.filter(({ repository }) => repository === 'yutaozhu94/SPRING').length,
      6,
    );
    for (const { backbone, hiddenSize } of catalogue.tokenFiles) {
      assert.equal(shapeOf(backbone).hiddenSize, hiddenSize, backbone);
    }
    for (const { architecture, file } of catalogue.models) {
      // A GGUF file says itself what it is.
      if (file === undefined)
        assert((architectures as readonly unknown[]).includes(architecture), architecture);
    }
    assert(catalogue.embeddingModels.length >= 3);
  });

  it('sizes agree with the shapes', () => {
    for (const entry of catalogue.models.filter(({ file }) => file === undefined)) {
      const shape = entry.shape!;
      const stored = linearParameters(shape);
      // An untied embedding is stored beside the head; Qwen3 0.6B stores both although they are tied.
      const second =
        shape.tieWordEmbeddings && entry.id !== 'qwen3-0.6b' ? 0 : shape.vocabSize * shape.hiddenSize;
      const ratio = entry.downloadBytes! / (2 * (stored + second));
      assert(ratio > 0.99 && ratio < 1.04, `${entry.id}: ${ratio}`);
    }
  });

  it('the built-in entries are what lies in media/demo', async () => {
    const { config } = await openCheckpoint(demoFolder);
    for (const [field, value] of Object.entries(shapeOf('demo'))) {
      assert.equal(config[field as keyof ModelShape], value, field);
    }
    const entry = catalogue.tokenFiles.find(({ id }) => id === 'spring-demo')!;
    const tokens = await readVirtualTokens(join(demoFolder, entry.file));
    assert.equal(tokens.sha256, entry.sha256);
    assert.equal(tokens.count, entry.numTokens);
  });

  it('ids are unique words and found whatever the case', () => {
    const ids = catalogueEntries(catalogue).map(({ id }) => id);
    assert.equal(new Set(ids).size, ids.length);
    for (const id of ids) assert.match(id, /^[a-z0-9][a-z0-9.-]*$/);
    assert.equal(findEntry(catalogue, 'qwen/qwen3-0.6B')?.id, 'qwen3-0.6b');
    assert.equal(findEntry(catalogue, 'yutaozhu94/SPRING'), undefined);
  });

  it('paths that leave a folder are none', () => {
    for (const bad of ['', '/x', '../x', 'a/../b', 'a//b', 'C:x', 'a\\b', './a', 3]) {
      assert(!isRelativeFile(bad), String(bad));
    }
    assert(isRelativeFile('onnx/model.onnx'));
  });
});

describe('what a name asks to download', () => {
  it('an id, a repository, a revision, a file', () => {
    const { entry, ...request } = requestOf('spring-mistral-7b', catalogue);
    assert.equal(entry?.id, 'spring-mistral-7b');
    assert.deepEqual(request, {
      repository: 'yutaozhu94/SPRING',
      kind: 'token-file',
      file: 'mistral.7b.base.added_token_embeddings.pt',
    });
    assert.deepEqual(requestOf('a/b@v1', catalogue), { repository: 'a/b', kind: 'chat', revision: 'v1' });
    assert.deepEqual(requestOf('a/b', catalogue, { file: 'x.pt' }), {
      repository: 'a/b',
      kind: 'token-file',
      file: 'x.pt',
    });
    for (const name of ['a/b:Q4_K_M', 'a/b@v1:x/y-Q8_0.gguf']) {
      const { repository, kind, file } = requestOf(name, catalogue);
      assert.deepEqual([repository, kind, file], ['a/b', 'chat', name.split(':')[1]]);
    }
    assert.equal(requestOf('a/b', catalogue, { file: 'x.gguf' }).kind, 'chat');
    const gguf = requestOf('gemma-3-1b-it-gguf', catalogue);
    assert.deepEqual([gguf.repository, gguf.file], ['ggml-org/gemma-3-1b-it-GGUF', 'Q4_K_M']);
    // Another quantisation than that of the list.
    const other = requestOf('ggml-org/gemma-3-1b-it-GGUF:Q8_0', catalogue);
    assert.deepEqual([other.entry, other.file], [undefined, 'Q8_0']);
    assert.throws(() => requestOf('yutaozhu94/SPRING', catalogue), /name one of spring-mistral/);
    assert.throws(() => requestOf('demo', catalogue), /nothing to download/);
    assert.throws(() => requestOf('nothing', catalogue), /neither in the list/);
  });
});

describe('memory', () => {
  it('the parameters of known models', () => {
    // Published totals less norms and biases: 134,515,008 and 7,241,732,096.
    assert.equal(linearParameters(shapeOf('smollm2-135m-instruct')), 134_515_008 - 61 * 576);
    const mistral = shapeOf('mistral-7b-v0.1');
    assert.equal(linearParameters(mistral) + 32_000 * 4096, 7_241_732_096 - 65 * 4096);
  });

  it('orders precisions and devices as they are', () => {
    const shape = shapeOf('qwen2.5-0.5b-instruct');
    const total = (precision: 'f32' | 'f16' | 'int8' | 'int4', device: 'cpu' | 'gpu'): number =>
      estimateMemory(shape, { precision, device }).total;
    assert(total('f32', 'cpu') > total('int8', 'cpu'));
    assert(total('int8', 'cpu') > total('int4', 'cpu'));
    assert.equal(total('f16', 'cpu'), total('f32', 'cpu'));
    assert(total('f16', 'gpu') < total('f32', 'gpu'));
    const more = estimateMemory(shape, { precision: 'f32', device: 'cpu', contextTokens: 4096 });
    assert.equal(
      more.keyValueCache,
      4 * estimateMemory(shape, { precision: 'f32', device: 'cpu' }).keyValueCache,
    );
  });

  it('says what runs', () => {
    const memory = { available: 8e9, total: 16e9 };
    assert.equal(memoryFit(6e9, memory), 'runs');
    assert.equal(memoryFit(10e9, memory), 'tight');
    assert.equal(memoryFit(15e9, memory), 'too-large');
    assert.equal(bestPrecision(shapeOf('smollm2-135m-instruct'), 'cpu', memory)?.precision, 'f32');
    const mistral = bestPrecision(shapeOf('mistral-7b-v0.1'), 'cpu', memory);
    assert.deepEqual([mistral?.precision, mistral?.fit], ['int4', 'runs']);
    assert.equal(bestPrecision(shapeOf('llama-2-13b'), 'cpu', memory)?.fit, 'tight');
    const smaller = { available: 8e9, total: 12e9 };
    assert.equal(bestPrecision(shapeOf('llama-2-13b'), 'cpu', smaller), undefined);
  });

  it('reads a shape from config.json', async () => {
    const { default: config } = await import('../../../media/demo/config.json', { with: { type: 'json' } });
    assert.deepEqual(shapeOfConfig(config), shapeOf('demo'));
    assert.equal(shapeOfConfig({ hidden_size: 4 }), undefined);
  });
});

describe('which embedding file fits which model', () => {
  const mistral = { hiddenSize: 4096, name: 'mistralai/Mistral-7B-v0.1' };
  const file = (name: string): string => `/x/${name}.added_token_embeddings.pt`;

  it('another width cannot be used', () => {
    const fit = fitOf({ hiddenSize: 5120, path: file('llama2.13b.chat') }, mistral, catalogue);
    assert.equal(fit.fit, 'wrong-width');
    assert.match(fit.message, /5120 numbers.*takes 4096.*trained for meta-llama\/Llama-2-13b-chat-hf/);
  });

  it('equal width and another backbone is a warning, not an answer', () => {
    const own = fitOf({ hiddenSize: 4096, path: file('mistral.7b.base') }, mistral, catalogue);
    assert.deepEqual([own.fit, own.evidence], ['fits', 'file name']);
    for (const other of ['mistral.7b.instruct', 'llama2.7b.base']) {
      const fit = fitOf({ hiddenSize: 4096, path: file(other) }, mistral, catalogue);
      assert.equal(fit.fit, 'unknown-backbone', other);
      assert.match(fit.message, /was trained for .* another model/);
    }
    const nameless = fitOf({ hiddenSize: 4096, path: '/x/mine.pt' }, mistral, catalogue);
    assert.deepEqual([nameless.fit, nameless.backbone], ['unknown-backbone', null]);
  });

  it('recorded backbone, by id, repository, or folder of the cache or of a clone', () => {
    const tokens = { hiddenSize: 4096, metadata: { backbone: 'mistral-7b-v0.1' } };
    const folders = ['/h/hub/models--mistralai--Mistral-7B-v0.1/snapshots/abc', '/models/Mistral-7B-v0.1'];
    for (const name of ['mistral-7b-v0.1', 'mistralai/Mistral-7B-v0.1', ...folders]) {
      assert.equal(fitOf(tokens, { hiddenSize: 4096, name }, catalogue).fit, 'fits', name);
    }
    assert.equal(fitOf(tokens, { ...mistral, name: '/models/other' }, catalogue).fit, 'unknown-backbone');
    const same = { hiddenSize: 4096, metadata: { backbone: '/models/mine' } };
    assert.equal(fitOf(same, { hiddenSize: 4096, name: '/models/mine' }, catalogue).fit, 'fits');
  });

  it('hash and fingerprint count more than names', () => {
    const demo = { hiddenSize: 128, name: demoFolder };
    const { sha256 } = catalogue.tokenFiles.find(({ id }) => id === 'spring-demo')!;
    const byHash = fitOf({ hiddenSize: 128, sha256: sha256!, metadata: { backbone: 'x' } }, demo, catalogue);
    assert.deepEqual([byHash.fit, byHash.evidence], ['fits', 'hash']);
    const weights = (kind: string, rows: string, norms: string): string =>
      [kind, rows.repeat(32), norms.repeat(32)].join('.');
    const marked = {
      hiddenSize: 128,
      metadata: { backbone: 'demo', backboneFingerprint: weights('float', 'a', 'b') },
    };
    const fit = (weightsFingerprint: string) => fitOf(marked, { ...demo, weightsFingerprint }, catalogue);
    assert.deepEqual(
      [fit(weights('float', 'a', 'b')).fit, fit(weights('float', 'a', 'b')).evidence],
      ['fits', 'weights'],
    );
    assert.equal(fit(weights('quantised', 'c', 'b')).fit, 'fits');
    assert.match(fit(weights('quantised', 'c', 'b')).message, /one is a quantisation of the other/);
    assert.equal(fit(weights('float', 'c', 'b')).fit, 'unknown-backbone');
    assert.match(fit(weights('float', 'a', 'c')).message, /trained for other weights/);
    const unreadable = { ...marked, metadata: { backbone: 'demo', backboneFingerprint: 'f1' } };
    assert.equal(
      fitOf(unreadable, { ...demo, weightsFingerprint: weights('float', 'a', 'b') }, catalogue).evidence,
      'metadata',
    );
  });

  it('lists backbones for a file and files for a model', () => {
    const matches = backbonesFor({ hiddenSize: 5120, path: file('llama2.13b.base') }, catalogue);
    assert.deepEqual(
      matches.map(({ id, fit }) => [id, fit]),
      [
        ['llama-2-13b', 'fits'],
        ['llama-2-13b-chat', 'unknown-backbone'],
      ],
    );
    const files = tokenFilesFor({ hiddenSize: 4096, name: 'meta-llama/Llama-2-7b-chat-hf' }, catalogue);
    assert.deepEqual(
      files.map(({ id }) => id),
      ['spring-llama-2-7b-chat'],
    );
  });

  it('recognises folders of the cache', () => {
    assert.deepEqual(repositoryOfFolder('C:\\hub\\models--a--b\\snapshots\\123'), {
      repository: 'a/b',
      commit: '123',
    });
    assert.equal(repositoryOfFolder('/snapshots/x'), undefined);
    assert.equal(repositoryOfFolder('/a/b'), undefined);
  });
});
