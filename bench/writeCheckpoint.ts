/**
 * Writes a checkpoint of random weights.
 *
 *     node bench/writeCheckpoint.ts SHAPE FOLDER [F32|F16|BF16]
 */
import type { WeightType } from '../src/checkpoint/types.ts';
import { shapes, writeRandomCheckpoint, type Shape } from './checkpoints.ts';

const [shape, folder, type = 'F32'] = process.argv.slice(2);
if (!shape || !(shape in shapes) || !folder) {
  console.error(
    `usage: node bench/writeCheckpoint.ts ${Object.keys(shapes).join('|')} FOLDER [F32|F16|BF16]`,
  );
  process.exitCode = 2;
} else await writeRandomCheckpoint(folder, shape as Shape, type as WeightType);
