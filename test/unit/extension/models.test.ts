import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'mocha';
import { ggufItems, repositoryText } from '../../../src/extension/models/ggufItems.ts';
import { fileMemoryWarning, memoryWarning } from '../../../src/extension/models/memoryWarning.ts';
import { modelSections, type PickSection } from '../../../src/extension/models/modelItems.ts';
import { progressText } from '../../../src/extension/models/progressText.ts';
import { tokenFileSections } from '../../../src/extension/models/tokenFileItems.ts';
import { checkEntries, readEntries, writeEntries } from '../../../src/extension/models/userEntries.ts';
import { explain } from '../../../src/extension/models/wayOut.ts';
import { loadCatalogue } from '../../../src/hub/catalogue.ts';
import { HubError, type HubProblem } from '../../../src/hub/hubError.ts';
import { overview, type OverviewRow } from '../../../src/hub/overview.ts';
import type { ModelInfo, TokenFileInfo } from '../../../src/protocol/comparison.ts';
import type { LocalModel } from '../../../src/protocol/localModels.ts';
import { UserError } from '../../../src/protocol/errors.ts';

const own = {
  id: 'own',
  title: 'Own Model',
  repository: 'me/own',
  gated: true,
  licence: 'Own Licence',
  downloadBytes: 5e9,
};
const catalogue = loadCatalogue([own]);
const cacheDir = '/hub';
const gigabyte = 1e9;
/** A laptop. */
const memory = { available: 6 * gigabyte, total: 8 * gigabyte };
const rowsOfEmptyCache = (): Promise<OverviewRow[]> => overview({ catalogue, cacheDir: '/nowhere', memory });

const demo: ModelInfo = {
  ...{ id: 'demo', name: 'demo', folder: '/extension/media/demo', source: 'built-in', architecture: 'Llama' },
  ...{ hiddenSize: 128, numLayers: 5, contextLength: 512, weightBytes: 2.3e6, fingerprint: 'f' },
};
const anyMemory = { native: 1e8, f32: 1e9, int8: 3e8, int4: 2e8 };
const mistral: ModelInfo = { ...demo, id: 'mistral-7b-v0.1', name: 'mistral-7b-v0.1', hiddenSize: 4096 };
const tokenFile = (name: string, hiddenSize: number, backbone?: string): TokenFileInfo => ({
  ...{ path: `/files/${name}`, name, source: 'folder', rows: 50, hiddenSize, dtype: 'float32', sha256: 'x' },
  ...(backbone !== undefined && { backbone }),
});

/** The sections as text: `icon label | description | detail`. */
function listing(sections: readonly PickSection<unknown>[]): Record<string, string[]> {
  return Object.fromEntries(
    sections.map(({ title, items }) => [
      title,
      items.map(({ icon, label, description, detail }) => `${icon} ${label} | ${description} | ${detail}`),
    ]),
  );
}

