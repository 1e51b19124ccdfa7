/** The kinds of column that can be added: the table of methods, as a menu. */
import { methodNames, methodOf, variantFrom, variantLabel, type Method } from '../src/protocol/methods.ts';
import { variantOf, type ColumnChoice } from '../src/protocol/panel.ts';

export interface ColumnKind {
  title: string;
  /** What is in the prompt, in one sentence. */
  description: string;
  /** Asks for a number of virtual tokens before it is added. */
  asksForTokens: boolean;
  /** Uses virtual tokens, so it needs an embedding file. */
  usesTokens: boolean;
  /** @param chosen the slider’s k and the label of the embedding file, if one is chosen */
  choice: (k: number, chosen?: { k: number; tokenFile: string }) => ColumnChoice;
}

export const columnKinds: readonly ColumnKind[] = methodNames.flatMap((kind) => {
  const { title, description, rows, fixed, pinned }: Method = methodOf({ method: kind });
  const first: ColumnKind = {
    ...{ title, description, asksForTokens: false, usesTokens: rows },
    choice: () => ({ kind }),
  };
  const kinds = [first];
  if (fixed) kinds.push({ ...first, ...fixed, asksForTokens: true, choice: (k) => ({ kind, k }) });
  if (pinned) kinds.push({ ...first, ...pinned, choice: (_, chosen) => ({ kind, ...chosen }) });
  return kinds;
});

/** True if the choice means another variant when the slider moves. */
export function followsSlider(choice: ColumnChoice): boolean {
  return variantOf(choice, 0) !== variantOf(choice, 1);
}

/** The heading of a column that has not run yet; one that has run has the engine's name. */
export function columnTitle(choice: ColumnChoice, sliderK: number): string {
  return variantLabel(variantFrom(variantOf(choice, sliderK)));
}

/** Identifies a choice among those of a panel. */
export function choiceKey(choice: ColumnChoice): string {
  if (!followsSlider(choice)) return variantOf(choice, 0);
  return [choice.kind, 'slider', ...(choice.tokenFile === undefined ? [] : [choice.tokenFile])].join(':');
}
