/** The panel's passages as plain data: merging search hits, adding by hand, ticking, moving. */
import type { SearchHit } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { PanelPassage } from '../../protocol/panel.ts';
import type { Passage } from '../../protocol/passages.ts';
import { passageOf } from '../../retrieval/passageText.ts';

/** More passages are offered than are ticked, so that the user has something to choose from. */
export const offeredPassages = 8;

/** The hits as passages, the first `ticked` of them ticked, followed by those that the user had added. */
export function mergeHits(
  hits: readonly SearchHit[],
  before: readonly PanelPassage[],
  ticked: number,
): PanelPassage[] {
  const retrieved = hits.map((hit, place): PanelPassage => ({
    id: `hit-${String(place + 1)}`,
    passage: passageOf(hit),
    folder: hit.folder,
    ticked: place < ticked,
    origin: 'retrieved',
    rank: hit.rank,
    titlePath: hit.headings,
    bm25Rank: hit.bm25Rank,
    vectorRank: hit.vectorRank,
  }));
  return [...retrieved, ...before.filter((passage) => passage.origin !== 'retrieved')];
}

/**
 * Appends a ticked passage that the user gives.
 * @throws UserError if it is empty
 */
export function addPassage(
  before: readonly PanelPassage[],
  passage: Passage,
  origin: 'by-hand' | 'editor',
): PanelPassage[] {
  if (passage.text.trim() === '')
    throw new UserError('The passage is empty: write or select some text first.');
  const numbers = before.map(({ id }) => Number(/^own-(\d+)$/.exec(id)?.[1] ?? 0));
  const id = `own-${String(Math.max(0, ...numbers) + 1)}`;
  return [
    ...before,
    { id, passage, ticked: true, origin, rank: null, titlePath: [], bm25Rank: null, vectorRank: null },
  ];
}

export function tickPassages(before: readonly PanelPassage[], ids: readonly string[]): PanelPassage[] {
  const wanted = new Set(ids);
  return before.map((passage) => ({ ...passage, ticked: wanted.has(passage.id) }));
}

/** Moves a passage to place `to` (clamped); an unknown id changes nothing. */
export function movePassage(before: readonly PanelPassage[], id: string, to: number): PanelPassage[] {
  const moved = before.find((passage) => passage.id === id);
  if (!moved) return [...before];
  const rest = before.filter((passage) => passage !== moved);
  const place = Math.min(Math.max(0, Math.trunc(to)), rest.length);
  return [...rest.slice(0, place), moved, ...rest.slice(place)];
}

export function tickedPassages(passages: readonly PanelPassage[]): Passage[] {
  return passages.filter((passage) => passage.ticked).map(({ passage }) => passage);
}
