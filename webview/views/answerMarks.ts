/**
 * What is marked in each answer: confidence, differences from the reference, words of passages; computed once for
 * the same texts.
 */
import { methodOf, variantFrom } from '../../src/protocol/methods.ts';
import type { PanelColumn, PanelPassage, PanelState } from '../../src/protocol/panel.ts';
import { isComplete, referenceOf, textOf } from '../shownColumns.ts';
import type { ViewState } from '../state.ts';
import { describeDifferences, findDifferences } from '../text/differences.ts';
import { findPassageSpans, indexPassages, type IndexedPassage } from '../text/passageSpans.ts';
import { passagesInPrompt } from '../text/promptPassages.ts';
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
  #indexed = new Map<string, IndexedPassage>();
  readonly #kept = new WeakMap<
    PanelColumn,
    { inputs: unknown[]; value: { marks: Marks; comparison: string } }
  >();

  /** To be called before `of`. */
  update(panel: PanelState, view: ViewState): void {
    if (!sameTexts(panel.passages, this.#passages)) {
      this.#passages = panel.passages;
      this.#indexed = new Map();
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

  #indexedPassage(passage: { id: string; text: string }): IndexedPassage {
    const known = this.#indexed.get(passage.id);
    if (known) return known;
    const [indexed] = indexPassages([passage]);
    this.#indexed.set(passage.id, indexed!);
    return indexed!;
  }

  /** Only what a column's prompt holds can be evidence for its answer. */
  #sourcesOf(column: PanelColumn, text: string): Pick<Marks, 'sources' | 'passageNumbers'> {
    // Of a prompt that was cut nobody knows here how much of its passages was left.
    const cut = (column.answer?.truncatedTokens ?? 0) > 0;
    // Whatever a question happens to quote.
    const withoutPassages = !methodOf(variantFrom(column.variant)).showsPassages;
    if (cut || withoutPassages) return unmarked;
    const texts = this.#passages.map(({ id, passage }) => ({ id, text: passage.text }));
    const read = passagesInPrompt(column.prompt, texts);
    const sources = findPassageSpans(
      text,
      read.map((passage) => this.#indexedPassage(passage)),
    );
    return { sources, passageNumbers: new Map(read.map(({ id, number }) => [id, number])) };
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
    const { sources, passageNumbers } = view.sources ? this.#sourcesOf(column, text) : unmarked;
    return { marks: { confidence: false, added, sources, passageNumbers }, comparison };
  }
}

/** What is ticked now does not matter to answers that are there, and the host sends equal passages as new objects. */
function sameTexts(a: readonly PanelPassage[], b: readonly PanelPassage[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ id, passage }, place) => id === b[place]!.id && passage.text === b[place]!.passage.text)
  );
}
