/** Which columns stand in the panel: one for each choice, with the result that belongs to it. */
import { referenceMethod } from '../src/protocol/methods.ts';
import { variantOf, type ColumnChoice, type PanelColumn, type PanelState } from '../src/protocol/panel.ts';
import { choiceKey, columnTitle, followsSlider } from './columnKinds.ts';

export interface ShownColumn {
  key: string;
  choice: ColumnChoice;
  title: string;
  /** null: not run yet. */
  result: PanelColumn | null;
  /** The result is of another k than the slider's: it was moved since. */
  otherK: boolean;
}

/**
 * A choice shows the result of its variant. When the slider has moved since the run, its column keeps showing
 * the answer of the k that it ran with, and says so.
 */
export function shownColumns({ inputs, columns }: Pick<PanelState, 'inputs' | 'columns'>): ShownColumn[] {
  const wanted = inputs.columns.map((choice) => variantOf(choice, inputs.k));
  const taken = new Set(wanted);
  return inputs.columns.map((choice, place) => {
    const key = choiceKey(choice);
    const exact = columns.find(({ variant }) => variant === wanted[place]) ?? null;
    const earlier =
      exact === null && followsSlider(choice)
        ? (columns.find(({ variant, k }) => variantOf(choice, k) === variant && !taken.has(variant)) ?? null)
        : null;
    const result = exact ?? earlier;
    return {
      key,
      choice,
      // Until the engine has named it, a column's label is its variant.
      title:
        result === null || result.label === result.variant ? columnTitle(choice, inputs.k) : result.label,
      result,
      otherK: earlier !== null,
    };
  });
}

/**
 * The text of a column: what its tokens say, one after the other, without the white space before the first
 * word that most models begin with.
 */
export function textOf({ tokens, answer }: PanelColumn): string {
  const text = tokens.length === 0 ? (answer?.text ?? '') : tokens.map((token) => token.text).join('');
  return text.trimStart();
}

/** The column with which the others are compared: the chosen one, else the baseline, else the first. */
export function referenceOf(columns: readonly PanelColumn[], chosen: string | null): PanelColumn | null {
  return (
    columns.find(({ variant }) => variant === chosen) ??
    columns.find(({ variant }) => variant === referenceMethod) ??
    columns[0] ??
    null
  );
}

/** An answer that can be judged: it has ended, and there is one. */
export function isComplete(column: PanelColumn): boolean {
  return column.status === 'done' || (column.status === 'cancelled' && column.tokens.length > 0);
}
