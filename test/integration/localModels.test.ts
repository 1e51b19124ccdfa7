/** Real GGUF files as models of this machine: what the window is told of them. Skipped without the files. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'mocha';
import { inspectModel } from '../../src/engine/inspection.ts';
import { localModels } from '../../src/hub/localModels.ts';
import { addToOllama } from '../fixtures/hub/ollamaStore.ts';
import { demoFolder } from '../support/oracle.ts';
import { realModel } from '../support/realModels.ts';

const extensionFolder = join(demoFolder, '../..');

describe('real GGUF files on this machine', () => {
  const home = mkdtempSync(join(tmpdir(), 'spring-real-'));
  const store = join(home, 'ollama');
  const smollm2 = realModel('smollm2');
  const gemma3 = realModel('gemma3');
  const before_ = process.env['OLLAMA_MODELS'];
  let blob: string;

  before(function () {
    if (smollm2 === undefined || gemma3 === undefined) return this.skip();
    blob = addToOllama(store, 'registry.ollama.ai/library/smollm2/135m', [['model', smollm2]]);
    const studio = join(home, '.lmstudio/models/google/gemma-3-270m');
    mkdirSync(studio, { recursive: true });
    symlinkSync(gemma3, join(studio, 'gemma-3-270m-Q4_K_M.gguf'));
    process.env['OLLAMA_MODELS'] = store;
  });
  after(() => {
    if (before_ === undefined) delete process.env['OLLAMA_MODELS'];
    else process.env['OLLAMA_MODELS'] = before_;
    rmSync(home, { recursive: true, force: true });
  });

  it('are listed with their size, quantisation and memory', async () => {
    const models = await localModels({
      environment: {
        home,
        variables: { OLLAMA_MODELS: store },
        platform: 'linux',
        cacheDir: join(home, 'hub'),
      },
      memory: { available: 8e9, total: 16e9 },
    });
    const own = models.filter(({ path }) => path?.startsWith(home));
    assert.deepEqual(
      own.map(
        ({ name, architecture, quantization, parameters, bytes, contextLength, chat, fit, problem }) => [
          ...[name, architecture, quantization, parameters, bytes, contextLength, chat, fit, problem],
        ],
      ),
      [
        [
          ...['lm-studio:google/gemma-3-270m/gemma-3-270m-Q4_K_M', 'gemma3', 'Q4_K_M', 268_098_176],
          ...[253_113_024, 32_768, false, 'runs', null],
        ],
        ['ollama:smollm2:135m', 'llama', 'Q4_1', 134_515_008, 98_362_432, 8192, true, 'runs', null],
      ],
    );
    for (const { bytes, memoryBytes } of own) assert(memoryBytes! > bytes && memoryBytes! < bytes + 500e6);
  });

  it('are described by name and by path, and known by their content, not their name', async () => {
    const named = await inspectModel('ollama:smollm2:135m', extensionFolder);
    assert.equal(named.problem, undefined);
    assert.deepEqual(
      [named.name, named.folder, named.source, named.hiddenSize, named.numLayers, named.weightBytes],
      ['ollama:smollm2:135m', blob, 'local', 576, 30, 98_362_432],
    );
    assert(named.memory!.native < named.memory!.f32);
    const file = await inspectModel(smollm2!, extensionFolder);
    assert.deepEqual([file.name, file.source], ['SmolLM2-135M-Instruct.Q4_1', 'folder']);
    assert.equal(file.fingerprint, named.fingerprint);
    const other = await inspectModel(gemma3!, extensionFolder);
    assert.equal(other.architecture, 'Gemma3ForCausalLM');
    assert.notEqual(other.fingerprint, named.fingerprint);
  });
});
