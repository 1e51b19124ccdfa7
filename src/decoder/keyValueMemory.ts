/**
 * Keys and values: what the model keeps of the positions it has seen. A prompt with its answer is a `Sequence`; memory
 * for sequences is the host's (hostKeyValues.ts) or a device's (deviceKeyValues.ts).
 */
import type { Tensor } from '../onnx/runtime.ts';
import type { LoraAdapter, ModelConfig } from '../checkpoint/types.ts';

/** The positions of one prompt and its answer so far. Whoever gets one releases it. */
export interface Sequence {
  /** Positions that the model has seen. */
  readonly length: number;
}

/** New positions of one sequence. */
export interface Run {
  sequence: Sequence;
  /** (positions, hiddenSize) */
  inputsEmbeds: Float32Array;
  adapter: LoraAdapter | undefined;
  /** Length of the sequence by which length-dependent rotary tables are chosen. */
  ropeLength: number;
  /** The new positions whose logits are wanted, counted from the run's first. */
  logitsAt: readonly number[];
}

export interface KeyValueMemory {
  /** Bytes of one element of keys and values. */
  readonly elementBytes: number;
  /**
   * Whether new positions of several sequences go through the model together whatever their numbers; otherwise they do
   * with one position each.
   */
  readonly mixesSequences: boolean;
  /**
   * Rows that a pass has at least, some of which may be of nothing: on the CPU one row alone goes through other kernels
   * than several, which give other bits.
   */
  readonly fewestRows: number;
  /**
   * An empty sequence; `capacity` is the number of positions that it is expected to get. Sequences that are to go
   * through the model together must be made beside each other or forked from each other; `expected` is the number of
   * positions that all of them together are expected to get, default `capacity`.
   */
  create(capacity: number, beside?: Sequence, expected?: number): Promise<Sequence>;
  /** A sequence that begins with the first positions of another: shared, where memory can be shared. */
  fork(source: Sequence, length: number, capacity: number): Promise<Sequence>;
  /** The same with a copy of these positions; without `beside` in memory of its own. */
  copy(
    source: Sequence,
    length: number,
    capacity: number,
    beside?: Sequence,
    expected?: number,
  ): Promise<Sequence>;
  release(sequence: Sequence): void;
  /** Splits runs into those that can go through the model together. */
  passes(runs: readonly Run[]): Run[][];
  /** The attention's inputs for one pass. */
  feeds(pass: readonly Run[]): Promise<Record<string, Tensor>>;
  /** Takes the keys and values of a pass from its results. */
  accept(pass: readonly Run[], results: Readonly<Record<string, Tensor>>): void;
  dispose(): Promise<void>;
}

/** The keys and values of a sequence, as data. */
export interface PastKeysAndValues {
  /** Positions. */
  length: number;
  /** Per layer keys, then values: (length, keyValueHeads, headDim). */
  arrays: readonly Float32Array[];
}

/** How many positions a run adds. */
export function positionsOf({ inputsEmbeds }: Run, { hiddenSize }: ModelConfig): number {
  return inputsEmbeds.length / hiddenSize;
}

/** Blocks of the host that a pass does not change, and those that get its new positions. */
export type BlockKind = 'full' | 'open';

/** `past_key.0`, `past_value.0`, `past_key.1`, …: the names of keys and values of all layers, in order. */
export function keyValueNames(config: ModelConfig, kind: 'past' | 'present' | 'new' | BlockKind): string[] {
  return Array.from({ length: config.numLayers }, (_, layer) => [
    `${kind}_key.${layer}`,
    `${kind}_value.${layer}`,
  ]).flat();
}

/** The graph's input with the mask of blocks in layers that have this window (null: none), where one is needed. */
export function blockBiasName(kind: BlockKind, window: number | null): string | undefined {
  if (window === null) return kind === 'open' ? 'open_bias' : undefined;
  return `${kind}_bias.${window}`;
}
