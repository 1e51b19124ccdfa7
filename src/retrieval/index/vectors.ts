/**
 * The vectors of the chunks. Each is kept twice: its values as 8-bit integers in an ordinary table, and their signs,
 * one bit per dimension, in a table of sqlite-vec. A search takes the chunks whose signs differ least from the
 * query's (Hamming distance, a scan of a few megabytes) and ranks these by the dot product of the values: on 100,000
 * chunks several times faster than scanning the values of all, and exact for indexes of up to `candidates` chunks.
 */
import { getLoadablePath } from 'sqlite-vec';
import { messageOf, UserError } from '../../protocol/errors.ts';
import type { ScoredChunk } from '../search/bm25.ts';
import type { IndexStore } from './store.ts';

/**
 * sqlite-vec's cost grows with how many neighbours are asked for at once. The signs are therefore spread over
 * partitions, each asked for a few: together they give `partitions * neighboursPerPartition` candidates.
 */
const partitions = 16;
const neighboursPerPartition = 64;
export const candidates = partitions * neighboursPerPartition;

interface VectorMeta {
  fingerprint: string;
  dimension: number;
}

export class VectorTable {
  readonly #store: IndexStore;
  #loaded = false;

  constructor(store: IndexStore) {
    this.#store = store;
  }

  /** Of the vectors in the index; undefined if it has none. */
  get meta(): VectorMeta | undefined {
    const text = this.#store.meta('vectors');
    return text === undefined ? undefined : (JSON.parse(text) as VectorMeta);
  }

  /** @throws UserError if sqlite-vec does not run on this system */
  load(): void {
    if (this.#loaded) return;
    const { database } = this.#store;
    try {
      database.enableLoadExtension(true);
      database.loadExtension(getLoadablePath());
      this.#loaded = true;
    } catch (error) {
      throw new UserError(`Vector search is not available on this system: ${messageOf(error)}`);
    } finally {
      database.enableLoadExtension(false);
    }
  }

  /** Makes the tables fit an embedder; vectors of another one are dropped. */
  prepare(fingerprint: string, dimension: number): void {
    this.load();
    const meta = this.meta;
    if (meta?.fingerprint === fingerprint && meta.dimension === dimension) return;
    this.drop();
    this.#store.transaction(() => {
      const bits = Math.ceil(dimension / 8) * 8;
      this.#store.database.exec(
        `CREATE VIRTUAL TABLE chunk_signs USING vec0 (bucket INTEGER PARTITION KEY, signs bit[${bits}])`,
      );
      this.#store.setMeta('vectors', JSON.stringify({ fingerprint, dimension }));
    });
  }

  drop(): void {
    if (!this.meta) return;
    this.load();
    this.#store.transaction(() => {
      this.#store.database.exec('DROP TABLE IF EXISTS chunk_signs; DELETE FROM chunk_vectors;');
      this.#store.database.exec('UPDATE chunks SET embedded = 0 WHERE embedded = 1');
      this.#store.removeMeta('vectors');
    });
  }

  /** Stores the vector (of length 1) of a chunk; the caller holds the transaction. */
  insert(id: number, vector: Float32Array): void {
    const values = toBytes(vector);
    this.#store.prepare('INSERT INTO chunk_vectors VALUES (?, ?)').run(id, new Uint8Array(values.buffer));
    this.#store
      .prepare('INSERT INTO chunk_signs (rowid, bucket, signs) VALUES (?, ?, vec_bit(?))')
      .run(BigInt(id), BigInt(id % partitions), signBits(vector));
    this.#store.prepare('UPDATE chunks SET embedded = 1 WHERE id = ?').run(id);
  }

  /** Forgets the vectors of a chunk that is deleted. Where sqlite-vec cannot be loaded its signs stay, unused. */
  remove(id: number): void {
    const { changes } = this.#store.prepare('DELETE FROM chunk_vectors WHERE id = ?').run(id);
    if (changes === 0) return;
    try {
      this.load();
    } catch {
      return;
    }
    this.#store.prepare('DELETE FROM chunk_signs WHERE rowid = ?').run(BigInt(id));
  }

  /** The chunks nearest to a query's vector by cosine, confined to `documents` if given. */
  search(query: Float32Array, limit: number, documents: readonly number[] | undefined): ScoredChunk[] {
    this.load();
    const signs = signBits(query);
    const filter = documents
      ? 'AND rowid IN (SELECT id FROM chunks WHERE document IN (SELECT value FROM json_each(?)))'
      : '';
    const nearest = this.#store.prepare(
      `SELECT rowid AS id FROM chunk_signs
       WHERE signs MATCH vec_bit(?) AND k = ${neighboursPerPartition} AND bucket = ? ${filter}`,
    );
    const ids: number[] = [];
    const confined = documents ? [JSON.stringify(documents)] : [];
    for (let bucket = 0; bucket < partitions; bucket++) {
      for (const row of nearest.all(signs, BigInt(bucket), ...confined)) ids.push(Number(row['id']));
    }
    const scored = this.#store
      .prepare('SELECT id, vector FROM chunk_vectors WHERE id IN (SELECT value FROM json_each(?))')
      .all(JSON.stringify(ids))
      .map((row) => ({ id: Number(row['id']), score: cosine(query, row['vector'] as Uint8Array) }));
    return scored.sort((a, b) => b.score - a.score || a.id - b.id).slice(0, limit);
  }
}

/**
 * Values in -127..127. Most values of a long vector are small, so its largest one is mapped to 127; `cosine` takes the
 * vectors' lengths out again.
 */
function toBytes(vector: Float32Array): Int8Array {
  const largest = vector.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
  return Int8Array.from(vector, (value) => Math.round((value / largest) * 127));
}

/** Cosine of a query of length 1 and stored values of any length. */
function cosine(query: Float32Array, bytes: Uint8Array): number {
  const values = new Int8Array(bytes.buffer, bytes.byteOffset, bytes.length);
  let product = 0;
  let squares = 0;
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!;
    product += value * query[index]!;
    squares += value * value;
  }
  return squares === 0 ? 0 : product / Math.sqrt(squares);
}

function signBits(vector: Float32Array): Uint8Array {
  const bits = new Uint8Array(Math.ceil(vector.length / 8));
  vector.forEach((value, index) => {
    if (value > 0) bits[index >> 3]! |= 1 << (index & 7);
  });
  return bits;
}
