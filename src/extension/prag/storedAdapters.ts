/** A comparison with Parametric RAG starts when its passages are encoded; encoding is a job of its own. */
import type { ComparisonRequest, VariantId } from '../../protocol/comparison.ts';
import type { EncodeRequest } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { Engines } from '../engines.ts';
import { NotEncodedError } from '../panel/failures.ts';
import { pragOptions } from './pragOptions.ts';

/** Passages that this window could not encode, by model: a comparison leaves them out of the adapters. */
export const unencodable = new Set<string>();

export function unencodableKey(model: string, passage: string): string {
  return `${model}\n${passage}`;
}

/** What has to be encoded for some variants: the passages, the placebo's, or nothing. */
export function neededAdapters(
  variants: readonly VariantId[],
  passages: readonly string[],
): Pick<EncodeRequest, 'passages' | 'placebo'> {
  const own = variants.some((variant) => variant.includes('prag'));
  const placebo = variants.includes('placebo');
  return { passages: own ? [...passages] : [], placebo: placebo ? Math.max(1, passages.length) : 0 };
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
  if (needed.passages.length === 0 && needed.placebo === 0) return request;
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

/** What to tell about passages without an adapter; null if there is nothing to encode. */
export function missingMessage(
  model: string,
  needed: Pick<EncodeRequest, 'passages' | 'placebo'>,
  missing: readonly string[],
): string | null {
  const open = missing.filter((passage) => !unencodable.has(unencodableKey(model, passage)));
  if (open.length === 0) return null;
  const own = open.filter((passage) => needed.passages.includes(passage)).length;
  if (own === 0) return 'The unrelated passages of the placebo are not encoded for this model yet.';
  return (
    `${own} of the ${needed.passages.length} ticked passages ${own === 1 ? 'is' : 'are'} not encoded for ${model} yet. ` +
    'Parametric RAG turns each into an adapter first, which is kept for later questions.'
  );
}
