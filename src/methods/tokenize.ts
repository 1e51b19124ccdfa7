/** From a planned prompt to what the local decoder takes: token ids, and rows where virtual tokens stand. */
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { PromptPart, VirtualTokenRows } from '../decoder/types.ts';
import type { PromptPiece } from '../protocol/comparison.ts';
import { chatPieces, joined, noChatTemplate } from '../spring/chatPrompt.ts';
import { tokenizePrompt } from '../spring/tokenizePrompt.ts';
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
  const chat = chatPieces(tokenizer, pieces);
  if (chat) return { pieces: chat, addSpecialTokens: false };
  if (withoutTemplate === 'plain') {
    return { pieces: joined([...pieces, { text: '\n' }]), addSpecialTokens: true };
  }
  throw new UnavailableError(noChatTemplate, 'model');
}

function withTokens(parts: readonly PromptPart[], tokenIds: readonly number[]): PromptPart[] {
  const last = parts.at(-1);
  if (!last || !('tokenIds' in last)) return [...parts, { tokenIds }];
  return [...parts.slice(0, -1), { tokenIds: [...last.tokenIds, ...tokenIds] }];
}
