/** From a variant to its plan, without a tokenizer: any backend can carry it out. */
import { formatVariant, methodOf, variantLabel, type Method, type Variant } from '../protocol/methods.ts';
import { planCompletion } from './completion.ts';
import { planContextAware } from './contextAware.ts';
import { planConversation } from './conversation.ts';
import { planInstruction } from './instruction.ts';
import { planParametric } from './parametric.ts';
import { UnavailableError, type AnswerPlan, type PlanInput, type Planner } from './types.ts';

const planners: Readonly<Record<Method['template'], Planner>> = {
  completion: planCompletion,
  instruction: planInstruction,
  conversation: planConversation,
  parametric: planParametric,
  contrast: planContextAware,
};

/**
 * What is put to the model.
 * @throws UserError for an empty question
 * @throws UnavailableError if the variant needs virtual tokens that are not there
 */
export function planVariant(variant: Variant, input: PlanInput): AnswerPlan {
  const { template, adapter } = methodOf(variant);
  const id = formatVariant(variant);
  const { k = 0 } = variant;
  const { tokens } = input;
  if (k > 0 && !tokens) {
    throw new UnavailableError(
      `The variant ${id} needs virtual tokens, but no embedding file is chosen.`,
      'token-file',
    );
  }
  if (k > 0 && k > tokens!.count) {
    throw new UnavailableError(
      `${k} virtual tokens are asked for (${id}), but the embedding file has ${tokens!.count}.`,
      'token-file',
    );
  }
  return { id, label: variantLabel(variant), k, adapter, ...planners[template](variant, input) };
}
