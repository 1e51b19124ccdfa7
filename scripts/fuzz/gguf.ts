/**
 * Opens damaged GGUF files (header, configuration, tokenizer, a row of every tensor) and reports what may not happen:
 * an error that is not for users, more than 2 seconds, more than 300 MB, a crash.
 *
 *   node scripts/fuzz/gguf.ts [files, default 5000] [seed, default 1]
 *
 * Files are opened in a second process, which is replaced where one of them ends it or holds it up.
 */
import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint } from '../../src/checkpoint/checkpoint.ts';
import { readRows } from '../../src/checkpoint/tensorRows.ts';
import { openTokenizer } from '../../src/checkpoint/tokenizer.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { writeMutation } from '../../test/support/ggufMutations.ts';

const mostMilliseconds = 2000;
const mostMegabytes = 300;

interface Result {
  index: number;
  outcome: 'opened' | 'refused' | 'internal error';
  detail: string;
  milliseconds: number;
  megabytes: number;
}

/** In the second process: opens each file that it is told of. */
function work(): void {
  process.on('message', ({ path, index }: { path: string; index: number }) => {
    const start = performance.now();
    void open(path).then(([outcome, detail]) => {
      const megabytes = process.memoryUsage().rss / 1e6;
      process.send!({
        index,
        outcome,
        detail,
        milliseconds: performance.now() - start,
        megabytes,
      } satisfies Result);
    });
  });
}

async function open(path: string): Promise<[Result['outcome'], string]> {
  try {
    const { config, tensors } = await openCheckpoint(path);
    await openTokenizer(path, config.vocabSize);
    for (const tensor of tensors.values()) await readRows(tensor, 0, 1);
    return ['opened', ''];
  } catch (error) {
    if (!(error instanceof UserError)) return ['internal error', String((error as Error).stack)];
    const plain = error.message.length < 1000 && !/[\p{Cc}\p{Cf}]/u.test(error.message);
    return plain
      ? ['refused', error.message]
      : ['internal error', `unfit message: ${JSON.stringify(error.message)}`];
  }
}

async function main(count: number, seed: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'spring-fuzz-'));
  const path = join(folder, 'model.gguf');
  const totals = { opened: 0, refused: 0, 'internal error': 0, crash: 0, slow: 0, large: 0 };
  const kinds = new Set<string>();
  let worker: ChildProcess | undefined;
  let longest = 0;
  let largest = 0;
  for (let index = 0; index < count; index++) {
    const said = writeMutation(path, seed, index);
    worker ??= fork(import.meta.filename, ['--worker'], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    const result = await ask(worker, path, index);
    if (result === 'ended' || result === 'late') {
      console.error(`${index} (${said}): ${result === 'late' ? 'too long' : 'the process ended'}`);
      totals[result === 'late' ? 'slow' : 'crash']++;
      worker.kill('SIGKILL');
      worker = undefined;
      continue;
    }
    totals[result.outcome]++;
    kinds.add(result.detail.replace(path, '').replace(/"(?:[^"\\]|\\.)*"|\d+/g, '…'));
    longest = Math.max(longest, result.milliseconds);
    largest = Math.max(largest, result.megabytes);
    if (result.outcome === 'internal error') console.error(`${index} (${said}): ${result.detail}`);
    if (result.milliseconds > mostMilliseconds) totals.slow++;
    if (result.megabytes > mostMegabytes) totals.large++;
    if (result.megabytes > mostMegabytes)
      console.error(`${index} (${said}): ${result.megabytes.toFixed(0)} MB`);
  }
  worker?.kill();
  rmSync(folder, { recursive: true });
  console.log(JSON.stringify({ files: count, seed, ...totals, messages: kinds.size }));
  console.log(`longest ${longest.toFixed(0)} ms, largest ${largest.toFixed(0)} MB`);
  const bad = totals['internal error'] + totals.crash + totals.slow + totals.large;
  process.exitCode = bad > 0 ? 1 : 0;
}

function ask(worker: ChildProcess, path: string, index: number): Promise<Result | 'ended' | 'late'> {
  return new Promise((resolve) => {
    // The first file waits for the process to start.
    const timer = setTimeout(() => finish('late'), 5 * mostMilliseconds);
    const ended = (): void => finish('ended');
    const finish = (result: Result | 'ended' | 'late'): void => {
      clearTimeout(timer);
      worker.removeAllListeners();
      resolve(result);
    };
    worker.once('exit', ended);
    worker.once('message', (result) => finish(result as Result));
    worker.send({ path, index });
  });
}

if (process.argv[2] === '--worker') work();
else await main(Number(process.argv[2] ?? 5000), Number(process.argv[3] ?? 1));
