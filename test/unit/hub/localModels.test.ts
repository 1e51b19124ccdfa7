import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findLocalModel, localModels } from '../../../src/hub/localModels.ts';
import { resolveModel } from '../../../src/hub/resolve.ts';
import type { StoreEnvironment } from '../../../src/hub/stores/store.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import type { LocalModel } from '../../../src/protocol/localModels.ts';
import { addBlob, addToOllama, writeManifest } from '../../fixtures/hub/ollamaStore.ts';
import { splitMetadata, tinyGguf, tinyParameters } from '../../support/tinyGguf.ts';

const commit = '0123456789abcdef0123456789abcdef01234567';
const older = 'f'.repeat(40);
const memory = { available: 6e9, total: 8e9 };
const library = 'registry.ollama.ai/library';

describe('models on this machine', () => {
  let home: string;
  let environment: StoreEnvironment;
  let ollama: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'spring-stores-'));
    ollama = join(home, '.ollama/models');
    environment = { home, variables: {}, platform: 'darwin', cacheDir: join(home, 'hub') };
  });
  afterEach(() => rmSync(home, { recursive: true, force: true }));

  const write = (path: string, bytes: Buffer | string): string => {
    const file = join(home, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, bytes);
    return file;
  };
  const list = (variables: Record<string, string> = {}): Promise<LocalModel[]> =>
    localModels({ environment: { ...environment, variables }, memory });
  const shown = async (): Promise<Record<string, string | null>> =>
    Object.fromEntries((await list()).map(({ name, problem }) => [name, problem]));
  const refused = (promise: Promise<unknown>, message: RegExp): Promise<void> =>
    assert.rejects(promise, (error) => error instanceof UserError && message.test(error.message));

  it('nothing at all is an empty list', async () => {
    assert.deepEqual(await list(), []);
    assert.deepEqual(await list({ OLLAMA_MODELS: '/nowhere', LLAMA_CACHE: '/nowhere' }), []);
  });

  it("Ollama's models by the names that it lists, with what their headers say", async () => {
    const file = tinyGguf({
      metadata: [
        ['general.file_type', ['uint32', 2]],
        ['tokenizer.chat_template', ['string', '{{ messages }}']],
      ],
    });
    const blob = addToOllama(ollama, `${library}/tiny/1b`, [
      ['model', file],
      ['template', Buffer.from('{{ .Prompt }}')],
      ['params', Buffer.from('{"stop":["x"]}')],
    ]);
    addToOllama(ollama, `${library}/tiny/latest`, [['model', file]]);
    addToOllama(ollama, 'registry.ollama.ai/me/own/latest', [['model', tinyGguf({ seed: 1 })]]);
    addToOllama(ollama, 'hf.co/owner/name-GGUF/Q4_0', [['model', tinyGguf({ seed: 2 })]]);
    const models = await list();
    assert.deepEqual(
      models.map(({ name, otherNames, store }) => [name, otherNames, store]),
      [
        ['ollama:hf.co/owner/name-GGUF:Q4_0', [], 'Ollama'],
        ['ollama:me/own:latest', [], 'Ollama'],
        ['ollama:tiny:1b', ['ollama:tiny:latest'], 'Ollama'],
      ],
    );
    const { memoryBytes, ...tiny } = models[2]!;
    assert.deepEqual(tiny, {
      ...{ name: 'ollama:tiny:1b', otherNames: ['ollama:tiny:latest'], store: 'Ollama', path: blob },
      ...{ bytes: file.length, architecture: 'llama', quantization: 'Q4_0', parameters: tinyParameters },
      ...{ contextLength: 1024, chat: true, fit: 'runs', problem: null },
    });
    // Keys and values: two layers, two heads of 16 values, 1024 positions, keys and values in float32.
    assert(memoryBytes! > 150e6 + file.length + 2 * 2 * 2 * 16 * 1024 * 4, String(memoryBytes));
    assert.equal(models[0]!.chat, false);
  });

  it('a name, whole or short, gives the file; one that fits several is refused with their names', async () => {
    const blob = addToOllama(ollama, `${library}/tiny/latest`, [['model', tinyGguf()]]);
    const studio = write('.lmstudio/models/me/own/Own-Q4_0.gguf', tinyGguf({ seed: 1 }));
    write('.lmstudio/models/me/other/Same-Q4_0.gguf', tinyGguf({ seed: 2 }));
    write('Library/Caches/llama.cpp/Same-Q4_0.gguf', tinyGguf({ seed: 3 }));
    for (const name of ['ollama:tiny:latest', 'tiny:latest', 'tiny', 'Tiny']) {
      assert.equal(await findLocalModel(name, environment), blob, name);
      assert.equal(await resolveModel(name, { environment, cacheDir: environment.cacheDir }), blob, name);
    }
    for (const name of ['lm-studio:me/own/Own-Q4_0', 'me/own/Own-Q4_0', 'own-q4_0', 'Own-Q4_0.gguf']) {
      assert.equal(await findLocalModel(name, environment), studio, name);
    }
    assert.equal(await findLocalModel('ollama:other', environment), undefined);
    await refused(
      findLocalModel('same-q4_0', environment),
      /several models .*: lm-studio:me\/other\/Same-Q4_0, llama\.cpp:Same-Q4_0\./,
    );
    await refused(
      resolveModel('nothing', { environment, cacheDir: environment.cacheDir }),
      /no model "nothing"/,
    );
  });

  it('a GGUF file is known by its first bytes, whatever its name', async () => {
    const blob = addBlob(ollama, tinyGguf()).path;
    assert.equal(await resolveModel(blob), blob);
    const other = write('model.gguf', 'no GGUF');
    await refused(resolveModel(other), /model\.gguf is not a GGUF file/);
  });

  it('entries in the cloud, of single tensors, with adapters, damaged or without their file say so', async () => {
    addToOllama(ollama, `${library}/huge/cloud`, [], { remote_host: 'https://ollama.com:443' });
    addToOllama(
      ollama,
      `${library}/mlx/latest`,
      [
        ['tensor', Buffer.from('a')],
        ['tensor', Buffer.from('b')],
      ],
      { model_format: 'safetensors' },
    );
    const base = tinyGguf({ seed: 4 });
    addToOllama(ollama, `${library}/base/latest`, [['model', base]]);
    addToOllama(ollama, `${library}/tuned/latest`, [
      ['model', base],
      ['adapter', Buffer.from('GGUF adapter')],
    ]);
    rmSync(addToOllama(ollama, `${library}/gone/latest`, [['model', tinyGguf({ seed: 5 })]]));
    writeManifest(ollama, `${library}/broken/latest`, '{"layers": [');
    writeManifest(ollama, `${library}/null/latest`, 'null');
    writeManifest(
      ollama,
      `${library}/hostile/latest`,
      JSON.stringify({
        layers: [{ mediaType: 'application/vnd.ollama.image.model', digest: 'sha256:../../../etc/passwd' }],
      }),
    );
    writeManifest(ollama, `${library}/odd/latest`, JSON.stringify({ layers: [null, 3, { mediaType: 7 }] }));
    mkdirSync(join(ollama, `manifests/${library}/folder/latest`), { recursive: true });
    const problems = await shown();
    assert.equal(problems['ollama:base:latest'], null);
    assert.match(problems['ollama:huge:cloud']!, /cloud/);
    assert.match(problems['ollama:mlx:latest']!, /MLX.*GGUF version/);
    assert.match(problems['ollama:tuned:latest']!, /adapter/);
    assert.match(problems['ollama:gone:latest']!, /missing: pull it again/);
    for (const name of ['broken', 'null', 'hostile', 'folder']) {
      assert.match(problems[`ollama:${name}:latest`]!, /manifest (is damaged|cannot be read)/, name);
    }
    assert.match(problems['ollama:odd:latest']!, /no GGUF file/);
    await refused(findLocalModel('huge:cloud', environment), /ollama:huge:cloud cannot be used\. .*cloud/);
  });

  it('OLLAMA_MODELS, LLAMA_CACHE and the places of LM Studio', async () => {
    const elsewhere = join(home, 'elsewhere');
    addToOllama(elsewhere, `${library}/moved/latest`, [['model', tinyGguf()]]);
    write('llama/flat-Q8_0.gguf', tinyGguf({ seed: 1 }));
    write('studio/settings.json', JSON.stringify({ downloadsFolder: join(home, 'big disk') }));
    write('.lmstudio-home-pointer', `${join(home, 'studio')}\n`);
    write('big disk/p/m/m-Q4_0.gguf', tinyGguf({ seed: 2 }));
    write('studio/models/p/n/n-Q4_0.gguf', tinyGguf({ seed: 3 }));
    write('.cache/lm-studio/models/p/old/old-Q4_0.gguf', tinyGguf({ seed: 4 }));
    const models = await list({ OLLAMA_MODELS: elsewhere, LLAMA_CACHE: join(home, 'llama') });
    assert.deepEqual(
      models.map(({ name }) => name),
      [
        'llama.cpp:flat-Q8_0',
        'lm-studio:p/m/m-Q4_0',
        'lm-studio:p/n/n-Q4_0',
        'lm-studio:p/old/old-Q4_0',
        'ollama:moved:latest',
      ],
    );
  });

  /** Files of a repository as Python's huggingface_hub leaves them: links into blobs. */
  function cache(root: string, repository: string, at: string, files: Record<string, Buffer>): string {
    const folder = join(root, `models--${repository.replace('/', '--')}`);
    for (const [name, bytes] of Object.entries(files)) {
      const blob = join(folder, 'blobs', `${at.slice(0, 8)}-${name.replaceAll('/', '-')}`);
      const pointer = join(folder, 'snapshots', at, name);
      for (const path of [blob, pointer]) mkdirSync(dirname(path), { recursive: true });
      writeFileSync(blob, bytes);
      symlinkSync(blob, pointer);
    }
    return join(folder, 'snapshots', at);
  }

  it("the Hub's cache: several quantisations, snapshots and parts", async () => {
    const part = (number: number, seed: number): Buffer =>
      tinyGguf({ seed, metadata: splitMetadata(number, 2, 4) });
    cache(environment.cacheDir, 'a/b-GGUF', older, {
      'b-Q4_0.gguf': tinyGguf({ seed: 1 }),
      'b-Q8_0.gguf': tinyGguf(),
    });
    const main = cache(environment.cacheDir, 'a/b-GGUF', commit, {
      'b-Q4_0.gguf': tinyGguf({ seed: 2 }),
      'F16/b-F16-00001-of-00002.gguf': part(0, 3),
      'mmproj-F16.gguf': tinyGguf({ architecture: 'clip' }),
    });
    mkdirSync(join(main, '../../refs'));
    writeFileSync(join(main, '../../refs/main'), commit);
    utimesSync(main, new Date(0), new Date(0));
    const problems = await shown();
    assert.deepEqual(Object.keys(problems), ['a/b-GGUF:Q4_0', 'a/b-GGUF:Q8_0', 'a/b-GGUF:F16']);
    assert.match(problems['a/b-GGUF:F16']!, /is one of 2 parts, and part 2 is missing/);
    const options = { environment, cacheDir: environment.cacheDir };
    assert.equal(await resolveModel('a/b-GGUF:q4_0', options), join(main, 'b-Q4_0.gguf'));
    assert.match(await resolveModel('a/b-GGUF:Q8_0', options), new RegExp(`${older}/b-Q8_0\\.gguf$`));
    assert.match(
      await resolveModel(`a/b-GGUF@${older}:Q4_0`, options),
      new RegExp(`${older}/b-Q4_0\\.gguf$`),
    );
    await refused(resolveModel('a/b-GGUF', options), /several models.*a\/b-GGUF:Q4_0/);
    await refused(resolveModel('a/b-GGUF:Q5_K_M', options), /lacks Q5_K_M.*spring download a\/b-GGUF:Q5_K_M/);
    await refused(resolveModel('a/b-GGUF:F16', options), /part 2/);
  });

  it("llama.cpp's newer cache has the Hub's layout; a repository with one file needs no tag", async () => {
    const folder = cache(join(home, 'Library/Caches/llama.cpp'), 'ggml-org/tiny-GGUF', commit, {
      'tiny-Q8_0.gguf': tinyGguf(),
    });
    assert.deepEqual(Object.keys(await shown()), ['ggml-org/tiny-GGUF:Q8_0']);
    const options = { environment, cacheDir: environment.cacheDir };
    for (const name of ['ggml-org/tiny-GGUF', 'ggml-org/tiny-GGUF:Q8_0']) {
      assert.equal(await resolveModel(name, options), join(folder, 'tiny-Q8_0.gguf'), name);
    }
  });

  it('what cannot run says why: architecture, blocks, kind, a damaged header', async () => {
    const studio = (name: string, bytes: Buffer | string): string =>
      write(`.lmstudio/models/p/m/${name}.gguf`, bytes);
    const text = (value: string): ['string', string] => ['string', value];
    studio('fine', tinyGguf());
    studio('unknown', tinyGguf({ architecture: 'mamba' }));
    studio('markup', tinyGguf({ architecture: 'x](command:evil)\u001b[31m' + 'y'.repeat(500) }));
    studio('bert', tinyGguf({ architecture: 'nomic-bert' }));
    studio('pooled', tinyGguf({ architecture: 'qwen3', metadata: [['qwen3.pooling_type', ['uint32', 3]]] }));
    studio('adapter', tinyGguf({ metadata: [['general.type', text('adapter')]] }));
    studio('vision', tinyGguf({ architecture: 'clip' }));
    studio('cut', tinyGguf().subarray(0, 100));
    studio('text', 'This is no model.');
    studio('empty', '');
    studio('heads', tinyGguf({ metadata: [['llama.attention.head_count', text('many')]] }));
    studio('pre', tinyGguf({ metadata: [['tokenizer.ggml.pre', text('other')]] }));
    studio('words', tinyGguf({ metadata: [['tokenizer.ggml.model', text('t5')]] }));
    studio('capped', tinyGguf({ metadata: [['llama.attn_logit_softcapping', ['float32', 50]]] }));
    studio('context', tinyGguf({ metadata: [['llama.context_length', text('long')]] }));
    const problems = Object.fromEntries(
      Object.entries(await shown()).map(([name, problem]) => [name.replace('lm-studio:p/m/', ''), problem]),
    );
    assert.equal(problems['fine'], null);
    assert.equal(Object.keys(problems)[0], 'fine');
    assert.match(problems['unknown']!, /architecture "mamba" is not supported\. Supported: llama, /);
    assert.match(problems['markup']!, /architecture "x\] \(command:evil\)\\u001b/);
    assert(problems['markup']!.length < 300);
    assert.match(problems['bert']!, /embedding model/);
    assert.match(problems['pooled']!, /embedding model/);
    assert.match(problems['adapter']!, /LoRA adapter/);
    assert.match(problems['vision']!, /vision part/);
    assert.match(problems['context']!, /context_length/);
    for (const name of ['cut', 'text', 'empty']) assert(problems[name], name);
    assert.match(problems['heads']!, /^"llama\.attention\.head_count" is the text "many"/);
    assert.match(problems['pre']!, /pre-tokenizer "other" is not known/);
    assert.match(problems['words']!, /tokenizer "t5" is not supported/);
    assert.match(problems['capped']!, /soft caps are not supported/);
  });

  it('dangling links, loops, unreadable folders and pipes do no harm', async () => {
    const models = join(home, '.lmstudio/models');
    write('.lmstudio/models/p/m/fine-Q4_0.gguf', tinyGguf());
    symlinkSync(join(home, 'nowhere'), join(models, 'p/m/dangling.gguf'));
    symlinkSync(models, join(models, 'p/loop'));
    symlinkSync('self.gguf', join(models, 'p/m/self.gguf'));
    mkdirSync(join(models, 'p/folder.gguf'));
    mkdirSync(join(models, 'locked'), { mode: 0o000 });
    if (process.platform !== 'win32') execFileSync('mkfifo', [join(models, 'p/m/pipe.gguf')]);
    write('.lmstudio/models/p/m/unreadable.gguf', tinyGguf({ seed: 9 }));
    chmodSync(join(models, 'p/m/unreadable.gguf'), 0o000);
    const problems = await shown();
    assert.equal(problems['lm-studio:p/m/fine-Q4_0'], null);
    assert.deepEqual(
      Object.keys(problems).filter((name) => !/fine|unreadable/.test(name)),
      [],
    );
    chmodSync(join(models, 'locked'), 0o700);
  });

  it('a file that changes is looked at again', async () => {
    const file = write('.lmstudio/models/p/m/m.gguf', tinyGguf());
    assert.equal((await list())[0]!.contextLength, 1024);
    writeFileSync(file, tinyGguf({ metadata: [['llama.context_length', ['uint32', 77]]] }));
    utimesSync(file, new Date(), new Date(Date.now() + 5000));
    assert.equal((await list())[0]!.contextLength, 77);
  });

  it('thousands of files: in bounded time, each listed, the rest known the next time', async function () {
    this.timeout(60_000);
    for (let index = 0; index < 3000; index++) {
      write(`.lmstudio/models/p/m${String(index % 50)}/x${String(index)}.gguf`, tinyGguf({ seed: index }));
    }
    const start = performance.now();
    const first = await localModels({ environment, memory, budgetMs: 50 });
    const took = performance.now() - start;
    assert.equal(first.length, 3000);
    assert(took < 5000, `${String(took)} ms`);
    assert(first.every(({ problem }) => problem === null));
    const unread = (models: readonly LocalModel[]): number =>
      models.filter(({ architecture }) => architecture === '').length;
    assert(unread(first) > 0);
    assert.equal(unread(await localModels({ environment, memory, budgetMs: 60_000 })), 0);
  });
});
