/** What the parts of a loaded model take in memory: the numbers that estimates, choices of precision and caches share. */
import { linearParameters } from './layers.ts';
import type { ModelConfig } from './types.ts';

/** How float weights are loaded: as float32 or float16, or quantised to 8 or 4 bits. */
export type WeightPrecision = 'f32' | 'f16' | 'int8' | 'int4';

/** Quantised weights are in blocks of 32, with a float32 scale for each, int4 with half a byte of zero points, too. */
const bytesPerWeight: Readonly<Record<WeightPrecision, number>> = {
  f32: 4,
  f16: 2,
  int8: 1 + 4 / 32,
  int4: 0.5 + 4.5 / 32,
};

/** Positions of a prompt that go through the model at once. */
export const prefillChunk = 128;

/**
 * Bytes of the linear layers' weights, which is what is loaded: embeddings are read from the file row by row. The head
 * of an int4 model is int8.
 */
export function weightBytes(
  shape: Parameters<typeof linearParameters>[0],
  precision: WeightPrecision,
): number {
  const head = shape.vocabSize * shape.hiddenSize;
  const layers = linearParameters(shape) - head;
  return (
    layers * bytesPerWeight[precision] + head * bytesPerWeight[precision === 'int4' ? 'int8' : precision]
  );
}

/** Bytes of the keys and values of this many positions. */
export function keyValueBytes(
  shape: Pick<ModelConfig, 'numLayers' | 'numKeyValueHeads' | 'headDim'>,
  positions: number,
  elementBytes = 4,
): number {
  return positions * shape.numLayers * 2 * shape.numKeyValueHeads * shape.headDim * elementBytes;
}
