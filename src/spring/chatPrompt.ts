/** A prompt as what the user says in the chat template of a model, with virtual tokens in their place. */
import { renderChat } from '../checkpoint/chatTemplate.ts';
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { PromptPiece } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import { promptText } from './tokenizePrompt.ts';

export const noChatTemplate =
  'This model has no chat template (it is a base model, or its files lack the template): choose a model that was ' +
  'trained to chat.';

/**
 * The whole prompt, up to where the assistant begins. Tokenise it without special tokens: the template writes them itself.
 * @returns undefined if the model has no chat template
 * @throws UserError if the template leaves no place for virtual tokens
 */
export function chatPieces(tokenizer: Tokenizer, pieces: readonly PromptPiece[]): PromptPiece[] | undefined {
  const user = promptText(pieces);
  const chat = renderChat(tokenizer, [{ role: 'user', content: user }]);
  if (chat === undefined) return undefined;
  if (pieces.every((piece) => 'text' in piece)) return [{ text: chat }];
  // templates may trim what the user says, and nothing else, or the virtual tokens have lost their place
  const said = user.trim();
  const start = chat.indexOf(said);
  if (start === -1) {
    throw new UserError(
      'The chat template of this model changes what the user says, so virtual tokens have no place in it.',
    );
  }
  const [before, after] = [chat.slice(0, start), chat.slice(start + said.length)];
  return joined([{ text: before }, ...trimmed(pieces), { text: after }]);
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
export function joined(pieces: readonly PromptPiece[]): PromptPiece[] {
  const result: PromptPiece[] = [];
  for (const piece of pieces) {
    const last = result.at(-1);
    if ('text' in piece && last && 'text' in last)
      result[result.length - 1] = { text: last.text + piece.text };
    else result.push(piece);
  }
  return result;
}
