/** An answer cut into runs, each of one passage and one kind of difference, as it is drawn. */
import type { PassageSpan } from './passageSpans.ts';
import type { Span } from './words.ts';

/** A stretch of an answer, as it is drawn: in or outside a passage, cut where a difference begins or ends. */
export interface AnswerRun {
  source: PassageSpan | null;
  parts: { text: string; added: boolean }[];
}

/** Lays the differences and the passages' spans over an answer. Both lists: ascending, without overlaps. */
export function runsOf(text: string, added: readonly Span[], sources: readonly PassageSpan[]): AnswerRun[] {
  const runs: AnswerRun[] = [];
  const take = (start: number, end: number, source: PassageSpan | null) => {
    if (start < end) runs.push({ source, parts: partsOf(text, start, end, added) });
  };
  let position = 0;
  for (const source of sources) {
    take(position, source.start, null);
    take(source.start, source.end, source);
    position = source.end;
  }
  take(position, text.length, null);
  return runs;
}

function partsOf(text: string, start: number, end: number, added: readonly Span[]): AnswerRun['parts'] {
  const parts: AnswerRun['parts'] = [];
  let position = start;
  for (const span of added) {
    const from = Math.max(span.start, start);
    const to = Math.min(span.end, end);
    if (from >= to) continue;
    if (position < from) parts.push({ text: text.slice(position, from), added: false });
    parts.push({ text: text.slice(from, to), added: true });
    position = to;
  }
  if (position < end) parts.push({ text: text.slice(position, end), added: false });
  return parts;
}
