/**
 * What a question costs in a batch of several, as `spring eval` runs them: each with passages of its own (600 tokens)
 * and 5 variants, 20 new tokens. Seconds a question with 1, 2, 4 and 12 questions in a batch.
 *
 *     node bench/batches.ts [--shape smollm2-135m] [--precisions f32] [--questions 1,2,4,12] [--runs 3]
 */
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Decoder } from '../src/decoder/decoder.ts';
import type { Precision } from '../src/decoder/types.ts';
import { writeRandomCheckpoint, type Shape } from './checkpoints.ts';
import { answers, median, variantsOf } from './measure.ts';

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'smollm2-135m' },
    precisions: { type: 'string', default: 'f32' },
    questions: { type: 'string', default: '1,2,4,12' },
    runs: { type: 'string', default: '3' },
    folder: { type: 'string', default: join(tmpdir(), 'spring-bench') },
  },
});
const newTokens = 20;
const folder = join(values.folder, values.shape);
if (!existsSync(join(folder, 'model.safetensors')))
  await writeRandomCheckpoint(folder, values.shape as Shape);
const sizes = values.questions.split(',').map(Number);

for (const precision of values.precisions.split(',') as Precision[]) {
  const quantizedFolder = join(values.folder, 'quantized');
  const decoder = await Decoder.open(folder, { device: 'cpu', precision, quantizedFolder });
  await answers(decoder, variantsOf(decoder, 0, 5), 4);
  const seconds = new Map(sizes.map((size) => [size, [] as number[]]));
  let seed = 0;
  // sizes in turn, so that other work on the machine disturbs all alike
  for (let run = 0; run < Number(values.runs); run++) {
    for (const [size, times] of seconds) {
      const prompts = Array.from({ length: size }, () => variantsOf(decoder, ++seed, 5)).flat();
      times.push((await answers(decoder, prompts, newTokens)).seconds / size);
    }
  }
  const medians = [...seconds].map(([size, times]) => `${size}: ${median(times).toFixed(2)}`);
  console.log(
    `${values.shape} ${precision}: seconds a question by questions in a batch ${medians.join(', ')}`,
  );
  await decoder.dispose();
}
