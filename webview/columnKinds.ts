/** The kinds of column that can be added; a new method is a new row here. */
import { variantOf, type ColumnChoice } from '../src/protocol/panel.ts';

export interface ColumnKind {
  title: string;
  /** What is in the prompt, in one sentence. */
  description: string;
  /** Asks for a number of virtual tokens before it is added. */
  asksForTokens: boolean;
  /** Uses virtual tokens, so it needs an embedding file. */
  usesTokens: boolean;
  choice: (k: number) => ColumnChoice;
}

export const columnKinds: readonly ColumnKind[] = [
  {
    title: 'No retrieval',
    description: 'The question alone.',
    asksForTokens: false,
    usesTokens: false,
    choice: () => ({ kind: 'no-rag' }),
  },
  {
    title: 'Baseline',
    description: 'The ticked passages, then the question.',
    asksForTokens: false,
    usesTokens: false,
    choice: () => ({ kind: 'baseline' }),
  },
  {
    title: 'Instruction prompt',
    description: 'The baseline with the instruction that the authors wrote by hand.',
    asksForTokens: false,
    usesTokens: false,
    choice: () => ({ kind: 'prompt' }),
  },
  {
    title: 'SPRING, k of the slider',
    description: 'As many virtual tokens as the slider says between passages and question.',
    asksForTokens: false,
    usesTokens: true,
    choice: () => ({ kind: 'spring' }),
  },
  {
    title: 'SPRING at a fixed k',
    description: 'So many virtual tokens, wherever the slider stands.',
    asksForTokens: true,
    usesTokens: true,
    choice: (k) => ({ kind: 'spring', k }),
  },
  {
    title: 'Parametric RAG',
    description: 'The question alone, to the model with the adapters of the ticked passages.',
    asksForTokens: false,
    usesTokens: false,
    choice: () => ({ kind: 'prag' }),
  },
  {
    title: 'Parametric RAG + passages',
    description: 'The passages in the prompt and as adapters.',
    asksForTokens: false,
    usesTokens: false,
    choice: () => ({ kind: 'prag+rag' }),
  },
  {
    title: 'SPRING + Parametric RAG',
    description: 'Virtual tokens, as many as the slider says, and the adapters of the passages.',
    asksForTokens: false,
    usesTokens: true,
    choice: () => ({ kind: 'spring+prag' }),
  },
  {
    title: 'Standard RAG (PRAG prompt)',
    description: 'For comparison: the passages in the prompt that Parametric RAG uses, no adapters.',
    asksForTokens: false,
    usesTokens: false,
    choice: () => ({ kind: 'icl' }),
  },
  {
    title: 'Placebo adapters',
    description: 'For comparison: the adapters of unrelated passages.',
    asksForTokens: false,
    usesTokens: false,
    choice: () => ({ kind: 'placebo' }),
  },
];

/** True if the choice means another variant when the slider moves. */
export function followsSlider(choice: ColumnChoice): boolean {
  return variantOf(choice, 0) !== variantOf(choice, 1);
}

/** The heading of a column that has not run yet; one that has run has the engine's name. */
export function columnTitle(choice: ColumnChoice, sliderK: number): string {
  const tokens = /^spring:(\d+)(\+prag)?$/.exec(variantOf(choice, sliderK));
  if (tokens) return `SPRING k=${tokens[1]!}${tokens[2] === undefined ? '' : ' + Parametric RAG'}`;
  return columnKinds.find((kind) => kind.choice(0).kind === choice.kind)?.title ?? choice.kind;
}

/** Identifies a choice among those of a panel. */
export function choiceKey(choice: ColumnChoice): string {
  return followsSlider(choice) ? `${choice.kind}:slider` : variantOf(choice, 0);
}
