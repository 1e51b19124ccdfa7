import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseModelConfig } from '../../../src/checkpoint/config.ts';
import { contextLength } from '../../../src/checkpoint/ropeConfig.ts';
import type { JsonObject } from '../../../src/checkpoint/files.ts';
import type { RopeConfig } from '../../../src/checkpoint/types.ts';
import { outgrowsKeys, ropeRegime, ropeTables } from '../../../src/decoder/rope.ts';
import { UserError } from '../../../src/protocol/errors.ts';

interface Entry {
  name: string;
  config: JsonObject;
  /** What transformers computes; absent where it refuses. */
  lengths?: { length: number; inverse_frequencies: number[]; attention_factor: number }[];
  refused?: string;
}

const file = join(import.meta.dirname, '../../fixtures/rope/frequencies.json');
const entries = JSON.parse(readFileSync(file, 'utf8')) as Entry[];
/** transformers 4 knew "su"; transformers 5 does not, though nothing else can be meant. */
const knownBefore = ["Phi-3's su"];
/** Read by transformers as if they were not there. */
const refusedHere = ['parameters per layer type where there are none'];

describe('rotary embedding', () => {
  for (const { name, config, lengths } of entries) {
    if (lengths && !refusedHere.includes(name)) {
      it(`${name}: frequencies as in transformers`, () => {
        for (const expected of lengths) assertTables(config, expected);
      });
    } else if (!knownBefore.includes(name)) {
      it(`${name}: refused, as in transformers`, () => {
        assert.throws(() => parse(config), UserError);
      });
    }
  }

  it('reads "su" as longrope with the length beside it', () => {
    const named = (name: string) => parse(entries.find((entry) => entry.name === name)!.config).ropes;
    assert.deepEqual(named("Phi-3's su"), named("Phi-3's yarn"));
  });

  it('knows which keys a longer sequence turns anew', () => {
    const longrope = parse(entries.find(({ name }) => name === 'longrope')!.config);
    assert.deepEqual(
      [31, 32, 33].map((length) => outgrowsKeys(longrope, length, length + 1)),
      [false, true, false],
    );
    const dynamic = parse(entries.find(({ name }) => name === 'dynamic')!.config);
    assert.notEqual(ropeRegime(dynamic, 33), ropeRegime(dynamic, 34));
    assert.ok(!outgrowsKeys(dynamic, 32, 33));
  });

  it('knows how far an extension reaches', () => {
    const reach = (name: string) =>
      contextLength(parse(entries.find((entry) => entry.name === name)!.config));
    assert.equal(reach('no parameters'), 128);
    assert.equal(reach('dynamic'), 4 * 32);
    assert.equal(reach('yarn, not yet extended'), 4 * 32);
    assert.equal(reach('yarn'), 128);
    assert.equal(reach('yarn, factor not the ratio'), 8 * 32);
    assert.equal(reach('linear'), 2.5 * 128);
    assert.equal(reach('linear, shrinking'), 128);
    assert.equal(reach('longrope'), 128);
    // in Gemma 3 the layers with a window are not extended
    const [rotation] = parse(entries.find(({ name }) => name === 'linear')!.config).ropes as [RopeConfig];
    const local: RopeConfig = { type: 'default', theta: 1e4, partialRotaryFactor: 1 };
    assert.equal(contextLength({ maxPositionEmbeddings: 128, ropes: [local, rotation] }), 128);
    assert.equal(contextLength({ maxPositionEmbeddings: 128, ropes: [null, rotation] }), 320);
    assert.equal(contextLength({ maxPositionEmbeddings: 128, ropes: [null] }), 128);
  });
});

function parse(config: JsonObject) {
  return parseModelConfig(config, undefined, 'config.json');
}

/** Cosines and sines of the given frequencies, times the factor, at some positions of a sequence. */
function assertTables(json: JsonObject, expected: NonNullable<Entry['lengths']>[number]): void {
  const config = parse(json);
  const { length, inverse_frequencies: frequencies, attention_factor: factor } = expected;
  const tables = ropeTables(config, config.ropes[0]!, length, length);
  assert.equal(tables.halfDim, frequencies.length);
  for (const position of [0, 1, 7, length - 1]) {
    for (const [i, frequency] of frequencies.entries()) {
      const angle = Math.fround(position * frequency);
      const index = position * tables.halfDim + i;
      // a float32 frequency has an error of 6e-8 of itself, which the position multiplies
      const tolerance = 1e-6 + 2e-7 * Math.abs(angle);
      assert.ok(Math.abs(tables.cos[index]! - Math.cos(angle) * factor) <= tolerance, `cos ${position} ${i}`);
      assert.ok(Math.abs(tables.sin[index]! - Math.sin(angle) * factor) <= tolerance, `sin ${position} ${i}`);
    }
  }
}
