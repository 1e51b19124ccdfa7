/**
 * Memory of loading a float32 checkpoint and answering with it, as a multiple of the weight file, and the time from the
 * start of the process to the first token. Linux only (/proc). Each run is a process of its own.
 *
 *     node bench/memory.ts [--shape smollm2-135m] [--precision f32] [--runs 3]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from '../src/decoder/decoder.ts';
import type { Precision } from '../src/decoder/types.ts';
import { writeRandomCheckpoint, type Shape } from './checkpoints.ts';
import { median, tokenIds } from './measure.ts';

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'smollm2-135m' },
    precision: { type: 'string', default: 'f32' },
    runs: { type: 'string', default: '3' },
    folder: { type: 'string', default: join(tmpdir(), 'spring-bench') },
    one: { type: 'boolean', default: false },
  },
});
const folder = join(values.folder, values.shape);

interface Result {
  /** Largest values seen, in bytes: all, anonymous, of files. */
  peak: number;
  anonymous: number;
  file: number;
  loadMs: number;
  firstTokenMs: number;
}

if (values.one) console.log(JSON.stringify(await measureOnce()));
else {
  if (!existsSync(join(folder, 'model.safetensors')))
    await writeRandomCheckpoint(folder, values.shape as Shape);
  const { size } = statSync(join(folder, 'model.safetensors'));
  const results = Array.from({ length: Number(values.runs) }, () => {
    const flags = [
      '--one',
      '--shape',
      values.shape,
      '--precision',
      values.precision,
      '--folder',
      values.folder,
    ];
    const program = ['--disable-warning=ExperimentalWarning', import.meta.filename, ...flags];
    const { stdout } = spawnSync(process.execPath, program, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    return JSON.parse(stdout.trim().split('\n').at(-1)!) as Result;
  });
  const of = (key: keyof Result): number => median(results.map((result) => result[key]));
  const times = (key: keyof Result): string => (of(key) / size).toFixed(2);
  console.log(
    `${values.shape} ${values.precision}, weight file ${(size / 1e6).toFixed(0)} MB: peak x ${times('peak')}, ` +
      `anonymous x ${times('anonymous')}, of files x ${times('file')}; load ${of('loadMs').toFixed(0)} ms, ` +
      `process start to first token ${of('firstTokenMs').toFixed(0)} ms`,
  );
}

async function measureOnce(): Promise<Result> {
  const result: Result = { peak: 0, anonymous: 0, file: 0, loadMs: 0, firstTokenMs: 0 };
  const sample = (): void => {
    const status = readFileSync('/proc/self/status', 'utf8');
    const bytes = (key: string): number => 1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1]);
    result.anonymous = Math.max(result.anonymous, bytes('RssAnon'));
    result.file = Math.max(result.file, bytes('RssFile'));
    result.peak = Math.max(result.peak, bytes('VmHWM'));
  };
  const precision = values.precision as Precision;
  const quantizedFolder = join(values.folder, 'quantized');
  const decoder = await Decoder.open(folder, { device: 'cpu', precision, quantizedFolder });
  sample();
  const prompt = { parts: [{ tokenIds: tokenIds(100, 1, decoder.checkpoint.config.vocabSize) }] };
  for await (const { type } of decoder.compare([prompt], { maxNewTokens: 50, ignoreEos: true })) {
    if (type === 'token' && result.firstTokenMs === 0) result.firstTokenMs = performance.now();
    sample();
  }
  result.loadMs = decoder.loadMs;
  await decoder.dispose();
  return result;
}
