/** Records and state files of this software itself: experiments, runs, events, adapters, entries of the list of models. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCatalogue } from '../../../src/hub/catalogue.ts';
import { messageOf, UserError } from '../../../src/protocol/errors.ts';
import { parseRecord, recordFormat } from '../../../src/protocol/record.ts';
import { parseEvents } from '../../../src/protocol/training.ts';
import { parseRun } from '../../../src/protocol/trainingRun.ts';
import { defaultTrainingSettings } from '../../../src/spring/training/settings.ts';
import { readState, writeState } from '../../../src/spring/training/state.ts';
import type { FuzzReader, Seed } from '../reader.ts';

const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

const experiment = {
  ...{ format: recordFormat, version: 1, createdAt: '2026-01-01', question: 'Which port?' },
  software: { extension: '0.1.0', node: '24', platform: 'linux-x64' },
  passages: [
    {
      ...{
        text: 'Port 8080.',
        path: 'a.md',
        startLine: 1,
        endLine: 2,
        score: 1.5,
        ticked: true,
        origin: 'retrieved',
      },
      ...{ rank: 1, titlePath: ['A'], bm25Rank: 1, vectorRank: null },
    },
  ],
  index: { files: 1, chunks: 2, updatedAt: '2026-01-01', contentHash: 'h', passageCount: 3 },
  model: {
    ...{ id: 'demo', name: 'demo', architecture: 'LlamaForCausalLM', hiddenSize: 8, fingerprint: 'f' },
    ...{ requestedDevice: 'auto', requestedPrecision: 'auto', device: 'cpu', precision: 'f32' },
  },
  tokenFile: { path: '/a.pt', name: 'a.pt', rows: 2, hiddenSize: 8, dtype: 'float32', sha256: 's' },
  settings: { maxNewTokens: 50, temperature: 0, alternatives: 5 },
  variants: [
    {
      ...{ id: 'spring:7', label: 'SPRING k=7', k: 7, prompt: [{ text: 'p' }, { virtualTokens: 7 }] },
      tokens: [{ tokenId: 5, text: 'x', logProbability: -1, alternatives: [] }],
      answer: null,
    },
  ],
};
const run = {
  ...{ version: 1, model: 'demo', modelName: 'Demo', data: 'd.jsonl', validationShare: 0.1 },
  ...{ tokenFile: '/t.safetensors', workspace: null, createdAt: '2026-01-01' },
  settings: { ...defaultTrainingSettings, numTokens: 4, steps: 2, maxLength: 512 },
};
const entries = [
  { id: 'mine', repository: 'owner/name', kind: 'chat', title: 'Mine', downloadBytes: 5 },
  { id: 'tokens', folder: '/t', kind: 'token-file', file: 't.pt', backbone: 'mine', hiddenSize: 8 },
];
const events = [
  { type: 'start', step: 0, steps: 2, examples: 3, validationExamples: 1, resumed: false },
  { type: 'saved', step: 1, path: '/t' },
];

export const records: FuzzReader = {
  name: 'records',
  async seeds(folder) {
    const state = join(folder, 'state');
    const rows = Float32Array.of(1, 2, 3, 4);
    const moments = { firstMoments: rows, secondMoments: rows };
    const best = { step: 1, loss: 1, rows };
    await writeState(
      state,
      { step: 2, rows, ...moments, validatedStep: 1, best, validationsWithoutGain: 0 },
      2,
      'f',
    );
    const seeds: Seed[] = [
      { 'a.spring.json': json(experiment) },
      { 'run.json': json(run) },
      { 'models.json': json(entries) },
      { 'events.jsonl': Buffer.from(events.map((event) => JSON.stringify(event)).join('\n')) },
      { state: readFileSync(state) },
    ];
    return seeds;
  },
  async read(folder) {
    const textOf = (name: string): string | undefined => {
      const path = join(folder, name);
      return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
    };
    const record = textOf('a.spring.json');
    if (record !== undefined) parseRecord(record);
    const description = textOf('run.json');
    if (description !== undefined) parseRun(description, 'run.json');
    parseEvents(textOf('events.jsonl') ?? '');
    if (existsSync(join(folder, 'state'))) await readState(join(folder, 'state'), 'f');
    const models = textOf('models.json');
    if (models !== undefined) loadCatalogue(listOf(models));
  },
};

function listOf(text: string): unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? value : [];
  } catch (error) {
    throw new UserError(messageOf(error));
  }
}
