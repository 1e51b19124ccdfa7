/** Where virtual tokens start from. */
import type { EmbeddingTable } from '../../checkpoint/embeddingTable.ts';
import type { Tokenizer } from '../../checkpoint/tokenizer.ts';
import { readVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { UserError } from '../../protocol/errors.ts';
import { defaultTemplates } from '../prompts.ts';
import { drawNormal, randomStream } from './random.ts';

export type Initialisation =
  /** The embeddings of a text's tokens; by default of the paper's instruction. */
  { from: 'text'; text?: string } | { from: 'file'; path: string } | { from: 'random' };

/** Rows of the embedding table whose spread random rows take. */
const sampledRows = 256;

/**
 * The rows that training starts with: (numTokens, hiddenSize). A text or file with fewer rows is repeated, one with
 * more is cut, as the authors do. Random rows have the spread of the model's embeddings.
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
  if (initialisation.from === 'random') {
    const ids = Array.from({ length: sampledRows }, (_, i) =>
      Math.floor((i * embeddings.vocabSize) / sampledRows),
    );
    const sample = await embeddings.rows(ids);
    const spread = Math.sqrt(sample.reduce((sum, value) => sum + value * value, 0) / sample.length);
    const stream = randomStream(seed, 'initialRows');
    return Float32Array.from({ length: numTokens * hiddenSize }, () => spread * drawNormal(stream));
  }
  const text = initialisation.text ?? defaultTemplates.instruction.trim();
  const ids = tokenizer.encode(text, { addSpecialTokens: false });
  if (ids.length === 0) {
    throw new UserError(
      `The text "${text}" has no tokens in the vocabulary of this model, so virtual tokens cannot start from it: ` +
        'start from random rows or a file.',
    );
  }
  return repeated(await embeddings.rows(ids), numTokens * hiddenSize);
}

function repeated(rows: Float32Array, length: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => rows[i % rows.length]!);
}
