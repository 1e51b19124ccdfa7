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
import { endOfTurnIds } from './tokenizer.ts';

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
  const file = await openGguf(path);
  const checkpoint = await ggufCheckpoint(file);
  const { config } = checkpoint;
  const eosTokenIds = [...new Set([...config.eosTokenIds, ...endOfTurnIds(file.metadata)])];
  return { ...checkpoint, config: { ...config, eosTokenIds } };
}

/** The same for a file whose header has been read; the vocabulary is not searched for more tokens that end a turn. */
export async function ggufCheckpoint(file: GgufFile): Promise<Checkpoint> {
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
  const { interleaved } = ggufArchitectureOf(file);
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
  const others = [...file.tensors.keys()].filter((name) => !used.has(name) && !ofConfiguration.has(name));
  if (others.length === 0) return tensors;
  throw new UserError(
    `${file.path}: ${others
      .slice(0, 5)
      .map((name) => quoted(name))
      .join(', ')}${others.length > 5 ? `, … (${others.length})` : ''} ` +
      `${others.length === 1 ? 'is no tensor' : 'are no tensors'} of the architecture ` +
      `${quoted(file.metadata.string('general.architecture'))} as it is computed here: ` +
      'the model would give other answers without them. Take another file of the model.',
  );
}
