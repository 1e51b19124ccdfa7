/**
 * Real models from their GGUF files: this project against llama.cpp (node-llama-cpp) on the same file and threads.
 * Rounds alternate between both, so that other work on the machine disturbs both alike; ratios are of medians. Also
 * what a loaded model keeps resident, as a multiple of its file. Needs `npm install` in bench/peers and
 * `npm run real-models`.
 *
 *     node bench/realModels.ts [--models smollm2,gemma3] [--precisions native,exact] [--rounds 5] [--threads N]
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from '../src/decoder/decoder.ts';
import type { Precision } from '../src/decoder/types.ts';
import { realModel } from '../test/support/realModels.ts';
import { openLlamaCpp } from './llamaCpp.ts';
import { answers, median, tokenIds } from './measure.ts';

const { values } = parseArgs({
  options: {
    models: { type: 'string', default: 'smollm2,gemma3' },
    precisions: { type: 'string', default: 'native,exact' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    folder: { type: 'string', default: join(tmpdir(), 'spring-bench') },
    memory: { type: 'string' },
  },
});
const promptTokens = 600;
const newTokens = 64;
const threads = Number(values.threads);
const quantizedFolder = join(values.folder, 'quantized');

if (values.memory) {
  const [path, precision] = values.memory.split('|') as [string, Precision];
  console.log(JSON.stringify(await residentMemory(path, precision)));
  process.exit(0);
}

for (const name of values.models.split(',') as Parameters<typeof realModel>[0][]) {
  const path = realModel(name);
  if (!path) continue;
  for (const precision of values.precisions.split(',') as Precision[]) {
    await compareSpeed(name, path, precision);
    compareMemory(name, path, precision);
  }
}
process.exit(0);

async function compareSpeed(name: string, path: string, precision: Precision): Promise<void> {
  const decoder = await Decoder.open(path, { device: 'cpu', precision, quantizedFolder, threads });
  const { vocabSize } = decoder.checkpoint.config;
  const peer = await openLlamaCpp(path, { threads, contextSize: 1024 });
  const ours = { prefill: [] as number[], decode: [] as number[] };
  const theirs = { prefill: [] as number[], decode: [] as number[] };
  for (let round = 0; round <= Number(values.rounds); round++) {
    const ids = tokenIds(promptTokens, round, vocabSize);
    const { timings } = (await answers(decoder, [{ parts: [{ tokenIds: ids }] }], newTokens)).generations[0]!;
    const run = await peer.run(ids, newTokens);
    if (round === 0) continue;
    ours.prefill.push(timings.prefillMs);
    ours.decode.push(timings.decodeMs);
    theirs.prefill.push(run.prefillMs);
    theirs.decode.push(run.decodeMs);
  }
  await decoder.dispose();
  await peer.dispose();
  const perSecond = (tokens: number, times: readonly number[]): number => (1000 * tokens) / median(times);
  for (const [what, tokens] of [
    ['prefill', promptTokens],
    ['decode', newTokens - 1],
  ] as const) {
    const [mine, other] = [perSecond(tokens, ours[what]), perSecond(tokens, theirs[what])];
    console.log(
      `${name} ${precision} ${what}: ${mine.toFixed(1)}/s, llama.cpp ${other.toFixed(1)}/s: ` +
        `x ${(mine / other).toFixed(2)}`,
    );
  }
}

function compareMemory(name: string, path: string, precision: Precision): void {
  const { stdout } = spawnSync(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      import.meta.filename,
      '--folder',
      values.folder,
      '--memory',
      `${path}|${precision}`,
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const resident = JSON.parse(stdout.trim().split('\n').at(-1)!) as Record<string, number>;
  const { size } = statSync(path);
  const times = (key: string): string => (resident[key]! / size).toFixed(2);
  console.log(
    `${name} ${precision} memory, of a file of ${(size / 1e6).toFixed(0)} MB: resident x ${times('resident')} ` +
      `(anonymous x ${times('anonymous')}, of files x ${times('file')}), before loading x ${times('before')}, ` +
      `loaded in ${resident['loadMs']!.toFixed(0)} ms`,
  );
}

/** Bytes resident after a question of 600 tokens, and before anything was loaded. */
async function residentMemory(path: string, precision: Precision): Promise<Record<string, number>> {
  const read = (key: string): number =>
    1024 * Number(new RegExp(`${key}:\\s+(\\d+)`).exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  const before = read('VmRSS');
  const decoder = await Decoder.open(path, { device: 'cpu', precision, quantizedFolder, threads });
  const ids = tokenIds(promptTokens, 1, decoder.checkpoint.config.vocabSize);
  decoder.tokenizer.encode('so that the tokenizer is built, too');
  await answers(decoder, [{ parts: [{ tokenIds: ids }] }], 16);
  globalThis.gc?.();
  const resident = { resident: read('VmRSS'), anonymous: read('RssAnon'), file: read('RssFile') };
  return { before, loadMs: decoder.loadMs, ...resident };
}
