/**
 * Prefill and decoding speed on the CPU: this project against llama.cpp (node-llama-cpp) on the same weights and threads:
 * random ones of a shape in several types, or those of a GGUF file. Rounds alternate between all of them, so that other
 * work on the machine disturbs all alike; ratios are of medians. Needs `npm install` in bench/peers.
 *
 *     node bench/decode.ts [--shape smollm2-135m | --model FILE.gguf] [--precisions native,exact,int4] [--prompt 600]
 *         [--rounds 5] [--threads N] [--folder DIR]
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from '../src/decoder/decoder.ts';
import type { Precision } from '../src/decoder/types.ts';
import { writeRandomCheckpoint, type Shape } from './checkpoints.ts';
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
    model: { type: 'string' },
    precisions: { type: 'string', default: 'native' },
    prompt: { type: 'string', default: '600' },
  },
});
const promptTokens = Number(values.prompt);
const newTokens = 64;
const threads = Number(values.threads);
const shape = values.shape as Shape;

interface Engine {
  name: string;
  run(seed: number): Promise<PeerRun>;
  dispose(): Promise<void>;
}

const folder = values.model ?? join(values.folder, shape);
if (values.model === undefined) {
  await mkdir(folder, { recursive: true });
  if (!existsSync(join(folder, 'model.safetensors'))) await writeRandomCheckpoint(folder, shape);
}
const groups =
  values.model === undefined
    ? values.pairs.split(',').map((pair) => pair.split(':') as [string, GgufType])
    : [[values.precisions.replaceAll(',', '+'), undefined] as const];

for (const [precisions, type] of groups) {
  const ours = await Promise.all(precisions.split('+').map((precision) => openOurs(precision as Precision)));
  const { vocabSize } = ours[0]!;
  const peer = await openPeer(type, vocabSize);
  const engines: Engine[] = [...ours, peer];
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
  for (const { name, prefill, decode } of speeds) {
    console.log(`${name.padEnd(12)} prefill ${prefill.toFixed(1)}/s, decode ${decode.toFixed(1)}/s`);
  }
  const theirs = speeds.at(-1)!;
  for (const { name, prefill, decode } of speeds.slice(0, -1)) {
    const equal = runs.get(name)!.map(({ tokenIds }, round) => {
      const others = runs.get(theirs.name)![round]!.tokenIds;
      const differs = tokenIds.findIndex((id, position) => id !== others[position]);
      return differs < 0 ? newTokens : differs;
    });
    const ratio = (a: number, b: number): string => (a / b).toFixed(2);
    console.log(
      `${name} / ${theirs.name}: prefill ${ratio(prefill, theirs.prefill)}, decode ${ratio(decode, theirs.decode)}; ` +
        // random weights and prompts leave the best tokens close together, so that rounding soon parts the answers
        `the same greedy tokens at the start of each answer: ${equal.join(', ')} of ${newTokens}`,
    );
  }
  for (const engine of engines) await engine.dispose();
}
process.exit(0);

async function openOurs(precision: Precision): Promise<Engine & { vocabSize: number }> {
  const quantizedFolder = join(values.folder, 'quantized');
  const decoder = await Decoder.open(folder, { device: 'cpu', precision, quantizedFolder, threads });
  const { vocabSize } = decoder.checkpoint.config;
  return {
    name: precision,
    vocabSize,
    async run(seed) {
      const prompt = { parts: [{ tokenIds: tokenIds(promptTokens, seed, vocabSize) }] };
      const { timings, tokenIds: ids } = (await answers(decoder, [prompt], newTokens)).generations[0]!;
      return { tokenIds: ids, prefillMs: timings.prefillMs, decodeMs: timings.decodeMs };
    },
    dispose: () => decoder.dispose(),
  };
}

/** llama.cpp on the GGUF file, or on the shape's weights in a type. */
async function openPeer(type: GgufType | undefined, vocabSize: number): Promise<Engine> {
  const file = type === undefined ? folder : join(folder, `model-${type}.gguf`);
  if (type !== undefined && !existsSync(file)) await writeGguf(folder, file, type);
  const peer = await openLlamaCpp(file, { threads, contextSize: 1024 });
  return {
    name: type === undefined ? 'llama.cpp' : `llama.cpp ${type}`,
    run: (seed) => peer.run(tokenIds(promptTokens, seed, vocabSize), newTokens),
    dispose: () => peer.dispose(),
  };
}
