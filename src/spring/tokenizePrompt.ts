/** From a prompt's text to what the decoder takes: token ids, and rows where virtual tokens stand. */
import { virtualTokenName, type Tokenizer } from '../checkpoint/tokenizer.ts';
import type { PromptPart, VirtualTokenRows } from '../decoder/types.ts';
import type { PromptPiece } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';

/**
 * Tokenises a prompt of text and virtual tokens as the authors' example does: the tokens are written into the text
 * as `[ref1]`…, which the tokenizer knows as added tokens. What a document or a question itself says about `[ref1]`
 * stays text.
 * @param rows the embedding file's rows (N, hiddenSize); the first k are used
 * @param options.addSpecialTokens false for a text that has its BOS already, as chat templates write it
 * @throws UserError if the prompt wants more virtual tokens than there are
 */
export function tokenizePrompt(
  tokenizer: Tokenizer,
  pieces: readonly PromptPiece[],
  rows: VirtualTokenRows | undefined,
  { addSpecialTokens = true }: { addSpecialTokens?: boolean } = {},
): PromptPart[] {
  const wanted = Math.max(0, ...pieces.map((piece) => ('virtualTokens' in piece ? piece.virtualTokens : 0)));
  if (wanted > (rows?.count ?? 0)) {
    throw new UserError(
      rows
        ? `${wanted} virtual tokens are asked for, but the embedding file has ${rows.count}.`
        : 'Virtual tokens are asked for, but no embedding file is chosen.',
    );
  }
  const text = promptText(pieces);
  if (wanted === 0) return tokenizeText(tokenizer, text, undefined, [], addSpecialTokens);
  const isVirtual = pieces.flatMap((piece) =>
    namesIn(promptText([piece]), rows!.count).map(() => 'virtualTokens' in piece),
  );
  return tokenizeText(tokenizer, text, rows, isVirtual, addSpecialTokens);
}

/** A prompt in which virtual tokens are written as `[ref1]`…. */
export function promptText(pieces: readonly PromptPiece[]): string {
  return pieces
    .map((piece) => ('text' in piece ? piece.text : virtualTokenNames(piece.virtualTokens)))
    .join('');
}

/**
 * Tokenises text in which `[ref1]`… stand for rows (plain text if there are none). BOS is added as the tokenizer's
 * own post-processor says.
 * @param isVirtual of each name in the text, whether it means the row (default) or its own letters
 */
export function tokenizeText(
  tokenizer: Tokenizer,
  text: string,
  rows: VirtualTokenRows | undefined,
  isVirtual: readonly boolean[] = [],
  addSpecialTokens = true,
): PromptPart[] {
  if (!rows) return [{ tokenIds: tokenizer.encode(text, { addSpecialTokens }) }];
  const view = tokenizer.withVirtualTokens(rows.count);
  const parts: ({ tokenIds: number[] } | { indices: number[] })[] = [];
  let names = 0;
  for (const id of view.encode(text, { addSpecialTokens })) {
    const last = parts.at(-1);
    if (view.isVirtualToken(id) && (isVirtual[names++] ?? true)) {
      const index = id - view.firstVirtualTokenId;
      if (last && 'indices' in last) last.indices.push(index);
      else parts.push({ indices: [index] });
    } else {
      const ids = view.isVirtualToken(id)
        ? tokenizer.encode(virtualTokenName(id - view.firstVirtualTokenId), { addSpecialTokens: false })
        : [id];
      if (last && 'tokenIds' in last) last.tokenIds.push(...ids);
      else parts.push({ tokenIds: ids });
    }
  }
  return parts.map((part) => ('indices' in part ? { rows: selectRows(rows, part.indices) } : part));
}

/** `[ref1][ref2]…` up to k. */
function virtualTokenNames(k: number): string {
  return Array.from({ length: k }, (_, index) => virtualTokenName(index)).join('');
}

/** The names of the first `count` virtual tokens that a text contains. */
function namesIn(text: string, count: number): string[] {
  return [...text.matchAll(/\[ref([1-9]\d*)\]/g)]
    .filter(([, number]) => Number(number) <= count)
    .map(([name]) => name);
}

function selectRows({ data, count }: VirtualTokenRows, indices: readonly number[]): VirtualTokenRows {
  const width = data.length / count;
  const selected = new Float32Array(indices.length * width);
  indices.forEach((index, row) =>
    selected.set(data.subarray(index * width, (index + 1) * width), row * width),
  );
  return { data: selected, count: indices.length };
}
