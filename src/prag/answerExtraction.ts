/** Which part of a generated text is the answer, as the authors judge it (oneal2000/PRAG, src/utils.py, evaluate). */

import { strip } from '../checkpoint/pythonText.ts';

/** `direct`: what follows "The answer is"; `chainOfThought`: the reasoning is left out; `whole`: everything. */
export type ExtractionMode = 'whole' | 'direct' | 'chainOfThought';

const stops = ['.', '\n', ','];
const marker = 'the answer is';

/** The text up to its first full stop, line break or comma; with chain of thought, after "the answer is". */
export function extractAnswer(text: string, mode: ExtractionMode): string {
  if (mode === 'whole') return strip(text);
  const marked = mode === 'chainOfThought' ? text.indexOf(marker) : -1;
  let answer = strip(marked < 0 ? text : text.slice(marked + marker.length));
  for (const stop of stops) {
    const end = answer.indexOf(stop);
    if (end >= 0) answer = strip(answer.slice(0, end));
  }
  return answer;
}
