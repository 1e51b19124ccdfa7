/**
 * Every field of config.json that transformers knows for a supported architecture, and some that it does not, with
 * another value: what changes transformers' logits must change the configuration here or be refused, and what does not
 * must not. docs/models.md says what is done with each.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { openCheckpoint } from '../../../src/checkpoint/checkpoint.ts';
import type { JsonObject } from '../../../src/checkpoint/files.ts';
import type { ModelConfig } from '../../../src/checkpoint/types.ts';
import { UserError } from '../../../src/protocol/errors.ts';
import {
  removeFolder,
  temporaryFolder,
  writeCheckpoint,
  writeJson,
} from '../../fixtures/checkpoint/tinyCheckpoint.ts';

interface Entry {
  config: JsonObject;
  /** What another value did to transformers' logits. */
  fields: Record<string, { value: unknown; effect: 'same' | 'other' | 'refused' }>;
}

const root = resolve(import.meta.dirname, '../../..');
const models = JSON.parse(readFileSync(join(root, 'test/fixtures/fields.json'), 'utf8')) as Record<
  string,
  Entry
>;

describe('fields of config.json', () => {
  let folder: string;
  before(() => (folder = temporaryFolder()));
  after(() => removeFolder(folder));

  /** By field: what was done in each architecture. */
  const done = new Map<string, Set<string>>();

  for (const [model, { config, fields }] of Object.entries(models)) {
    it(`${model}: equal to transformers, or refused`, async () => {
      const path = join(folder, model);
      await writeCheckpoint(path, config);
      const before = (await openCheckpoint(path)).config;
      for (const [name, { value, effect }] of Object.entries(fields)) {
        writeJson(join(path, 'config.json'), { ...config, [name]: value });
        const after = await openedConfig(path);
        const changed = after !== undefined && !isSame(computing(after), computing(before));
        const what = `${model}: ${name} ${JSON.stringify(value)}`;
        if (effect === 'other') assert.ok(!after || changed, `${what} changes nothing here`);
        else assert.ok(!changed, `${what} changes the computation here, but not in transformers`);
        const known = done.get(name) ?? new Set();
        done.set(name, known.add(!after ? 'refused' : isSame(after, before) ? 'ignored' : 'computed'));
      }
    });
  }

  it('are listed in docs/models.md, with what is done', () => {
    const listed = documentedFields();
    assert.deepEqual([...listed.keys()].toSorted(), [...done.keys()].toSorted());
    for (const [name, treatments] of done) {
      const treatment = listed.get(name)!;
      if (treatment === 'ignored') assert.deepEqual([...treatments], ['ignored'], name);
      else assert.ok(treatments.has(treatment) || treatments.has('refused'), `${name} is not ${treatment}`);
    }
  });
});

/** Undefined where the checkpoint is refused. */
async function openedConfig(path: string): Promise<ModelConfig | undefined> {
  try {
    return (await openCheckpoint(path)).config;
  } catch (error) {
    assert.ok(error instanceof UserError, String(error));
    return undefined;
  }
}

/** What the logits depend on: not where an answer ends or how long it may be. */
function computing(config: ModelConfig): object {
  // of rotations without a factor the original length says nothing
  const ropes = config.ropes.map((rope) =>
    rope?.type === 'linear' ? { ...rope, originalMaxPositionEmbeddings: 0 } : rope,
  );
  return {
    ...config,
    ropes,
    bosTokenId: 0,
    eosTokenIds: [],
    padTokenId: 0,
    maxPositionEmbeddings: 0,
  };
}

function isSame(one: object, other: object): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The rows `| fields | treatment | remark |` of the table. */
function documentedFields(): Map<string, string> {
  const text = readFileSync(join(root, 'docs/models.md'), 'utf8');
  const section = text.slice(text.indexOf('## Fields of config.json'));
  const fields = new Map<string, string>();
  for (const [, names, treatment] of section.matchAll(/^\| (`.+?) \| (computed|ignored|refused) \|/gm)) {
    for (const [, name] of names!.matchAll(/`(\w+)`/g)) fields.set(name!, treatment!);
  }
  return fields;
}
