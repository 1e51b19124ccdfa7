/** A comparison with Parametric RAG starts when its passages are encoded; encoding is a job of its own. */
import type { ComparisonRequest } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import { methodOf, variantFrom, type VariantId } from '../../protocol/methods.ts';
import type { Engines } from '../engines.ts';
import { NotEncodedError } from '../panel/failures.ts';
import { setting } from '../settings.ts';
import { missingMessage, neededAdapters } from './neededAdapters.ts';
import { pragOptions } from './pragOptions.ts';

/** Whether a variant shows reasoning examples. */
function usesExamples(id: VariantId): boolean {
  return methodOf(variantFrom(id)).template === 'parametric';
}

/**
 * The request with what its adapters need.
 * @throws NotEncodedError if passages have to be encoded first; UserError if none of them can be
 */
export async function withStoredAdapters(
  request: ComparisonRequest,
  engines: Engines,
  signal: AbortSignal,
): Promise<ComparisonRequest> {
  const { model, device, precision } = request;
  const texts = request.passages.map(({ text }) => text);
  const needed = neededAdapters(request.variants, texts);
  if (needed.passages.length === 0 && needed.unrelated === 0) {
    const fewShotFile = setting('prag.fewShotFile');
    const asksStepByStep = fewShotFile !== '' && request.variants.some(usesExamples);
    return asksStepByStep ? { ...request, prag: { fewShotFile } } : request;
  }
  const prag = pragOptions();
  const encode = { model, device, precision, prag, ...needed };
  const { passages } = await engines.inference.request('missingAdapters', encode, { signal });
  const message = missingMessage(model, needed, passages);
  if (message !== null) throw new NotEncodedError(message);
  if (needed.passages.length > 0 && needed.passages.every((passage) => passages.includes(passage))) {
    throw new UserError(
      `${model} wrote no usable questions about the ticked passages, so they have no adapters. Tick others, ` +
        'choose a larger model, or set an endpoint (setting springRag.prag.endpoint).',
    );
  }
  return { ...request, prag: { ...prag, onlyStored: true } };
}
