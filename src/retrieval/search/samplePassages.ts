/** Passages without a question. */
import type { Passage } from '../../protocol/passages.ts';
import type { IndexStore } from '../index/store.ts';

/** Passages spread evenly over the index, in its order; all if there are fewer. */
export function samplePassages(store: IndexStore, count: number): Passage[] {
  const ids = store.prepare('SELECT id FROM chunks ORDER BY id').all();
  const step = Math.max(1, ids.length / Math.max(1, count));
  const read = store.prepare(
    `SELECT c.text, c.start_line AS startLine, c.end_line AS endLine, min(f.path) AS path
     FROM chunks c JOIN files f ON f.document = c.document WHERE c.id = ? GROUP BY c.id`,
  );
  return Array.from({ length: Math.min(count, ids.length) }, (_, place) =>
    read.get(ids[Math.floor(place * step)]!['id'] as number),
  ).flatMap((row) => (row ? [{ ...row } as unknown as Passage] : []));
}
