/** Reads documents in a process of its own (documentReaderMain.ts), one after the other, within limits. */
import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { CancelledError, throwIfCancelled } from '../../protocol/errors.ts';
import type { Chunk } from '../chunks/chunkDocument.ts';
import { DocumentProblem } from '../documents/problem.ts';
import type { DocumentLine } from '../../protocol/engine.ts';
import type { DocumentFailure } from '../files/reasons.ts';
import { longestReadMs, readerHeapMegabytes, readerMemoryBytes } from './limits.ts';
import type { ReadDocument, ReadRequest } from './readDocument.ts';

/** What the reading process says. `memory`: bytes that the process takes now. */
export type ReaderMessage =
  | { kind: 'ready' }
  | { kind: 'chunks'; chunks: Chunk[] }
  | {
      kind: 'done';
      hash: string;
      lines: DocumentLine[] | undefined;
      problem: DocumentFailure | undefined;
      memory: number;
    }
  | { kind: 'failed'; problem: DocumentFailure };

/** A process without work ends after this many milliseconds. */
const idleMs = 20_000;

/** A process that a document has left with more memory than this is not used for another. */
const crowdedBytes = readerMemoryBytes / 2;

/** Starting the program takes a fraction of a second; on a machine that is very busy, more. */
const longestStartMs = 60_000;

interface Reading {
  child: ChildProcess;
  ready: Promise<void>;
  isFresh: boolean;
}

export class DocumentReader {
  readonly #longestMs: number;
  #process: Reading | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #idle: NodeJS.Timeout | undefined;

  /** @param longestMs milliseconds that one document may take */
  constructor(longestMs = longestReadMs) {
    this.#longestMs = longestMs;
  }

  /**
   * The passages of a document.
   * @throws DocumentProblem if it cannot be read, also because it takes too long or too much memory; CancelledError
   */
  read(request: ReadRequest, signal?: AbortSignal): Promise<ReadDocument> {
    const result = this.#last.then(() => this.#readNow(request, signal));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Ends the process. */
  close(): void {
    clearTimeout(this.#idle);
    this.#process?.child.kill('SIGKILL');
    this.#process = undefined;
  }

  async #readNow(request: ReadRequest, signal: AbortSignal | undefined): Promise<ReadDocument> {
    throwIfCancelled(signal);
    clearTimeout(this.#idle);
    try {
      const wasFresh = this.#process?.isFresh ?? true;
      try {
        return await this.#attempt(request, signal);
      } catch (error) {
        // The documents before it may have left little room.
        if (wasFresh || !(error instanceof DocumentProblem && error.kind === 'tooMuchMemory')) throw error;
        return await this.#attempt(request, signal);
      }
    } finally {
      this.#idle = setTimeout(() => this.close(), idleMs);
      this.#idle.unref();
    }
  }

  #start(): Reading {
    const started = startProcess();
    started.child.once('exit', () => {
      if (this.#process === started) this.#process = undefined;
    });
    return started;
  }

  async #attempt(request: ReadRequest, signal: AbortSignal | undefined): Promise<ReadDocument> {
    const reading = (this.#process ??= this.#start());
    const { child } = reading;
    setHeld(child, true);
    let timer: NodeJS.Timeout | undefined;
    const { promise, resolve, reject } = Promise.withResolvers<ReadDocument>();
    const chunks: Chunk[] = [];
    const onMessage = (message: ReaderMessage) => {
      if (message.kind === 'chunks') {
        chunks.push(...message.chunks);
      } else if (message.kind === 'failed') {
        reject(new DocumentProblem(message.problem.kind, message.problem.reason));
      } else if (message.kind === 'done') {
        const { hash, lines, problem, memory } = message;
        if (memory > crowdedBytes) this.close();
        resolve({ hash, chunks, ...(lines && { lines }), ...(problem && { problem }) });
      }
    };
    const onExit = (_code: number | null, exitSignal: NodeJS.Signals | null) => reject(endedBy(exitSignal));
    const onAbort = () => reject(new CancelledError());
    child.on('message', onMessage);
    child.on('exit', onExit);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await Promise.race([reading.ready, promise]);
      timer = setTimeout(() => {
        reject(new DocumentProblem('timedOut', `took longer than ${this.#longestMs / 1000} s to read`));
      }, this.#longestMs);
      reading.isFresh = false;
      child.send(request); // A failure shows as the end of the process.
      return await promise;
    } catch (error) {
      // What said itself why it cannot be read goes on with the next; else nobody knows what the process is doing.
      if (!(error instanceof DocumentProblem) || error.kind === 'timedOut' || hasEnded(child)) this.close();
      throw error;
    } finally {
      clearTimeout(timer);
      child.off('message', onMessage);
      child.off('exit', onExit);
      signal?.removeEventListener('abort', onAbort);
      setHeld(child, false);
    }
  }
}

function startProcess(): Reading {
  const child = fork(programFile(), [], {
    execArgv: [`--max-old-space-size=${readerHeapMegabytes}`, '--disable-warning=ExperimentalWarning'],
    env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let said = '';
  child.stderr!.on('data', (text: Buffer) => (said = `${said}${text.toString()}`.slice(0, 2000)));
  const { promise, resolve, reject } = Promise.withResolvers<undefined>();
  const failed = (why: string) =>
    reject(new Error(`The program that reads documents could not be started: ${why}. ${said}`.trim()));
  const timer = setTimeout(() => failed(`no answer for ${longestStartMs / 1000} s`), longestStartMs);
  child.once('message', () => resolve(undefined));
  child.on('error', (error) => failed(error.message));
  child.once('exit', (code, signal) => failed(`it ended with ${signal ?? `code ${code}`}`));
  const ready = promise.finally(() => clearTimeout(timer));
  ready.catch(() => undefined); // Whoever reads hears of it.
  return { child, ready, isFresh: true };
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || !child.connected;
}

/** While nothing is read, the process does not keep this one alive. */
function setHeld(child: ChildProcess, held: boolean): void {
  for (const part of [child, child.channel, child.stderr as Socket | null]) {
    if (held) part?.ref();
    else part?.unref();
  }
}

/** The process ended while it read: by its own watch, by the limit of the heap, or by a fault in native code. */
function endedBy(signal: NodeJS.Signals | null): DocumentProblem {
  return signal === 'SIGSEGV' || signal === 'SIGBUS' || signal === 'SIGILL'
    ? new DocumentProblem('damaged', 'ended the program that reads documents')
    : new DocumentProblem(
        'tooMuchMemory',
        `needs more than ${readerMemoryBytes / 1024 / 1024} MB of memory to be read`,
      );
}

/** The program beside this module: as source, or as a bundle beside or above the bundle's chunks. */
function programFile(): string {
  const names = ['./documentReaderMain.ts', './documentReader.mjs', '../documentReader.mjs'];
  const files = names.map((name) => fileURLToPath(new URL(name, import.meta.url)));
  return files.find((file) => existsSync(file)) ?? files[0]!;
}