describe('the quick pick of models', () => {
  it('has sections by state and memory, with size, licence, gate and embedding file', async () => {
    const rows = await rowsOfEmptyCache();
    const folder = { ...demo, id: '/models/mine', name: 'mine', folder: '/models/mine' };
    const sections = modelSections({
      rows,
      local: [],
      known: [demo, folder],
      current: 'demo',
      catalogue,
      cacheDir,
    });
    const shown = listing(sections);
    assert.deepEqual(Object.keys(shown), [
      'On this machine',
      'A file or folder of yours',
      'From the Hugging Face Hub',
      'Need more memory than this machine has',
    ]);
    assert.deepEqual(
      shown['A file or folder of yours']!.map((line) => line.split(' | ')[0]),
      ['file-binary A local .gguf file…', 'folder-opened A local folder…'],
    );
    assert.match(shown['From the Hugging Face Hub']!.at(-1)!, /Another Hub repository…/);
    assert.deepEqual(
      shown['On this machine']!.map((line) => line.split(' | ')[0]),
      ['check Demo model (built in)', 'folder mine'],
    );
    assert.match(shown['On this machine']![0]!, /built in · MIT · base model \| runs here in float32/);
    // The user's own entry comes first; nobody knows whether it fits.
    const hubLines = shown['From the Hugging Face Hub']!;
    assert.match(
      hubLines[0]!,
      /^lock Own Model \| download, 5\.0 GB · Own Licence \(gated: accept it on the Hub\) \| $/,
    );
    assert.match(
      hubLines.find((line) => line.includes('SmolLM2 135M'))!,
      /^cloud-download .* \| download, 271 MB · Apache-2\.0 \| runs here in float32, about .* of memory$/,
    );
    assert.match(
      hubLines.find((line) => line.includes('Mistral 7B v0.1'))!,
      /int4, about .*embedding file: spring-mistral-7b ·/,
    );
    for (const line of shown['Need more memory than this machine has']!) {
      assert.match(line, /^warning .*needs more memory than this machine has: .* even in int4/);
    }
  });

  it('what is unfinished can be gone on with and removed; what is here is used at once', async () => {
    const rows = (await rowsOfEmptyCache()).map((row): OverviewRow => {
      if (row.entry.id === 'own') return { ...row, state: 'partial', diskBytes: 1e9 };
      if (row.entry.id === 'smollm2-135m-instruct') return { ...row, state: 'downloaded', diskBytes: 271e6 };
      return row;
    });
    const sections = modelSections({ rows, local: [], known: [], current: null, catalogue, cacheDir });
    const unfinished = sections.find(({ title }) => title === 'Unfinished downloads')!.items;
    assert.deepEqual(
      unfinished.map(({ label, description, choice, removable }) => [
        ...[label, description.split(' · ')[0], choice.kind, removable],
      ]),
      [['Own Model', 'unfinished: 1.0 GB of 5.0 GB', 'download', true]],
    );
    const [, smol] = sections[0]!.items;
    assert.equal(smol!.description, 'downloaded, 271 MB · Apache-2.0');
    assert.deepEqual([smol!.choice.kind, smol!.removable], ['here', true]);
    assert.equal(sections[0]!.items[0]!.removable, false);
  });
});

