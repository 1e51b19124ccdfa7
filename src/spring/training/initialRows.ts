/** Where virtual tokens start from. */
import type { EmbeddingTable } from '../../checkpoint/embeddingTable.ts';
import type { Tokenizer } from '../../checkpoint/tokenizer.ts';
import { readVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { defaultTemplates } from '../prompts.ts';
import { drawNormal, randomStream } from './random.ts';

export type Initialisation =
  /** The embeddings of a text's tokens; by default of the paper's instruction. */
  { from: 'text'; text?: string } | { from: 'file'; path: string } | { from: 'random' };

/**
 * The rows that training starts with: (numTokens, hiddenSize). A text or file with fewer rows is repeated, one with
 * more is cut, as the authors do. Random rows have the spread of the instruction's embeddings.
 * @throws UserError for a file that does not fit the model
 */
export async function initialRows(
  initialisation: Initialisation,
  numTokens: number,
  { tokenizer, embeddings, seed }: { tokenizer: Tokenizer; embeddings: EmbeddingTable; seed: number },
): Promise<Float32Array> {
  const { hiddenSize } = embeddings;
  if (initialisation.from === 'file') {
    const { data } = await readVirtualTokens(initialisation.path, { hiddenSize });
    return repeated(data, numTokens * hiddenSize);
  }
  const text = (initialisation.from === 'text' && initialisation.text) || defaultTemplates.instruction.trim();
  const rows = await embeddings.rows(tokenizer.encode(text, { addSpecialTokens: false }));
  if (initialisation.from === 'text') return repeated(rows, numTokens * hiddenSize);
  const spread = Math.sqrt(rows.reduce((sum, value) => sum + value * value, 0) / rows.length);
  const stream = randomStream(seed, 'initialRows');
  return Float32Array.from({ length: numTokens * hiddenSize }, () => spread * drawNormal(stream));
}

function repeated(rows: Float32Array, length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => rows[i % rows.length]!);
}
