/** Rotary tables of a model, one for each of its rotations, kept as long as they serve, and grown by doubling. */
import { Tensor } from '../onnx/runtime.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import { distinctRopes, ropeRegime, ropeTables, tableNames, type RopeTables } from './rope.ts';

/** Kept regimes: a table that depends on the length serves one length only, so more than a few are of no use. */
const keptRegimes = 3;
const smallestTable = 256;

export class RotaryTables {
  private readonly config: ModelConfig;
  private readonly known = new Map<string, { positions: number; tables: readonly RopeTables[] }>();

  constructor(config: ModelConfig) {
    this.config = config;
  }

  /**
   * Tables with at least `positions` rows for a sequence of this length, in the order of `distinctRopes`; the same
   * array while it suffices.
   */
  get(positions: number, sequenceLength: number): readonly RopeTables[] {
    const regime = ropeRegime(this.config, sequenceLength);
    const known = this.known.get(regime);
    if (known && known.positions >= positions) return known.tables;
    if (!known && this.known.size >= keptRegimes) this.known.clear();
    const size = Math.max(positions, known ? 2 * known.positions : smallestTable);
    const tables = distinctRopes(this.config).map((rope) =>
      ropeTables(this.config, rope, size, sequenceLength),
    );
    this.known.set(regime, { positions: size, tables });
    return tables;
  }
}

/** Tables as inputs of a graph. */
export function tableFeeds(tables: readonly RopeTables[]): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const [index, { cos, sin, positions, halfDim }] of tables.entries()) {
    const names = tableNames(index);
    feeds[names.cos] = new Tensor('float32', cos, [positions, halfDim]);
    feeds[names.sin] = new Tensor('float32', sin, [positions, halfDim]);
  }
  return feeds;
}
