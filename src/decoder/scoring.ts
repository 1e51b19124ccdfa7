/** How likely the model finds a text as it stands: the log probability of every token after what comes before it. */
import { contextLength } from '../checkpoint/ropeConfig.ts';
import { throwIfCancelled, UserError } from '../protocol/errors.ts';
import type { PromptUnits, Units } from './promptUnits.ts';
import { logSumExp } from './sampling.ts';
import type { DecoderSession } from './session.ts';
import type { Prompt } from './types.ts';

/** Bytes of logits that one pass may put out, and its positions at most. */
const logitsBytes = 64 * 1024 * 1024;
const passSize = 128;

/**
 * Natural logarithms of the probabilities of all positions but the first; null for virtual tokens, which the model does
 * not predict.
 * @throws UserError if the prompt is longer than the context, or logits are not finite
 * @throws CancelledError soon after the signal fires
 */
export async function scorePrompt(
  session: DecoderSession,
  promptUnits: PromptUnits,
  prompt: Prompt,
  signal?: AbortSignal,
): Promise<(number | null)[]> {
  const { vocabSize } = session.config;
  const context = contextLength(session.config);
  const units = promptUnits.fromPrompt(prompt);
  if (units.length > context) {
    throw new UserError(
      `The text has ${units.length} tokens, but the model's context is ${context}: take a shorter one.`,
    );
  }
  const step = Math.max(1, Math.min(passSize, Math.floor(logitsBytes / (4 * vocabSize))));
  const sequence = await session.memory.create(units.length);
  try {
    const logProbabilities: (number | null)[] = [];
    // the last position predicts nothing that is asked for
    for (let start = 0; start < units.length - 1; start += step) {
      throwIfCancelled(signal);
      const piece = units.slice(start, Math.min(start + step, units.length - 1));
      const [logits] = await session.forward([
        {
          sequence,
          inputsEmbeds: await promptUnits.embeddings(piece),
          adapter: prompt.adapter,
          ropeLength: units.length,
          logitsAt: [...piece.keys()],
        },
      ]);
      const targets: Units = units.slice(start + 1, start + 1 + piece.length);
      targets.forEach((target, row) => {
        const rowLogits = logits!.subarray(row * vocabSize, (row + 1) * vocabSize);
        logProbabilities.push(target < 0 ? null : rowLogits[target]! - logSumExp(rowLogits));
      });
    }
    return logProbabilities;
  } finally {
    session.memory.release(sequence);
  }
}