describe('models of other programs in the quick pick', () => {
  const local = (name: string, changes: Partial<LocalModel> = {}): LocalModel => ({
    ...{ name, otherNames: [], store: 'Ollama', path: `/store/${name}`, bytes: 98e6, architecture: 'llama' },
    ...{ quantization: 'Q4_1', parameters: 135e6, contextLength: 8192, chat: true, memoryBytes: 454e6 },
    ...{ fit: 'runs', problem: null, ...changes },
  });

  it('stand under "On this machine"; what cannot run comes last, with its reason', async () => {
    const rows = (await rowsOfEmptyCache()).map((row): OverviewRow =>
      row.entry.id === 'gemma-3-1b-it-gguf'
        ? { ...row, state: 'downloaded', path: '/hub/gemma-Q4_K_M.gguf', diskBytes: 806e6 }
        : row,
    );
    const models = [
      local('ollama:smollm2:135m', { otherNames: ['ollama:smollm2:latest'] }),
      local('lm-studio:p/m/base', { store: 'LM Studio', chat: false, fit: 'tight' }),
      local('ollama:huge:latest', { bytes: 40e9, memoryBytes: 42e9, fit: 'too-large' }),
      local('ollama:far:cloud', { path: null, bytes: 0, problem: "It runs in Ollama's cloud." }),
      local('ggml-org/gemma-3-1b-it-GGUF:Q4_K_M', {
        store: 'Hugging Face Hub',
        path: '/hub/gemma-Q4_K_M.gguf',
      }),
    ];
    const used = { ...demo, id: 'ollama:smollm2:135m', name: 'x', folder: '/store/ollama:smollm2:135m' };
    const file = { ...demo, id: '/files/own.gguf', name: 'own', folder: '/files/own.gguf' };
    const input = { rows, local: models, catalogue, cacheDir, current: 'ollama:smollm2:latest' };
    const sections = modelSections({ ...input, known: [demo, used, { ...file, memory: anyMemory }] });
    const shown = listing(sections);
    assert.deepEqual(
      sections.map(({ title }) => title),
      [
        'On this machine',
        'A file or folder of yours',
        'From the Hugging Face Hub',
        'Need more memory than this machine has',
        'On this machine, but not to be used',
      ],
    );
    // Each file once: what the list has downloaded, and what was used before, are not listed again.
    assert.deepEqual(shown['On this machine']!.slice(1), [
      'chip Gemma 3 1B Instruct, GGUF | downloaded, 806 MB · Gemma | runs here in the quantisation of its file, about 1.2 GB of memory',
      'check ollama:smollm2:135m | Ollama · 98 MB · Q4_1 | runs here, about 454 MB of memory · ollama:smollm2:latest',
      'chip lm-studio:p/m/base | LM Studio · 98 MB · Q4_1 · base model | runs here if other programs make room: about 454 MB of memory',
      'chip own | GGUF file · 2.3 MB · Llama | /files/own.gguf',
    ]);
    assert.match(
      shown['Need more memory than this machine has']![0]!,
      /^warning ollama:huge:latest \| Ollama · 40 GB .*: 42 GB$/,
    );
    const [far] = sections.at(-1)!.items;
    assert.deepEqual(
      [far!.icon, far!.description, far!.choice],
      [
        'circle-slash',
        'Ollama · Q4_1',
        { kind: 'misfit', message: "ollama:far:cloud cannot be used. It runs in Ollama's cloud." },
      ],
    );
  });

  it("a GGUF file of the Hub's cache that nobody lists can be removed, those of other programs cannot", async () => {
    const path = join(cacheDir, 'models--a--b/snapshots/0/b-Q8_0.gguf');
    const models = [
      local('a/b:Q8_0', { store: 'Hugging Face Hub', path }),
      local('c/d:Q8_0', {
        store: 'llama.cpp',
        path: '/cache/llama.cpp/models--c--d/snapshots/0/d-Q8_0.gguf',
      }),
      local('ollama:x:1b'),
      local('e/f:F16', { path: join(cacheDir, 'f-F16.gguf'), problem: 'A part is missing.' }),
    ];
    const rows = await rowsOfEmptyCache();
    const sections = modelSections({ rows, local: models, known: [], current: null, catalogue, cacheDir });
    const items = sections.flatMap((section) => section.items).filter(({ removable }) => removable === true);
    assert.deepEqual(
      items.map(({ label, choice }) => [
        label,
        choice.kind,
        'row' in choice && [choice.row?.entry.repository, choice.row?.entry.file],
      ]),
      [
        ['a/b:Q8_0', 'here', ['a/b', 'Q8_0']],
        ['e/f:F16', 'misfit', ['e/f', 'F16']],
      ],
    );
  });

  it('quantisations of a repository: the recommended first, with sizes and memory', () => {
    const files = [
      ...[
        { path: 'b-Q8_0.gguf', size: 8e9 },
        { path: 'b-Q4_0.gguf', size: 4e9 },
        { path: 'b-Q2_K.gguf', size: 2e9 },
      ],
      ...[
        { path: 'mmproj.gguf', size: 1e9 },
        { path: 'README.md', size: 100 },
      ],
    ];
    assert.deepEqual(
      ggufItems(files, memory).map(({ icon, label, description, tag }) => [
        `${icon} ${label}`,
        description,
        tag,
      ]),
      [
        ['star Q2_K', '2.0 GB, recommended', 'Q2_K'],
        ['cloud-download Q4_0', '4.0 GB', 'Q4_0'],
        ['warning Q8_0', '8.0 GB', 'Q8_0'],
      ],
    );
    assert.match(ggufItems(files, memory).at(-1)!.detail, /^needs more memory than this machine has: 10 GB$/);
  });

  it('addresses of pages name repositories and files', () => {
    const typed: Record<string, string> = {
      ' a/b ': 'a/b',
      'a/b:Q4_0': 'a/b:Q4_0',
      'https://hub.example/a/b?x=1': 'a/b',
      'https://hub.example/a/b/tree/main': 'a/b',
      'https://hub.example/a/b/blob/main/x/c-Q4_0.gguf': 'a/b:x/c-Q4_0.gguf',
      'https://hub.example/a/b/resolve/v1/c.gguf?download=true': 'a/b@v1:c.gguf',
    };
    for (const [text, expected] of Object.entries(typed)) assert.equal(repositoryText(text), expected, text);
  });

  it('a file that the machine cannot hold is warned of', () => {
    assert.equal(fileMemoryWarning('S', 1e9, memory), null);
    assert.match(
      fileMemoryWarning('L', 42e9, memory)!,
      /^L needs about 42 GB of memory, and this machine has 8\.0 GB/,
    );
  });
});

