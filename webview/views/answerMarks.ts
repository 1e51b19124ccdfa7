/**
 * What is marked in each answer: confidence, differences from the reference, words of passages; computed once for
 * the same texts.
 */
import type { PanelColumn, PanelPassage, PanelState } from '../../src/protocol/panel.ts';
import { isComplete, referenceOf, textOf } from '../shownColumns.ts';
import type { ViewState } from '../state.ts';
import { describeDifferences, findDifferences } from '../text/differences.ts';
import {
  findPassageSpans,
  indexPassages,
  type IndexedPassage,
  type PassageSpan,
} from '../text/passageSpans.ts';
import type { Span } from '../text/words.ts';
import type { Marks } from './answerText.ts';

const nothing: never[] = [];
const unmarked: Marks = { confidence: false, added: nothing, sources: nothing, passageNumbers: new Map() };
const confident: Marks = { ...unmarked, confidence: true };

/** Works out the marks of the answers that have ended, each only once for the same texts. */
export class AnswerMarks {
  #panel: PanelState | null = null;
  #view: ViewState | null = null;
  #passages: readonly PanelPassage[] = nothing;
  #indexed: IndexedPassage[] | null = null;
  #passageNumbers: ReadonlyMap<string, number> = new Map();
  readonly #kept = new WeakMap<
    PanelColumn,
    { inputs: unknown[]; value: { marks: Marks; comparison: string } }
  >();

  /** To be called before `of`. */
  update(panel: PanelState, view: ViewState): void {
    if (!sameTexts(panel.passages, this.#passages)) {
      this.#passages = panel.passages;
      this.#indexed = null;
      this.#passageNumbers = new Map(panel.passages.map(({ id }, place) => [id, place + 1]));
    }
    this.#panel = panel;
    this.#view = view;
  }

  /** The marks of a column's answer, and how it differs from the reference in words. */
  of(column: PanelColumn | null): { marks: Marks; comparison: string } {
    const panel = this.#panel;
    const view = this.#view;
    if (column === null || panel === null || view === null) return { marks: unmarked, comparison: '' };
    if (!isComplete(column)) return { marks: view.confidence ? confident : unmarked, comparison: '' };
    const reference = view.differences ? referenceOf(panel.columns, view.reference) : null;
    const inputs = [reference, view.sources, view.confidence, this.#passages];
    const kept = this.#kept.get(column);
    if (kept?.inputs.every((input, place) => input === inputs[place])) return kept.value;
    const value = this.#compute(column, reference, view);
    this.#kept.set(column, { inputs, value });
    return value;
  }

  #indexedPassages(): IndexedPassage[] {
    this.#indexed ??= indexPassages(this.#passages.map(({ id, passage }) => ({ id, text: passage.text })));
    return this.#indexed;
  }

  #compute(
    column: PanelColumn,
    reference: PanelColumn | null,
    view: ViewState,
  ): { marks: Marks; comparison: string } {
    const text = textOf(column);
    let added: readonly Span[] = nothing;
    let comparison = '';
    if (reference?.variant === column.variant) {
      if (this.#panel!.columns.length > 1) comparison = 'Reference for the others';
    } else if (reference && isComplete(reference)) {
      const differences = findDifferences(textOf(reference), text);
      added = differences.added;
      comparison = describeDifferences(differences, reference.label);
    }
    if (view.confidence) return { marks: confident, comparison };
    const sources: readonly PassageSpan[] = view.sources
      ? findPassageSpans(text, this.#indexedPassages())
      : nothing;
    return {
      marks: { confidence: false, added, sources, passageNumbers: this.#passageNumbers },
      comparison,
    };
  }
}

/** Ticks do not matter here, and the host sends equal passages as new objects. */
function sameTexts(a: readonly PanelPassage[], b: readonly PanelPassage[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ id, passage }, place) => id === b[place]!.id && passage.text === b[place]!.passage.text)
  );
}
