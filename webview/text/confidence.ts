/** Log probabilities of tokens as a panel shows them: in three classes, in percent, beside their alternatives. */
import type { AnswerToken, TokenAlternative } from '../../src/protocol/comparison.ts';

/** How sure the model was of a token: its probability is at least 0.9, at least 0.5, or less. */
export type Confidence = 'sure' | 'unsure' | 'doubtful';

export const sureFrom = 0.9;
export const unsureFrom = 0.5;

export function confidenceOf({ logProbability }: { logProbability: number }): Confidence {
  const probability = Math.exp(logProbability);
  if (probability >= sureFrom) return 'sure';
  return probability >= unsureFrom ? 'unsure' : 'doubtful';
}

/** "12.3 %", "100 %", "< 0.1 %". */
export function percentOf(logProbability: number): string {
  const percent = 100 * Math.exp(logProbability);
  if (percent < 0.1) return '< 0.1 %';
  return `${percent >= 99.95 ? '100' : percent.toFixed(1)} %`;
}

/** A token's text with its white space made visible; a token without text of its own by its number. */
export function visibleText({ tokenId, text }: { tokenId: number; text: string }): string {
  if (text === '') return `token ${tokenId}`;
  return text.replaceAll('\n', '⏎').replaceAll('\t', '⇥').replaceAll(' ', '␣');
}

/** The likeliest tokens in the place of one, the chosen one among them, best first. */
export function choicesOf(token: AnswerToken): (TokenAlternative & { chosen: boolean })[] {
  const others = token.alternatives.filter(({ tokenId }) => tokenId !== token.tokenId);
  const { tokenId, text, logProbability } = token;
  return [
    { tokenId, text, logProbability, chosen: true },
    ...others.map((alternative) => ({ ...alternative, chosen: false })),
  ].sort((a, b) => b.logProbability - a.logProbability);
}
