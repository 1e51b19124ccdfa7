/** One process at a time updates an index. */
import { rmSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { CancelledError } from '../../protocol/errors.ts';
import { isDamage } from './openDatabase.ts';

/** Milliseconds between two attempts while another process indexes. */
const retryAfter = 200;

/**
 * The right to update an index, held by at most one connection of all processes. It is an open write transaction on a
 * small database beside the index, so the operating system gives it back when the holder dies, however it dies.
 */
export class WriterLock {
  readonly #database: DatabaseSync;
  #released = false;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** The lock, or undefined if another holds it now. */
  static tryAcquire(indexFile: string, isFirst = true): WriterLock | undefined {
    const database = new DatabaseSync(`${indexFile}.lock`);
    try {
      database.exec('PRAGMA busy_timeout = 0; BEGIN EXCLUSIVE');
      return new WriterLock(database);
    } catch (error) {
      database.close();
      if (isDamage(error) && isFirst) {
        rmSync(`${indexFile}.lock`); // It holds nothing.
        return WriterLock.tryAcquire(indexFile, false);
      }
      if (
        error instanceof Error &&
        'errcode' in error &&
        (Number(error.errcode) & 0xff) === 5 /* SQLITE_BUSY */
      ) {
        return undefined;
      }
      throw error;
    }
  }

  /**
   * Waits until the lock is free; yields once, before waiting, if it is not.
   * @throws CancelledError
   */
  static async *acquire(indexFile: string, signal?: AbortSignal): AsyncGenerator<'waiting', WriterLock> {
    let told = false;
    for (;;) {
      const lock = WriterLock.tryAcquire(indexFile);
      if (lock) return lock;
      if (!told) yield 'waiting';
      told = true;
      try {
        await delay(retryAfter, undefined, { signal });
      } catch {
        throw new CancelledError();
      }
    }
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#database.exec('ROLLBACK');
    this.#database.close();
  }
}
