/**
 * The program that reads documents, in a process of its own so that it can be ended: a document may be hostile. A
 * second thread of it ends the process when it takes too much memory, or too long after its parent has died.
 */
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { longestReadMs, readerMemoryBytes } from './limits.ts';
import type { ReaderMessage } from './documentReader.ts';
import type { ReadRequest } from './readDocument.ts';

/** Passages in one message: the other side is not to be busy for long with any of them. */
const chunksPerMessage = 100;

if (isMainThread) {
  // When a read has to be done, in milliseconds since 1970; 0: nothing is being read.
  const deadline = new Float64Array(new SharedArrayBuffer(8));
  new Worker(fileURLToPath(import.meta.url), { workerData: deadline }).unref();
  await serve(deadline);
} else {
  watch(workerData as Float64Array);
}

async function serve(deadline: Float64Array): Promise<void> {
  const [{ readDocument }, { problemOf }] = await Promise.all([
    import('./readDocument.ts'),
    import('../files/reasons.ts'),
  ]);
  const send = (message: ReaderMessage) => process.send!(message);
  process.on('message', (request: ReadRequest) => {
    deadline[0] = Date.now() + longestReadMs;
    void readDocument(request)
      .then(
        ({ hash, chunks, lines, problem }) => {
          for (let start = 0; start < chunks.length; start += chunksPerMessage) {
            send({ kind: 'chunks', chunks: chunks.slice(start, start + chunksPerMessage) });
          }
          send({ kind: 'done', hash, lines, problem, memory: process.memoryUsage.rss() });
        },
        (error: unknown) => send({ kind: 'failed', problem: problemOf(error) }),
      )
      .finally(() => (deadline[0] = 0));
  });
  process.on('disconnect', () => process.exit());
  send({ kind: 'ready' });
}

function watch(deadline: Float64Array): void {
  setInterval(() => {
    const isLate = deadline[0]! > 0 && Date.now() > deadline[0]! + longestReadMs;
    if (isLate || process.memoryUsage.rss() > readerMemoryBytes) process.kill(process.pid, 'SIGKILL');
  }, 20);
}
