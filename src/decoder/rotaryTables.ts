/** Rotary tables of a model, kept as long as they serve, and grown by doubling. */
import type { ModelConfig } from '../checkpoint/types.ts';
import { ropeRegime, ropeTables, type RopeTables } from './rope.ts';

/** Kept regimes: a table that depends on the length serves one length only, so more than a few are of no use. */
const keptRegimes = 3;
const smallestTable = 256;

export class RotaryTables {
  private readonly config: ModelConfig;
  private readonly known = new Map<string, RopeTables>();

  constructor(config: ModelConfig) {
    this.config = config;
  }

  /** Tables with at least `positions` rows for a sequence of this length; the same object while it suffices. */
  get(positions: number, sequenceLength: number): RopeTables {
    const regime = ropeRegime(this.config, sequenceLength);
    const known = this.known.get(regime);
    if (known && known.positions >= positions) return known;
    if (!known && this.known.size >= keptRegimes) this.known.clear();
    const size = Math.max(positions, known ? 2 * known.positions : smallestTable);
    const tables = ropeTables(this.config, size, sequenceLength);
    this.known.set(regime, tables);
    return tables;
  }
}
