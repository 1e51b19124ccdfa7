/**
 * A prompt as a flat list of units, so that prompts can be compared: a token is its id, a virtual-token row a negative
 * number that stands for the row's content.
 */
import { createHash } from 'node:crypto';
import type { EmbeddingTable } from '../checkpoint/embeddingTable.ts';
import { UserError } from '../protocol/errors.ts';
import type { Prompt, VirtualTokenRows } from './types.ts';

/** Token ids (>= 0) and interned rows (< 0). */
export type Units = readonly number[];

export class PromptUnits {
  private readonly table: EmbeddingTable;
  private readonly hiddenSize: number;
  private readonly numbers = new Map<string, number>();
  private readonly rows: Float32Array[] = [];

  constructor(table: EmbeddingTable) {
    this.table = table;
    this.hiddenSize = table.hiddenSize;
  }

  /** @throws UserError if virtual tokens are of another width than the model */
  fromPrompt(prompt: Pick<Prompt, 'parts'>): number[] {
    return prompt.parts.flatMap((part) => ('tokenIds' in part ? [...part.tokenIds] : this.intern(part.rows)));
  }

  /** (units, hiddenSize) */
  async embeddings(units: Units): Promise<Float32Array> {
    const tokens = await this.table.rows(units.filter((unit) => unit >= 0));
    if (tokens.length === units.length * this.hiddenSize) return tokens;
    const all = new Float32Array(units.length * this.hiddenSize);
    let token = 0;
    units.forEach((unit, position) => {
      const row =
        unit < 0
          ? this.rows[-unit - 1]!
          : tokens.subarray(token * this.hiddenSize, ++token * this.hiddenSize);
      all.set(row, position * this.hiddenSize);
    });
    return all;
  }

  private intern({ data, count }: VirtualTokenRows): number[] {
    if (data.length !== count * this.hiddenSize) {
      throw new UserError(
        `The virtual tokens are ${data.length / count} wide, but the model's hidden size is ${this.hiddenSize}: ` +
          'choose an embedding file that was trained for this model.',
      );
    }
    return Array.from({ length: count }, (_, index) => {
      const row = data.slice(index * this.hiddenSize, (index + 1) * this.hiddenSize);
      const hash = createHash('sha256').update(row).digest('base64');
      let number = this.numbers.get(hash);
      if (number === undefined) {
        number = -this.rows.push(row);
        this.numbers.set(hash, number);
      }
      return number;
    });
  }
}

/** How many units the lists have in common at the start. */
export function commonPrefixLength(lists: readonly Units[]): number {
  const [first = [], ...rest] = lists;
  return rest.reduce((length, list) => {
    let common = 0;
    while (common < length && common < list.length && list[common] === first[common]) common++;
    return common;
  }, first.length);
}
