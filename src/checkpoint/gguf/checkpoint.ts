/** GGUF files as checkpoints: their tensors under Hugging Face's names, checked against the architecture. */
import { UserError } from '../../protocol/errors.ts';
import { expectedTensors } from '../layers.ts';
import { quoted } from '../quotedText.ts';
import { selectTensors } from '../selectTensors.ts';
import type { Checkpoint, ModelConfig, TensorLocation } from '../types.ts';
import { ggufArchitectureOf, readGgufConfig } from './config.ts';
import { openGguf } from './file.ts';
import type { GgufFile } from './file.ts';
import { nameInGguf } from './names.ts';
import { withUsualKeys } from './ollamaGemma3.ts';

/** Tensors that are read with the configuration. */
const ofConfiguration = new Set([
  'rope_freqs.weight',
  'rope_factors_long.weight',
  'rope_factors_short.weight',
]);

/**
 * Opens a GGUF file: reads its header, and checks that every tensor of the architecture is there in its shape and that
 * there are no others, which would change what is computed. No weights are read.
 *
 * @throws UserError that says which key or tensor is missing, wrong or not supported
 */
export async function openGgufCheckpoint(path: string): Promise<Checkpoint> {
  return ggufCheckpoint(await openGguf(path));
}

/** The same for a file whose header has been read. */
export async function ggufCheckpoint(written: GgufFile): Promise<Checkpoint> {
  const file = withUsualKeys(written);
  const config = await readGgufConfig(file);
  return {
    path: file.path,
    format: 'gguf',
    config,
    tensors: renamed(file, config),
    weightBytes: file.bytes,
  };
}

function renamed(file: GgufFile, config: ModelConfig): Map<string, TensorLocation> {
  const { interleaved, otherParts = [] } = ggufArchitectureOf(file);
  const nameInFile = (name: string): string => nameInGguf(name, config.normsAfterBlocks);
  const found = new Map<string, TensorLocation>();
  const used = new Set<string>();
  for (const name of expectedTensors(config).keys()) {
    const location = file.tensors.get(nameInFile(name));
    if (!location) continue;
    used.add(location.name);
    const isPaired = interleaved && /\.self_attn\.[qk]_proj\./.test(name);
    found.set(name, { ...location, name, ...(isPaired ? { interleavedHeadDim: config.headDim } : {}) });
  }
  const tensors = selectTensors(config, found, { path: file.path, described: 'metadata', nameInFile });
  const isExpected = (name: string): boolean =>
    used.has(name) || ofConfiguration.has(name) || otherParts.some((part) => name.startsWith(part));
  const others = [...file.tensors.keys()].filter((name) => !isExpected(name));
  if (others.length === 0) return tensors;
  const named = others.slice(0, 3).map((name) => quoted(name));
  if (others.length > named.length) named.push(`… (${others.length} in all)`);
  throw new UserError(
    `${file.path}: ${named.join(', ')} ${others.length === 1 ? 'is no tensor' : 'are no tensors'} of the architecture ` +
      `${quoted(file.metadata.string('general.architecture'))} as it is computed here: ` +
      'the model would give other answers without them. Take another file of the model.',
  );
}
