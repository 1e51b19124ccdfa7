/**
 * Memory of loading a model and answering with it, as multiples of its weights (a model file, or the weights as they are
 * loaded), and the time from the start of the process to the first token. Prepared weights are made before. Linux only
 * (/proc). Each run is a process of its own; `bare` is what such a process has before it loads anything.
 *
 *     node bench/memory.ts [--shape smollm2-135m | --model PATH] [--precision f32] [--prompt 600] [--runs 3]
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from '../src/decoder/decoder.ts';
import type { Precision } from '../src/decoder/types.ts';
import { writeRandomCheckpoint, type Shape } from './checkpoints.ts';
import { median, tokenIds } from './measure.ts';

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'smollm2-135m' },
    model: { type: 'string' },
    precision: { type: 'string', default: 'f32' },
    prompt: { type: 'string', default: '600' },
    runs: { type: 'string', default: '3' },
    folder: { type: 'string', default: join(tmpdir(), 'spring-bench') },
    one: { type: 'boolean', default: false },
  },
});
const model = values.model ?? join(values.folder, values.shape);

/** In bytes: all at once at the most, and what is resident at the end, in all and of that anonymous and of files. */
interface Result {
  bare: number;
  peak: number;
  resident: number;
  anonymous: number;
  file: number;
  weights: number;
  loadMs: number;
  firstTokenMs: number;
}

if (values.one) console.log(JSON.stringify(await measureOnce()));
else {
  if (values.model === undefined && !existsSync(join(model, 'model.safetensors')))
    await writeRandomCheckpoint(model, values.shape as Shape);
  run(); // makes prepared weights
  const results = Array.from({ length: Number(values.runs) }, run);
  const of = (key: keyof Result): number => median(results.map((result) => result[key]));
  const size = values.model && statSync(model).isFile() ? statSync(model).size : of('weights');
  const times = (key: keyof Result): string => (of(key) / size).toFixed(2);
  console.log(
    `${basename(model)} ${values.precision}, weights ${(size / 1e6).toFixed(0)} MB: resident x ${times('resident')} ` +
      `(anonymous x ${times('anonymous')}, of files x ${times('file')}), peak x ${times('peak')}, ` +
      `bare process ${(of('bare') / 1e6).toFixed(0)} MB; load ${of('loadMs').toFixed(0)} ms, ` +
      `process start to first token ${of('firstTokenMs').toFixed(0)} ms`,
  );
}

/** A process that loads the model and answers once. */
function run(): Result {
  const program = ['--disable-warning=ExperimentalWarning', import.meta.filename, '--one'];
  const flags = ['model', 'precision', 'prompt', 'folder'].flatMap((name) => [
    `--${name}`,
    name === 'model' ? model : values[name as 'precision'],
  ]);
  const { stdout } = spawnSync(process.execPath, [...program, ...flags], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Result;
}

async function measureOnce(): Promise<Result> {
  const bytes = (key: string): number => {
    const status = readFileSync('/proc/self/status', 'utf8');
    return 1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1]);
  };
  const bare = bytes('VmRSS');
  const precision = values.precision as Precision;
  const quantizedFolder = join(values.folder, 'quantized');
  const decoder = await Decoder.open(model, { device: 'cpu', precision, quantizedFolder });
  const { vocabSize } = decoder.checkpoint.config;
  const prompt = { parts: [{ tokenIds: tokenIds(Number(values.prompt), 1, vocabSize) }] };
  let firstTokenMs = 0;
  for await (const { type } of decoder.compare([prompt], { maxNewTokens: 50, ignoreEos: true })) {
    if (type === 'token' && firstTokenMs === 0) firstTokenMs = performance.now();
  }
  const result: Result = {
    bare,
    peak: bytes('VmHWM'),
    resident: bytes('VmRSS'),
    anonymous: bytes('RssAnon'),
    file: bytes('RssFile'),
    weights: decoder.session.weightBytes,
    loadMs: decoder.loadMs,
    firstTokenMs,
  };
  await decoder.dispose();
  return result;
}
