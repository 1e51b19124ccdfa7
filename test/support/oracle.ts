/**
 * The oracle: tiny checkpoints with golden values, kept beside the repository in ../shared/oracle. Where it is absent
 * its tests are skipped with a message; CI requires it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const oracleFolder = resolve(import.meta.dirname, '../../../shared/oracle');
/** Tiny checkpoints with golden values that lie in the repository: see test/oracle. */
export const architectureFolder = resolve(import.meta.dirname, '../fixtures/architectures');
export const demoFolder = resolve(import.meta.dirname, '../../media/demo');

export interface OracleCheckpoint {
  name: string;
  folder: string;
  adapters: string;
  virtual_tokens: string;
}

export interface Scenario {
  virtual_tokens: number;
  greedy_ids: number[];
  /** The positions whose logits are kept, where not all are. */
  logits_at?: number[];
}

interface TrainingRun {
  labels: string;
  losses: number[];
  optimizer: { lr: number; weight_decay: number; steps: number };
}

export interface Golden {
  prefix_ids: number[];
  suffix_ids: number[];
  scenarios: Record<string, Scenario>;
  spring_training: { labels: number[]; target_ids: number[]; losses: number[] };
  prag: { prompt_ids: number[]; answer_ids: number[]; greedy: Record<string, { greedy_ids: number[] }> };
  prag_training: {
    input_ids: number[];
    labels: Record<string, number[]>;
    runs: Record<string, TrainingRun>;
    parameter_names: string[];
    at_adapter0: { labels: string; loss: number };
  };
  /** A golden tensor, as float32. */
  tensor(name: string): Float32Array;
}

/** The dev checkpoints; empty (with a message) where the oracle is not there. */
export function oracleCheckpoints(): OracleCheckpoint[] {
  if (!existsSync(oracleFolder)) {
    if (process.env['CI']) throw new Error(`CI requires the oracle in ${oracleFolder}.`);
    console.warn(`SKIPPED: no oracle in ${oracleFolder}`);
    return [];
  }
  const manifest = readJson(join(oracleFolder, 'manifest.json')) as { checkpoints: OracleCheckpoint[] };
  return manifest.checkpoints.map((checkpoint) => ({
    name: checkpoint.name,
    folder: join(oracleFolder, checkpoint.folder),
    adapters: join(oracleFolder, checkpoint.adapters),
    virtual_tokens: join(oracleFolder, checkpoint.virtual_tokens),
  }));
}

/** The golden values of an oracle's checkpoint. */
export function readGolden(name: string): Golden {
  return readGoldenFolder(join(oracleFolder, 'goldens', name));
}

/** The golden values of one of test/fixtures/architectures, or of the one that has the same. */
export function readArchitecture(name: string): Golden {
  const { same_as: other } = readJson(join(architectureFolder, name, 'golden.json')) as { same_as?: string };
  return readGoldenFolder(join(architectureFolder, other ?? name));
}

/** The golden values in a folder's golden.json and golden.bin. */
export function readGoldenFolder(folder: string): Golden {
  const json = readJson(join(folder, 'golden.json')) as Omit<Golden, 'tensor'> & {
    tensors: Record<string, { offset: number; shape: number[] }>;
  };
  const binary = readFileSync(join(folder, 'golden.bin'));
  return {
    ...json,
    tensor(tensorName) {
      const entry = json.tensors[tensorName];
      if (!entry) throw new Error(`No golden tensor ${tensorName} in ${folder}.`);
      const length = entry.shape.reduce((a, b) => a * b, 1);
      return new Float32Array(binary.buffer.slice(binary.byteOffset + entry.offset).slice(0, 4 * length));
    },
  };
}

/** The largest absolute difference of two arrays of one length. */
export function largestDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length)
    throw new Error(`${actual.length} values, expected ${expected.length}.`);
  return actual.reduce((most, value, index) => Math.max(most, Math.abs(value - expected[index]!)), 0);
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
