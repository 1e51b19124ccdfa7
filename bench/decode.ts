/**
 * Prefill and decoding speed on the CPU: this project against llama.cpp (node-llama-cpp) on the same random weights and
 * threads. Rounds alternate between all of them, so that other work on the machine disturbs all alike; ratios are of
 * medians. Needs `npm install` in bench/peers.
 *
 *     node bench/decode.ts [--shape smollm2-135m] [--rounds 5] [--threads N] [--folder DIR]
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from '../src/decoder/decoder.ts';
import type { Precision } from '../src/decoder/types.ts';
import { shapes, writeRandomCheckpoint, type Shape } from './checkpoints.ts';
import { writeGguf, type GgufType } from './gguf.ts';
import { openLlamaCpp, type PeerRun } from './llamaCpp.ts';
import { answers, median, tokenIds } from './measure.ts';

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'smollm2-135m' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: String(availableParallelism()) },
    folder: { type: 'string', default: join(tmpdir(), 'spring-bench') },
    pairs: { type: 'string', default: 'f32:F32,int8:Q8_0,int4:Q4_0' },
  },
});
const promptTokens = 512;
const newTokens = 64;
const threads = Number(values.threads);
const shape = values.shape as Shape;

interface Engine {
  name: string;
  run(seed: number): Promise<PeerRun>;
  dispose(): Promise<void>;
}

const folder = join(values.folder, shape);
await mkdir(folder, { recursive: true });
if (!existsSync(join(folder, 'model.safetensors'))) await writeRandomCheckpoint(folder, shape);

for (const pair of values.pairs.split(',')) {
  const [precision, type] = pair.split(':') as [Precision, GgufType];
  const engines = [await openOurs(precision), await openPeer(type)];
  const runs = new Map(engines.map(({ name }) => [name, [] as PeerRun[]]));
  for (let round = 0; round <= Number(values.rounds); round++) {
    for (const engine of engines) {
      const run = await engine.run(round);
      if (round > 0) runs.get(engine.name)!.push(run);
    }
  }
  const speeds = [...runs].map(([name, list]) => ({
    name,
    prefill: (1000 * promptTokens) / median(list.map(({ prefillMs }) => prefillMs)),
    decode: (1000 * (newTokens - 1)) / median(list.map(({ decodeMs }) => decodeMs)),
  }));
  const [ours, theirs] = speeds;
  const [oursRuns, theirRuns] = engines.map(({ name }) => runs.get(name)!);
  const equal = oursRuns!.map(({ tokenIds }, round) => {
    const differs = tokenIds.findIndex((id, position) => id !== theirRuns![round]!.tokenIds[position]);
    return differs < 0 ? newTokens : differs;
  });
  // random weights leave the best tokens close together, so that rounding soon parts the answers
  console.log(`the same greedy tokens at the start of each answer: ${equal.join(', ')} of ${newTokens}`);
  for (const { name, prefill, decode } of speeds) {
    console.log(`${name.padEnd(12)} prefill ${prefill.toFixed(1)}/s, decode ${decode.toFixed(1)}/s`);
  }
  const ratio = (a: number, b: number): string => (a / b).toFixed(2);
  console.log(
    `ours / theirs: prefill ${ratio(ours!.prefill, theirs!.prefill)}, decode ${ratio(ours!.decode, theirs!.decode)}`,
  );
  for (const engine of engines) await engine.dispose();
}
process.exit(0);

async function openOurs(precision: Precision): Promise<Engine> {
  const quantizedFolder = join(values.folder, 'quantized');
  const decoder = await Decoder.open(folder, { device: 'cpu', precision, quantizedFolder, threads });
  const { vocabSize } = decoder.checkpoint.config;
  return {
    name: precision,
    async run(seed) {
      const prompt = { parts: [{ tokenIds: tokenIds(promptTokens, seed, vocabSize) }] };
      const { timings, tokenIds: ids } = (await answers(decoder, [prompt], newTokens)).generations[0]!;
      return { tokenIds: ids, prefillMs: timings.prefillMs, decodeMs: timings.decodeMs };
    },
    dispose: () => decoder.dispose(),
  };
}

async function openPeer(type: GgufType): Promise<Engine> {
  const file = join(folder, `model-${type}.gguf`);
  if (!existsSync(file)) await writeGguf(folder, file, type);
  const peer = await openLlamaCpp(file, { threads, contextSize: 1024 });
  const { vocab_size: vocabSize } = shapes[shape];
  return {
    name: `llama.cpp ${type}`,
    run: (seed) => peer.run(tokenIds(promptTokens, seed, vocabSize), newTokens),
    dispose: () => peer.dispose(),
  };
}
