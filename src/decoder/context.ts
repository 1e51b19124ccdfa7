/** Fitting a prompt into the model's context. */
import { contextLength } from '../checkpoint/ropeConfig.ts';
import type { ModelConfig } from '../checkpoint/types.ts';
import { UserError } from '../protocol/errors.ts';
import type { Units } from './promptUnits.ts';
import type { GenerationSettings } from './types.ts';

/** Tokens that a prompt may have so that an answer of full length fits behind it. */
export function promptRoom(config: ModelConfig, maxNewTokens: number): number {
  return Math.max(1, contextLength(config) - maxNewTokens);
}

export interface FittedPrompt {
  units: Units;
  /** Units cut from the left. */
  truncatedTokens: number;
}

/**
 * Checks a prompt's length against the context; with `overflow: 'truncate-left'` cuts its start (after BOS, which
 * stays) until prompt and answer fit.
 * @throws UserError if the prompt is empty or, with 'refuse', longer than the context
 */
export function fitToContext(units: Units, config: ModelConfig, settings: GenerationSettings): FittedPrompt {
  if (units.length === 0) throw new UserError('The prompt is empty: there is nothing to continue.');
  const context = contextLength(config);
  if ((settings.overflow ?? 'refuse') === 'refuse') {
    if (units.length > context) {
      throw new UserError(
        `The prompt has ${units.length} tokens, but the model's context is ${context}: take fewer or shorter ` +
          'passages, or allow the prompt to be cut from the left.',
      );
    }
    return { units, truncatedTokens: 0 };
  }
  const budget = promptRoom(config, settings.maxNewTokens);
  if (units.length <= budget) return { units, truncatedTokens: 0 };
  const bos = units[0] === config.bosTokenId && budget > 1 ? [units[0]] : [];
  const kept = [...bos, ...units.slice(units.length - budget + bos.length)];
  return { units: kept, truncatedTokens: units.length - kept.length };
}
