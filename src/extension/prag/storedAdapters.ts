/** A comparison with Parametric RAG starts when its passages are encoded; encoding is a job of its own. */
import type { ComparisonRequest } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import { methodOf, variantFrom, type VariantId } from '../../protocol/methods.ts';
import type { Engines } from '../engines.ts';
import { unavailableVariant, type PanelComparison } from '../panel/comparisonInputs.ts';
import { NotEncodedError } from '../panel/failures.ts';
import { setting } from '../settings.ts';
import { adapterProblems, missingMessage, neededAdapters } from './neededAdapters.ts';
import { pragOptions } from './pragOptions.ts';

/** Whether a variant shows reasoning examples. */
function usesExamples(id: VariantId): boolean {
  return methodOf(variantFrom(id)).template === 'parametric';
}

/**
 * The request with what its adapters need, without the variants whose passages have to be encoded first.
 * @throws NotEncodedError, or UserError if no passage can be encoded, where no variant is left
 */
export async function withStoredAdapters(
  request: ComparisonRequest,
  engines: Engines,
  signal: AbortSignal,
): Promise<PanelComparison> {
  const { model, device, precision, variants } = request;
  const texts = request.passages.map(({ text }) => text);
  const needed = neededAdapters(variants, texts);
  if (needed.passages.length === 0 && needed.unrelated === 0) {
    const fewShotFile = setting('prag.fewShotFile');
    const asksStepByStep = fewShotFile !== '' && variants.some(usesExamples);
    return { request: asksStepByStep ? { ...request, prag: { fewShotFile } } : request, unavailable: [] };
  }
  const prag = pragOptions();
  const encode = { model, device, precision, prag, ...needed };
  const { passages: missing } = await engines.inference.request('missingAdapters', encode, { signal });
  const problems = adapterProblems(model, needed, missing);
  const unavailable = variants.flatMap((id) => {
    const { adapter } = methodOf(variantFrom(id));
    const problem = adapter && problems[adapter];
    return problem ? [unavailableVariant(id, problem.message, problem.canEncode ? 'adapters' : null)] : [];
  });
  const left = variants.filter((id) => !unavailable.some(({ variant }) => variant === id));
  if (left.length === 0) {
    const message = missingMessage(model, needed, missing);
    throw message === null ? new UserError(unavailable[0]!.message) : new NotEncodedError(message);
  }
  return { request: { ...request, variants: left, prag: { ...prag, onlyStored: true } }, unavailable };
}
