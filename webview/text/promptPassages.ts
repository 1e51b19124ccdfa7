/** Which passages stood in a prompt, and under which numbers. */
import type { PromptPiece } from '../../src/protocol/comparison.ts';

export interface PromptPassage {
  id: string;
  text: string;
  /** As the prompt counts its passages, from 1. */
  number: number;
}

/**
 * Those of the passages whose texts stand in a prompt, in the prompt's order. The number is the one that the prompt's
 * template wrote before the passage ("[2] ", "Passage 2: "); without one it is the passage's place.
 */
export function passagesInPrompt(
  pieces: readonly PromptPiece[] | null,
  passages: readonly { id: string; text: string }[],
): PromptPassage[] {
  const prompt = (pieces ?? []).map((piece) => ('text' in piece ? piece.text : '')).join('\0');
  return passages
    .filter(({ text }) => text !== '')
    .map((passage) => ({ ...passage, start: prompt.indexOf(passage.text) }))
    .filter(({ start }) => start >= 0)
    .sort((a, b) => a.start - b.start)
    .map(({ id, text, start }, place) => {
      const line = prompt.slice(prompt.lastIndexOf('\n', start - 1) + 1, start);
      const written = /(\d{1,4})[^\d\p{Letter}]*$/u.exec(line)?.[1];
      return { id, text, number: written === undefined ? place + 1 : Number(written) };
    });
}
