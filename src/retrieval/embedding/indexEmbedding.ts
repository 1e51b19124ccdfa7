/** The embedding model of an index, opened when it is first needed: vectors for passages and for queries. */
import { messageOf } from '../../protocol/errors.ts';
import type { Connections } from '../index/connections.ts';
import { embedChunks, type EmbedProgress } from '../index/embedChunks.ts';
import type { VectorSearch } from '../search/search.ts';
import type { IndexSettings } from '../settings.ts';
import type { Embedder } from './embedder.ts';

export class IndexEmbedding {
  readonly #connections: Connections;
  readonly #settings: () => Readonly<IndexSettings>;
  #embedder: Promise<Embedder> | undefined;

  constructor(connections: Connections, settings: () => Readonly<IndexSettings>) {
    this.#connections = connections;
    this.#settings = settings;
  }

  /** Makes the missing vectors, or drops all of them if there is no embedding model any more. */
  async *update(signal: AbortSignal | undefined): AsyncGenerator<EmbedProgress> {
    const { writing, vectors } = this.#connections;
    const { embedder: folder } = this.#settings();
    if (folder === null) {
      vectors.drop();
      return;
    }
    yield* embedChunks(writing, vectors, await this.#open(folder), signal);
  }

  /** How to search by vectors, or why that is not possible now. */
  async search(): Promise<{ vectors?: VectorSearch; notices: string[] }> {
    const { embedder: folder } = this.#settings();
    if (folder === null)
      return { notices: ['No embedding model is set, so the search is by words alone (BM25).'] };
    try {
      const embedder = await this.#open(folder);
      if (this.#connections.searchedVectors.meta?.fingerprint !== embedder.fingerprint) {
        return {
          notices: [
            'The index has no vectors of the embedding model yet; update it. Searched by words alone.',
          ],
        };
      }
      const vectors: VectorSearch = async (query, limit, documents, signal) => {
        const [vector] = await embedder.embed([query], 'query', signal);
        return this.#connections.searchedVectors.search(vector!, limit, documents);
      };
      return { vectors, notices: [] };
    } catch (error) {
      return { notices: [`${messageOf(error)} Searched by words alone.`] };
    }
  }

  close(): void {
    void this.#embedder?.then((embedder) => embedder.close()).catch(() => undefined);
  }

  #open(folder: string): Promise<Embedder> {
    this.#embedder ??= import('./embedder.ts').then((module) => module.Embedder.open(folder));
    this.#embedder.catch(() => (this.#embedder = undefined)); // The folder may be there the next time.
    return this.#embedder;
  }
}
