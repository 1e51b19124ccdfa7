import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import { parseModelConfig } from './config.ts';
import { readJsonObject, readOptionalJsonObject } from './files.ts';
import type { Checkpoint, ModelConfig, TensorLocation } from './types.ts';
import { readWeights } from './weightFiles.ts';

/** Most tensors named in one message; the rest is counted. */
const namedInMessage = 5;

/**
 * Opens a Hugging Face checkpoint folder: reads config.json, generation_config.json and the headers of the weight
 * files, and checks that every tensor of the architecture is there in its shape. No weights are read.
 * Tensors that the architecture does not use (old rotary tables, a tied model's copy of its head) are left out.
 *
 * @throws UserError that says which file or tensor is missing or wrong
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const config = await readModelConfig(folder);
  const weights = await readWeights(folder);
  return {
    path: folder,
    format: 'safetensors',
    config,
    tensors: selectTensors(config, weights.tensors, folder),
    weightBytes: weights.bytes,
  };
}

/**
 * The configuration of a checkpoint folder; its weights need not be there.
 *
 * @throws UserError if the folder or its config.json is missing or not supported
 */
export async function readModelConfig(folder: string): Promise<ModelConfig> {
  const stats = await stat(folder).catch(() => undefined);
  if (!stats?.isDirectory()) {
    throw new UserError(`${folder} is ${stats ? 'a file' : 'missing'}; expected a model's folder.`);
  }
  const path = join(folder, 'config.json');
  const config = await readJsonObject(path);
  return parseModelConfig(config, await readOptionalJsonObject(join(folder, 'generation_config.json')), path);
}

/** The names and shapes of an architecture's tensors, as Hugging Face names them. Linear weights are (out, in). */
export function expectedTensors(config: ModelConfig): Map<string, number[]> {
  const { hiddenSize, intermediateSize, headDim, vocabSize } = config;
  const queries = config.numHeads * headDim;
  const keys = config.numKeyValueHeads * headDim;
  const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [vocabSize, hiddenSize]]]);
  const linear = (name: string, outputs: number, inputs: number, bias: boolean): void => {
    shapes.set(`${name}.weight`, [outputs, inputs]);
    if (bias) shapes.set(`${name}.bias`, [outputs]);
  };
  for (let layer = 0; layer < config.numLayers; layer++) {
    const prefix = `model.layers.${layer}`;
    const attention = `${prefix}.self_attn`;
    shapes.set(`${prefix}.input_layernorm.weight`, [hiddenSize]);
    if (config.fusedProjections) {
      linear(`${attention}.qkv_proj`, queries + 2 * keys, hiddenSize, config.attentionBias.qkv);
    } else {
      linear(`${attention}.q_proj`, queries, hiddenSize, config.attentionBias.qkv);
      linear(`${attention}.k_proj`, keys, hiddenSize, config.attentionBias.qkv);
      linear(`${attention}.v_proj`, keys, hiddenSize, config.attentionBias.qkv);
    }
    if (config.queryKeyNorm) {
      shapes.set(`${attention}.q_norm.weight`, [headDim]);
      shapes.set(`${attention}.k_norm.weight`, [headDim]);
    }
    linear(`${attention}.o_proj`, hiddenSize, queries, config.attentionBias.output);
    shapes.set(`${prefix}.post_attention_layernorm.weight`, [hiddenSize]);
    if (config.fusedProjections) {
      linear(`${prefix}.mlp.gate_up_proj`, 2 * intermediateSize, hiddenSize, config.mlpBias);
    } else {
      linear(`${prefix}.mlp.gate_proj`, intermediateSize, hiddenSize, config.mlpBias);
      linear(`${prefix}.mlp.up_proj`, intermediateSize, hiddenSize, config.mlpBias);
    }
    linear(`${prefix}.mlp.down_proj`, hiddenSize, intermediateSize, config.mlpBias);
  }
  shapes.set('model.norm.weight', [hiddenSize]);
  if (!config.tieWordEmbeddings) shapes.set('lm_head.weight', [vocabSize, hiddenSize]);
  return shapes;
}

function selectTensors(
  config: ModelConfig,
  found: ReadonlyMap<string, TensorLocation>,
  folder: string,
): Map<string, TensorLocation> {
  const selected = new Map<string, TensorLocation>();
  const missing: string[] = [];
  const wrong: string[] = [];
  for (const [name, shape] of expectedTensors(config)) {
    const location = found.get(name);
    if (!location) missing.push(name);
    else if (location.shape.join() !== shape.join()) {
      wrong.push(`${name} is [${location.shape.join(', ')}], expected [${shape.join(', ')}]`);
    } else if (location.dtype !== 'F32' && location.dtype !== 'F16' && location.dtype !== 'BF16') {
      wrong.push(`${name} has the element type ${location.dtype}, expected F32, F16 or BF16`);
    } else selected.set(name, location);
  }
  if (missing.length > 0) {
    throw new UserError(
      `${folder}: ${some(missing)} ${missing.length === 1 ? 'is' : 'are'} missing from the weight files. ` +
        `A ${config.architecture} of this config.json needs ${missing.length === 1 ? 'it' : 'them'}; ` +
        'download the model again.',
    );
  }
  if (wrong.length > 0) {
    throw new UserError(
      `${folder}: the weight files do not fit config.json: ${some(wrong)}. ` +
        'Both must come from the same version of the model.',
    );
  }
  return selected;
}

function some(items: readonly string[]): string {
  const rest = items.length - namedInMessage;
  const named = items.slice(0, namedInMessage).join('; ');
  return rest > 0 ? `${named}; and ${rest} more` : named;
}