describe('the quick pick of embedding files', () => {
  it('sorts by fit: of this model, of the same width, of another width', async () => {
    const known = [
      tokenFile('own.pt', 4096, 'mistralai/Mistral-7B-v0.1'),
      tokenFile('unnamed.pt', 4096),
      tokenFile('narrow.pt', 128),
      { ...tokenFile('broken.pt', 0), problem: 'broken.pt is no file of virtual tokens.' },
    ];
    const rows = await rowsOfEmptyCache();
    const shown = tokenFileSections({ rows, known, model: mistral, current: '/files/own.pt', catalogue });
    const labels = shown.map(({ title, items }) => [
      title,
      items.map(({ icon, label }) => `${icon} ${label}`),
    ]);
    const released = (id: string): string => rows.find(({ entry }) => entry.id === id)!.entry.title;
    assert.deepEqual(labels.slice(0, 2), [
      ['For mistral-7b-v0.1', ['check own.pt', `cloud-download ${released('spring-mistral-7b')}`]],
      [
        'Width fits, but made for another or an unknown model',
        [
          'warning unnamed.pt',
          ...['spring-mistral-7b-instruct', 'spring-llama-2-7b-chat', 'spring-llama-2-7b'].map(
            (id) => `warning ${released(id)}`,
          ),
        ],
      ],
    ]);
    assert.match(shown[1]!.items[0]!.detail, /does not say which model/);
    const misfits = shown[2]!.items;
    assert.equal(shown[2]!.title, 'Cannot be used with mistral-7b-v0.1');
    assert.ok(misfits.some(({ icon, label }) => icon === 'error' && label === 'broken.pt'));
    // A file of another width is not downloaded in vain.
    const large = misfits.find(({ label }) => label === released('spring-llama-2-13b'))!;
    assert.equal(large.choice.kind, 'misfit');
    assert.match(large.detail, /rows of 5120 numbers, but mistral-7b-v0\.1 takes 4096/);
  });
});

