/** Converts the layers of a checkpoint on threads of their own, one for each core. */
import { EventEmitter, on } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { throwIfCancelled, UserError } from '../../protocol/errors.ts';
import { programBeside } from '../files.ts';
import type { LayerTask, Reply } from './conversionTask.ts';

/**
 * Yields bytes of the checkpoint's weights as they are read, returns the SHA-256 of all tensors.
 * @throws UserError for weights that cannot be read or are not finite, CancelledError when the signal fires
 */
export async function* convertOnAllCores(
  tasks: readonly LayerTask[],
  signal?: AbortSignal,
): AsyncGenerator<number, Record<string, string>> {
  const program = programBeside(import.meta.url, 'conversionWorker');
  const count = Math.min(availableParallelism(), tasks.length);
  const workers = Array.from({ length: count }, () => new Worker(program));
  const events = new EventEmitter();
  const waiting = tasks.values();
  const assign = (worker: Worker): void => {
    const { value, done } = waiting.next();
    if (!done) worker.postMessage(value);
  };
  const sha256: Record<string, string> = {};
  try {
    const replies = on(events, 'reply', { signal });
    for (const worker of workers) {
      worker.on('message', (reply: Reply) => events.emit('reply', reply, worker));
      worker.on('error', (error) => events.emit('error', error));
      assign(worker);
    }
    let left = tasks.length;
    while (left > 0) {
      const next = await replies.next();
      const [reply, worker] = next.value as [Reply, Worker];
      if (reply.type === 'failed')
        throw reply.forUser
          ? new UserError(reply.message)
          : Object.assign(new Error(reply.message), reply.system);
      if (reply.type === 'progress') yield reply.bytes;
      else {
        Object.assign(sha256, reply.sha256);
        left--;
        assign(worker);
      }
    }
    return sha256;
  } catch (error) {
    throwIfCancelled(signal);
    throw error;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
