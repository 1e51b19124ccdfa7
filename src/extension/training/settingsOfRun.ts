/** From the few questions that the user answers to all settings of a run. */
import { defaultTrainingSettings } from '../../spring/training/settings.ts';
import type { TrainingSettings } from '../../protocol/training.ts';

/** `20` or `20 steps`, or `3 epochs`. */
export type RunLength = { steps: number } | { epochs: number };

/** The length that a text names; null if it names none. */
export function parseLength(text: string): RunLength | null {
  const match = /^\s*(\d+(?:\.\d+)?)\s*(steps?|epochs?)?\s*$/i.exec(text);
  const value = Number(match?.[1]);
  if (!match || !(value > 0)) return null;
  if (match[2]?.toLowerCase().startsWith('epoch')) return { epochs: value };
  return Number.isInteger(value) ? { steps: value } : null;
}

/** A whole number from 1 to `most`; null if the text is none. */
export function parseCount(text: string, most: number): number | null {
  const value = Number(text.trim());
  return Number.isInteger(value) && value >= 1 && value <= most ? value : null;
}

/** Share of the examples to validate on: none of so few that training needs them all. */
export function validationShareOf(examples: number): number {
  return examples < 10 ? 0 : 0.1;
}

/**
 * The settings of a run over so many examples. Validation happens about ten times, and the state is saved often:
 * windows are closed at any time.
 */
export function settingsOfRun(
  numTokens: number,
  length: RunLength,
  examples: number,
  contextLength: number,
): TrainingSettings {
  const trained = Math.max(1, examples - Math.round(examples * validationShareOf(examples)));
  const batchSize = Math.min(defaultTrainingSettings.batchSize, trained);
  const steps =
    'steps' in length ? length.steps : Math.max(1, Math.ceil((length.epochs * trained) / batchSize));
  return {
    ...defaultTrainingSettings,
    numTokens,
    batchSize,
    steps,
    maxLength: contextLength,
    validateEvery: Math.max(5, Math.ceil(steps / 10)),
    exactMatchK: [...new Set([1, 10, numTokens])].filter((k) => k <= numTokens).sort((a, b) => a - b),
    saveEvery: 5,
  };
}
