/**
 * What a comparison costs: wall time of 1, 2 and 5 variants on the same passages (600 tokens), and of the first token
 * of a second question on them.
 *
 *     node bench/comparison.ts [--shape smollm2-135m] [--precisions f32,int8,int4] [--runs 5] [--device cpu]
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from '../src/decoder/decoder.ts';
import type { Device, Precision } from '../src/decoder/types.ts';
import { writeRandomCheckpoint, type Shape } from './checkpoints.ts';
import { answers, measureComparison, median, tokenIds } from './measure.ts';

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'smollm2-135m' },
    precisions: { type: 'string', default: 'f32,int8,int4' },
    runs: { type: 'string', default: '5' },
    device: { type: 'string', default: 'cpu' },
    folder: { type: 'string', default: join(tmpdir(), 'spring-bench') },
  },
});
const folder = join(values.folder, values.shape);
if (!existsSync(join(folder, 'model.safetensors')))
  await writeRandomCheckpoint(folder, values.shape as Shape);
const runs = Number(values.runs);

for (const precision of values.precisions.split(',') as Precision[]) {
  const device = values.device as Device;
  const quantizedFolder = join(values.folder, 'quantized');
  const decoder = await Decoder.open(folder, { device, precision, quantizedFolder });
  const seconds = await measureComparison(decoder, { runs });
  const ratio = (variants: number): string => (seconds[variants]! / seconds[1]!).toFixed(2);
  const second = await secondQuestion(decoder);
  console.log(
    `${values.shape} ${device} ${precision}: 1 variant ${seconds[1]!.toFixed(2)} s, ` +
      `2 variants x ${ratio(2)}, 5 variants x ${ratio(5)}; second question's first token x ${second.toFixed(3)}`,
  );
  await decoder.dispose();
}

/** Time to the first token of another question on the same passages, over that of the first question. */
async function secondQuestion(decoder: Decoder): Promise<number> {
  const { vocabSize } = decoder.checkpoint.config;
  const ratios: number[] = [];
  for (let run = 0; run < runs; run++) {
    const passages = tokenIds(600, 900 + run, vocabSize);
    const times: number[] = [];
    for (const question of [1, 2]) {
      const prompt = { parts: [{ tokenIds: passages }, { tokenIds: tokenIds(20, question, vocabSize) }] };
      times.push((await answers(decoder, [prompt], 2)).generations[0]!.timings.prefillMs);
    }
    ratios.push(times[1]! / times[0]!);
  }
  return median(ratios);
}
