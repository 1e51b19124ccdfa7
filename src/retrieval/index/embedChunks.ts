import { throwIfCancelled } from '../../protocol/errors.ts';
import type { Embedder } from '../embedding/embedder.ts';
import { passageText } from '../passageText.ts';
import { parseHeadings, type IndexStore } from './store.ts';
import type { VectorTable } from './vectors.ts';

/** Chunks per transaction: a few seconds of work at most are lost when the process ends. */
const chunksPerTransaction = 128;

export interface EmbedProgress {
  embedded: number;
  toEmbed: number;
}

/** Makes the vectors that are missing, with the title path as part of each text. Yields after every transaction. */
export async function* embedChunks(
  store: IndexStore,
  vectors: VectorTable,
  embedder: Embedder,
  signal?: AbortSignal,
): AsyncGenerator<EmbedProgress> {
  const dimension = (await embedder.embed(['dimension'], 'query'))[0]!.length;
  vectors.prepare(embedder.fingerprint, dimension);
  const toEmbed = Number(store.prepare('SELECT count(*) AS n FROM chunks WHERE embedded = 0').get()?.['n']);
  let embedded = 0;
  for (;;) {
    throwIfCancelled(signal);
    const rows = store
      .prepare('SELECT id, headings, heading_lines, text FROM chunks WHERE embedded = 0 ORDER BY id LIMIT ?')
      .all(chunksPerTransaction);
    if (rows.length === 0) return;
    const texts = rows.map((row) =>
      passageText({
        text: String(row['text']),
        headings: parseHeadings(row['headings']),
        headingLines: Number(row['heading_lines']),
      }),
    );
    const made = await embedder.embed(texts, 'passage', signal);
    store.transaction(() => rows.forEach((row, index) => vectors.insert(Number(row['id']), made[index]!)));
    embedded += rows.length;
    yield { embedded, toEmbed };
  }
}
