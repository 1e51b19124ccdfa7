/**
 * SPRING training on the shape of SmolLM2-135M with random weights: differentiating the tail behind prefilled passages
 * against differentiating the whole sequence, in seconds per example and memory.
 *
 *   node bench/training.ts [--passage-tokens 600] [--tail-tokens 100] [--examples 3] [--batch 1]
 */
import { fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { openCheckpoint, readModelConfig } from '../src/checkpoint/checkpoint.ts';
import { expectedTensors } from '../src/checkpoint/layers.ts';
import { writeSafetensors } from '../src/checkpoint/safetensors.ts';
import { keysAndValuesOf } from '../src/decoder/hostKeyValues.ts';
import { DecoderSession } from '../src/decoder/session.ts';
import { TrainingSession, type TrainingExample } from '../src/decoder/trainingSession.ts';

type Mode = 'tail' | 'all';

/** Per example. Processor time is steadier than time on a machine that does other things, too. */
interface Measured {
  prefillSeconds: number;
  prefillCpuSeconds: number;
  seconds: number;
  cpuSeconds: number;
}

const { values } = parseArgs({
  options: {
    'passage-tokens': { type: 'string', default: '600' },
    'tail-tokens': { type: 'string', default: '100' },
    'label-tokens': { type: 'string', default: '6' },
    examples: { type: 'string', default: '3' },
    batch: { type: 'string', default: '1' },
    mode: { type: 'string' },
  },
});
const passageTokens = Number(values['passage-tokens']);
const tailTokens = Number(values['tail-tokens']);
const labelTokens = Number(values['label-tokens']);
const examples = Number(values.examples);
const batch = Number(values.batch);
const folder = join(tmpdir(), 'spring-bench-135m');

if (values.mode) process.send!(await measure(values.mode as Mode));
else await compare();

async function compare(): Promise<void> {
  await writeRandomCheckpoint();
  const tail = await runChild('tail');
  const all = await runChild('all');
  const threeEpochs = (tail.prefillCpuSeconds + 3 * tail.cpuSeconds) / 3;
  const ratios = {
    firstEpoch: all.cpuSeconds / (tail.prefillCpuSeconds + tail.cpuSeconds),
    laterEpochs: all.cpuSeconds / tail.cpuSeconds,
    threeEpochs: all.cpuSeconds / threeEpochs,
    anonymousMemory: tail.peakAnonymousMiB / all.peakAnonymousMiB,
  };
  console.log(JSON.stringify({ passageTokens, tailTokens, batch, tail, all, ratios }, null, 2));
}

/** Runs a mode in its own process and watches that process's memory. */
async function runChild(mode: Mode): Promise<Measured & { peakAnonymousMiB: number }> {
  const child = fork(import.meta.filename, [...process.argv.slice(2), '--mode', mode]);
  let peakAnonymous = 0;
  const timer = setInterval(() => {
    try {
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      const anonymous = Number(/RssAnon:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
      peakAnonymous = Math.max(peakAnonymous, anonymous);
    } catch {
      // The process has ended.
    }
  }, 20);
  const result = await new Promise<Measured>((resolve, reject) => {
    child.once('message', (message) => resolve(message as Measured));
    child.once('exit', (code) => reject(new Error(`The child ended with code ${code}.`)));
  });
  clearInterval(timer);
  child.disconnect();
  return { ...result, peakAnonymousMiB: Math.round(peakAnonymous) };
}

async function measure(mode: Mode): Promise<Measured> {
  const checkpoint = await openCheckpoint(folder);
  const { hiddenSize } = checkpoint.config;
  const training = await TrainingSession.open(checkpoint, {
    past: mode === 'tail',
    lora: false,
    gradients: { inputsEmbeds: true },
  });
  const inference = mode === 'tail' ? await DecoderSession.open(checkpoint) : undefined;
  const passages = randomTensor(passageTokens * hiddenSize, 1);
  const tail = randomTensor(tailTokens * hiddenSize, 2);
  const labels = (start: number): TrainingExample['labels'] =>
    Array.from({ length: labelTokens }, (_, i) => ({
      index: start + tailTokens - labelTokens + i - 1,
      tokenId: i,
    }));
  let prefillSeconds = 0;
  let stepSeconds = 0;
  let prefillCpu = 0;
  let stepCpu = 0;
  for (let i = 0; i <= examples; i++) {
    const start = performance.now();
    const cpuStart = process.cpuUsage();
    const one = async (): Promise<TrainingExample> => {
      if (!inference) {
        const inputsEmbeds = new Float32Array([...passages, ...tail]);
        return { inputsEmbeds, length: passageTokens + tailTokens, labels: labels(passageTokens) };
      }
      const sequence = await inference.memory.create(passageTokens);
      const ropeLength = passageTokens + tailTokens;
      const run = { sequence, inputsEmbeds: passages, adapter: undefined, ropeLength, logitsAt: [0] };
      await inference.forward([run]);
      const past = keysAndValuesOf(sequence);
      return { inputsEmbeds: tail, length: tailTokens, labels: labels(0), past };
    };
    const items: TrainingExample[] = [];
    for (let item = 0; item < batch; item++) items.push(await one());
    const prefilled = performance.now();
    const cpuPrefilled = process.cpuUsage(cpuStart);
    await training.run(items, 1 / labelTokens);
    if (i === 0) continue; // the first run allocates
    prefillSeconds += (prefilled - start) / 1000;
    stepSeconds += (performance.now() - prefilled) / 1000;
    prefillCpu += cpuPrefilled.user / 1e6;
    stepCpu += (process.cpuUsage(cpuStart).user - cpuPrefilled.user) / 1e6;
  }
  const count = examples * batch;
  return {
    prefillSeconds: prefillSeconds / count,
    prefillCpuSeconds: prefillCpu / count,
    seconds: stepSeconds / count,
    cpuSeconds: stepCpu / count,
  };
}

/** SmolLM2-135M's shape in float32, so that its weights stay pages of the file. */
async function writeRandomCheckpoint(): Promise<void> {
  const weights = join(folder, 'model.safetensors');
  await mkdir(folder, { recursive: true });
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: 49152,
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
    max_position_embeddings: 8192,
    rope_theta: 100000,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: true,
    bos_token_id: 1,
    eos_token_id: 2,
  };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  if (await stat(weights).catch(() => undefined)) return;
  const tensors = [...expectedTensors(await readModelConfig(folder))].map(([name, shape], i) => ({
    name,
    dtype: 'F32' as const,
    shape,
    data: () => {
      const size = shape.reduce((a, b) => a * b, 1);
      return shape.length === 1 ? new Float32Array(size).fill(1) : randomTensor(size, i).map((x) => 0.04 * x);
    },
  }));
  await writeSafetensors(weights, tensors);
}

/** Values between -1 and 1. */
function randomTensor(size: number, seed: number): Float32Array {
  const generator = xoroshiro128plus(seed);
  return Float32Array.from({ length: size }, () => generator.next() / 2 ** 31);
}