describe('a failed download', () => {
  const about = {
    ...{ name: 'Own Model', repository: 'me/own', endpoint: 'https://hub.example', hasToken: false },
    ...{ neededBytes: null, freeBytes: null },
  };
  const error = (problem: HubProblem): HubError => new HubError(problem, `The message of ${problem}.`);
  const waysOf = (problem: HubProblem, hasToken = false): string[] =>
    explain(error(problem), { ...about, hasToken }).ways.map(({ way }) => way);

  it('has a way out for every problem', () => {
    assert.deepEqual(waysOf('gated'), ['open-page', 'give-token']);
    assert.deepEqual(waysOf('gated', true), ['open-page', 'retry', 'give-token']);
    assert.deepEqual(waysOf('unauthorized'), ['open-page', 'give-token', 'choose-another']);
    assert.deepEqual(waysOf('unauthorized', true), ['give-token', 'forget-token', 'open-page']);
    assert.deepEqual(waysOf('disk-full'), ['remove-models', 'retry']);
    assert.deepEqual(waysOf('offline'), ['retry', 'choose-another']);
    assert.deepEqual(waysOf('rate-limited'), ['retry', 'give-token']);
    assert.deepEqual(waysOf('rate-limited', true), ['retry']);
    assert.deepEqual(waysOf('not-found'), ['choose-another', 'open-page']);
    assert.deepEqual(waysOf('unsupported'), ['choose-another', 'open-page']);
    assert.deepEqual(waysOf('wrong-content'), ['retry']);
    assert.deepEqual(waysOf('server'), ['retry']);
    assert.deepEqual(
      explain(new UserError('The cache cannot be written.'), about).ways.map(({ way }) => way),
      ['retry', 'choose-another'],
    );
    assert.deepEqual(
      explain(new Error('a bug'), about).ways.map(({ way }) => way),
      ['retry', 'show-log'],
    );
  });

  it('names the page, how much room is missing, and calls offline a state', () => {
    const gated = explain(error('gated'), about);
    assert.match(gated.message, /^Own Model is gated.*https:\/\/hub\.example\/settings\/tokens/);
    assert.equal(gated.modal, true);
    const full = explain(error('disk-full'), { ...about, neededBytes: 5e9, freeBytes: 1e9 });
    assert.match(
      full.message,
      /4\.1 GB are missing for Own Model \(5\.0 GB to download and 100 MB to spare, 1\.0 GB free\)/,
    );
    assert.equal(explain(error('offline'), about).severity, 'info');
    assert.equal(explain(error('rate-limited'), about).message, 'The message of rate-limited.');
  });

  it('tells its progress with rate and time left', () => {
    const progress = {
      type: 'progress',
      phase: 'download',
      file: 'f',
      doneBytes: 1e8,
      totalBytes: 3e8,
    } as const;
    assert.equal(
      progressText({ ...progress, bytesPerSecond: 1e7, secondsLeft: 20 }),
      '100 MB of 300 MB, 10 MB/s, 20 s left',
    );
    assert.equal(
      progressText({ ...progress, bytesPerSecond: 0, secondsLeft: null }),
      '100 MB of 300 MB, 0 B/s',
    );
    assert.equal(
      progressText({ type: 'waiting', reason: 'too many requests (429)', seconds: 30 }),
      'waiting 30 s (too many requests (429))',
    );
  });
});

describe('the memory estimate before loading', () => {
  const shapeOf = (id: string): Parameters<typeof memoryWarning>[1] =>
    catalogue.models.find((entry) => entry.id === id)!.shape!;
  const auto = { device: 'auto', precision: 'auto' } as const;

  it('warns of what the machine cannot hold, and of a precision that it cannot', () => {
    const small = shapeOf('smollm2-135m-instruct');
    const large = shapeOf('llama-2-13b');
    assert.equal(memoryWarning('S', small, auto, memory), null);
    assert.match(
      memoryWarning('L', large, auto, memory)!,
      /^L needs about .* even in int4, and this machine has 8\.0 GB/,
    );
    const seven = shapeOf('mistral-7b-v0.1');
    assert.equal(memoryWarning('M', seven, auto, memory), null);
    assert.match(
      memoryWarning('M', seven, { device: 'cpu', precision: 'f32' }, memory)!,
      /^M in f32 needs about .*The precision int4 would need/,
    );
    assert.equal(memoryWarning('L', large, { device: 'webgpu', precision: 'auto' }, memory), null);
  });
});

describe("the user's own entries", () => {
  it('a wrong one is left out with its reason, the others go to the engine', () => {
    const wrong = { id: 'wrong' };
    const { entries, problems } = checkEntries([own, wrong]);
    assert.deepEqual(entries, [own]);
    assert.equal(problems.length, 1);
    assert.match(problems[0]!, /"wrong".*repository/);
    const folder = mkdtempSync(join(tmpdir(), 'spring-entries-'));
    try {
      const file = join(folder, 'new/models.json');
      writeEntries(file, entries);
      assert.deepEqual(readEntries(file), entries);
      assert.deepEqual(readEntries(join(folder, 'none.json')), []);
      assert.deepEqual(readEntries(undefined), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
