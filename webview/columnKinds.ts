/** The kinds of column that can be added; a new method is a new row here. */
import type { ColumnChoice } from '../src/protocol/panel.ts';

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
];

/** The heading of a column that has not run yet. */
export function columnTitle(choice: ColumnChoice, sliderK: number): string {
  switch (choice.kind) {
    case 'no-rag':
      return 'No retrieval';
    case 'baseline':
      return 'Baseline';
    case 'prompt':
      return 'Instruction prompt';
    case 'spring':
      return `SPRING k=${choice.k ?? sliderK}`;
  }
}

/** Identifies a choice among those of a panel. */
export function choiceKey(choice: ColumnChoice): string {
  return choice.kind === 'spring' ? `spring:${choice.k ?? 'slider'}` : choice.kind;
}
