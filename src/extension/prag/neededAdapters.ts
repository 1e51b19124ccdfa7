/** Which adapters a comparison needs, and what to say of those that are not there. */
import type { EncodeRequest } from '../../protocol/engine.ts';
import { methodOf, variantFrom, type AdapterKind, type VariantId } from '../../protocol/methods.ts';

/** Passages that this window could not encode, by model: a comparison leaves them out of the adapters. */
export const unencodable = new Set<string>();

export function unencodableKey(model: string, passage: string): string {
  return `${model}\n${passage}`;
}

/** What has to be encoded for some variants: the passages, unrelated ones, or nothing. */
export function neededAdapters(
  variants: readonly VariantId[],
  passages: readonly string[],
): Pick<EncodeRequest, 'passages' | 'unrelated'> {
  const kinds = new Set(variants.map((id) => methodOf(variantFrom(id)).adapter));
  return {
    passages: kinds.has('passages') ? [...passages] : [],
    unrelated: kinds.has('unrelated') ? Math.max(1, passages.length) : 0,
  };
}

/** What to tell about passages without an adapter; null if there is nothing to encode. */
export function missingMessage(
  model: string,
  needed: Pick<EncodeRequest, 'passages' | 'unrelated'>,
  missing: readonly string[],
): string | null {
  const open = missing.filter((passage) => !unencodable.has(unencodableKey(model, passage)));
  if (open.length === 0) return null;
  const own = open.filter((passage) => needed.passages.includes(passage)).length;
  if (own === 0) return 'The unrelated passages of the placebo are not encoded for this model yet.';
  const all = needed.passages.length;
  const which =
    all === 1
      ? 'The ticked passage is'
      : own === all
        ? `The ${all} ticked passages are`
        : `${own} of the ${all} ticked passages ${own === 1 ? 'is' : 'are'}`;
  return (
    `${which} not encoded for ${model} yet. ` +
    'Parametric RAG turns each into an adapter first, which is kept for later questions.'
  );
}

/** Why the variants with an adapter of a kind cannot be asked now, and whether encoding helps. */
export function adapterProblems(
  model: string,
  needed: Pick<EncodeRequest, 'passages' | 'unrelated'>,
  missing: readonly string[],
): Partial<Record<AdapterKind, { message: string; canEncode: boolean }>> {
  const isOwn = (passage: string): boolean => needed.passages.includes(passage);
  const own = missingMessage(model, needed, missing.filter(isOwn));
  const unrelated = missingMessage(
    model,
    needed,
    missing.filter((passage) => !isOwn(passage)),
  );
  const none = needed.passages.length > 0 && needed.passages.every((passage) => missing.includes(passage));
  const useless =
    `${model} wrote no usable questions about the ticked passages, so they have no adapters. Tick others, ` +
    'choose a larger model, or set an endpoint (setting springRag.prag.endpoint).';
  return {
    ...(own !== null && { passages: { message: own, canEncode: true } }),
    ...(own === null && none && { passages: { message: useless, canEncode: false } }),
    ...(unrelated !== null && { unrelated: { message: unrelated, canEncode: true } }),
  };
}
