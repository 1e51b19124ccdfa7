/** From a planned prompt to what the local decoder takes: token ids, and rows where virtual tokens stand. */
import { renderChat } from '../checkpoint/chatTemplate.ts';
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { PromptPart, VirtualTokenRows } from '../decoder/types.ts';
import type { PromptPiece } from '../protocol/comparison.ts';
import { promptText, tokenizePrompt } from '../spring/tokenizePrompt.ts';
import { UnavailableError, type PlannedPrompt } from './types.ts';

export interface TokenizedPrompt {
  parts: PromptPart[];
  /** The prompt as it goes to the model, for people. */
  pieces: PromptPiece[];
}

/**
 * Tokenises a prompt; one in the chat form is first put into the model's chat template. How the assistant begins is
 * tokenised by itself, as the authors of Parametric RAG do.
 * @param rows the embedding file's rows (N, hiddenSize); the first k are used
 * @throws UnavailableError if the model lacks the chat template that the prompt needs
 * @throws UserError if there are fewer rows than the prompt wants
 */
export function tokenizePlanned(
  tokenizer: Tokenizer,
  prompt: PlannedPrompt,
  rows: VirtualTokenRows | undefined,
): TokenizedPrompt {
  if (prompt.form === 'text') {
    return { parts: tokenizePrompt(tokenizer, prompt.pieces, rows), pieces: prompt.pieces };
  }
  const { pieces, addSpecialTokens } = inTemplate(tokenizer, prompt);
  const parts = tokenizePrompt(tokenizer, pieces, rows, { addSpecialTokens });
  const { assistant } = prompt;
  if (assistant === '') return { parts, pieces };
  const begun = tokenizer.encode(assistant, { addSpecialTokens: false });
  return { parts: withTokens(parts, begun), pieces: joined([...pieces, { text: assistant }]) };
}

/** What the user says, in the chat template, which writes the special tokens itself. */
function inTemplate(
  tokenizer: Tokenizer,
  { pieces, withoutTemplate }: Extract<PlannedPrompt, { form: 'chat' }>,
): { pieces: PromptPiece[]; addSpecialTokens: boolean } {
  const user = promptText(pieces);
  const chat = renderChat(tokenizer, [{ role: 'user', content: user }]);
  if (chat === undefined) {
    if (withoutTemplate === 'plain')
      return { pieces: joined([...pieces, { text: '\n' }]), addSpecialTokens: true };
    throw new UnavailableError(
      'This model has no chat template (it is a base model, or its files lack the template): choose a model that ' +
        'was trained to chat.',
      'model',
    );
  }
  if (pieces.every((piece) => 'text' in piece)) return { pieces: [{ text: chat }], addSpecialTokens: false };
  // templates may trim what the user says, and nothing else, or the virtual tokens have lost their place
  const said = user.trim();
  const start = chat.indexOf(said);
  if (start === -1) {
    throw new UnavailableError(
      'The chat template of this model changes what the user says, so virtual tokens have no place in it.',
      'model',
    );
  }
  const [before, after] = [chat.slice(0, start), chat.slice(start + said.length)];
  return {
    pieces: joined([{ text: before }, ...trimmed(pieces), { text: after }]),
    addSpecialTokens: false,
  };
}

/** Without white space at the start of the first and the end of the last text. */
function trimmed(pieces: readonly PromptPiece[]): PromptPiece[] {
  return pieces.map((piece, index) => {
    if (!('text' in piece)) return piece;
    const start = index === 0 ? piece.text.trimStart() : piece.text;
    return { text: index === pieces.length - 1 ? start.trimEnd() : start };
  });
}

/** Neighbouring texts as one. */
function joined(pieces: readonly PromptPiece[]): PromptPiece[] {
  const result: PromptPiece[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if ('text' in piece && last && 'text' in last)
      result[result.length - 1] = { text: last.text + piece.text };
    else result.push(piece);
  }
  return result;
}

function withTokens(parts: readonly PromptPart[], tokenIds: readonly number[]): PromptPart[] {
  const last = parts.at(-1);
  if (!last || !('tokenIds' in last)) return [...parts, { tokenIds }];
  return [...parts.slice(0, -1), { tokenIds: [...last.tokenIds, ...tokenIds] }];
}
