/** A thread that converts layers: see conversionPool.ts. */
import { parentPort } from 'node:worker_threads';
import { messageOf, UserError } from '../../protocol/errors.ts';
import type { LayerTask, Reply } from './conversionTask.ts';
import { convertLayer } from './convert.ts';

const tell = (reply: Reply): void => parentPort!.postMessage(reply);

async function convert(task: LayerTask): Promise<void> {
  try {
    const steps = convertLayer(task);
    for (;;) {
      const step = await steps.next();
      tell(step.done ? { type: 'done', sha256: step.value } : { type: 'progress', bytes: step.value });
      if (step.done) return;
    }
  } catch (error) {
    const { code, syscall } = error as NodeJS.ErrnoException;
    tell({
      type: 'failed',
      message: messageOf(error),
      forUser: error instanceof UserError,
      system: { ...(code ? { code } : {}), ...(syscall ? { syscall } : {}) },
    });
  }
}

parentPort!.on('message', (task: LayerTask) => void convert(task));
