import { createHash } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import { readJsonObject, writeAtomically } from './files.ts';
import { linearsOf, loraLinearName, loraTargets, textName } from './layers.ts';
import type { LoraTarget } from './layers.ts';
import { parseLoraConfig } from './loraConfig.ts';
import type { LoraConfig } from './loraConfig.ts';
import { writeSafetensors } from './safetensors.ts';
import { adapterTensorFile, withTensorFile } from './tensorFile.ts';
import type { StoredTensor, TensorFile } from './tensorFile.ts';
import type { LoraAdapter, LoraPair, ModelConfig } from './types.ts';

/** The prefix that PEFT puts before a causal language model's own names. */
const peftPrefix = 'base_model.model.';

/** model.layers.3.mlp.down_proj.lora_A.weight; older files have an adapter's name before "weight". */
const keyPattern = /^(.+)\.lora_([AB])(?:\.\w+)?\.weight$/;
const modulePattern = /^model\.layers\.(\d{1,6})\.mlp\.(\w+)$/;

/**
 * Reads a PEFT LoRA folder (adapter_config.json with adapter_model.safetensors or .bin) whose adapters sit on the
 * feed-forward layers of this model. Factors are widened to float32.
 *
 * @throws UserError if it is of another kind, targets other layers or does not fit the model
 */
export async function readLoraAdapter(folder: string, config: ModelConfig): Promise<LoraAdapter> {
  const stats = await stat(folder).catch(() => undefined);
  if (!stats?.isDirectory()) {
    throw new UserError(
      `${folder} is ${stats ? 'a file' : 'missing'}; expected the folder of a LoRA adapter.`,
    );
  }
  const where = join(folder, 'adapter_config.json');
  const lora = parseLoraConfig(await readJsonObject(where), where);
  return withTensorFile(await adapterTensorFile(folder), async (file) => {
    const pairs = new Map<string, LoraPair>();
    for (const [target, factors] of sortFactors(file, config)) {
      pairs.set(target.key, await readPair(file, target, factors, lora));
    }
    if (pairs.size === 0) throw new UserError(`${file.path} holds no LoRA factors.`);
    return { id: adapterId(pairs), pairs };
  });
}

interface Factors {
  /** The linear layer's name in the file, as the patterns of adapter_config.json mean it. */
  module: string;
  a?: StoredTensor;
  b?: StoredTensor;
}

function sortFactors(file: TensorFile, config: ModelConfig): Map<LoraTarget, Factors> {
  const targets = loraTargets(config);
  const factors = new Map<LoraTarget, Factors>();
  for (const tensor of file.tensors) {
    const key = tensor.name.startsWith(peftPrefix)
      ? keyPattern.exec(tensor.name.slice(peftPrefix.length))
      : null;
    const [, fullName = '', letter] = key ?? [];
    const name = textName(fullName);
    const match = modulePattern.exec(name);
    if (!match) {
      const modules = linearsOf(config).filter(({ lora }) => lora);
      throw new UserError(
        `${file.path} adapts "${tensor.name.slice(0, 120)}"; only LoRA on the feed-forward layers ` +
          `(${modules.map((linear) => linear.name.replace('mlp.', '')).join(', ')}) is supported.`,
      );
    }
    const [, layer, module] = match;
    const target = targets.find((candidate) => candidate.name === name);
    if (!target) {
      throw new UserError(
        Number(layer) < config.numLayers
          ? `${file.path} adapts ${module}, which a ${config.architecture} does not have: it was made for another model.`
          : `${file.path} adapts layer ${layer}; the model has layers 0 to ${config.numLayers - 1}: it was made for ` +
              'another model.',
      );
    }
    const entry: Factors = factors.get(target) ?? { module: fullName };
    const side = letter === 'A' ? 'a' : 'b';
    if (entry[side]) throw new UserError(`${file.path} holds lora_${letter} of ${target.key} twice.`);
    entry[side] = tensor;
    factors.set(target, entry);
  }
  return factors;
}

async function readPair(
  file: TensorFile,
  { name, inFeatures, outFeatures }: LoraTarget,
  { module, a, b }: Factors,
  lora: LoraConfig,
): Promise<LoraPair> {
  if (!a || !b) throw new UserError(`${file.path} lacks ${a ? 'lora_B' : 'lora_A'} of ${name}.`);
  const rank = lora.rankOf(module);
  return {
    a: await readFactor(file, a, [rank, inFeatures]),
    b: await readFactor(file, b, [outFeatures, rank]),
    rank,
    inFeatures,
    outFeatures,
    scaling: lora.scalingOf(module),
  };
}

async function readFactor(
  file: TensorFile,
  tensor: StoredTensor,
  shape: readonly number[],
): Promise<Float32Array> {
  if (tensor.shape.join() !== shape.join()) {
    throw new UserError(
      `${file.path}: ${tensor.name} is [${tensor.shape.join(', ')}]; with the rank in adapter_config.json and this ` +
        `model's sizes it should be [${shape.join(', ')}].`,
    );
  }
  const data = await tensor.read();
  if (!data.every((value) => Number.isFinite(value))) {
    throw new UserError(`${file.path}: ${tensor.name} holds values that are not finite (NaN or infinity).`);
  }
  return data;
}

/** A hash over all factors and scalings, whatever order they came in. */
export function adapterId(pairs: ReadonlyMap<string, LoraPair>): string {
  const hash = createHash('sha256');
  for (const key of [...pairs.keys()].sort()) {
    const { a, b, rank, scaling } = pairs.get(key)!;
    hash.update(`${key} ${rank} ${scaling}\n`).update(a).update(b);
  }
  return hash.digest('hex');
}

/**
 * One adapter that does what several weighted ones do together: PEFT's
 * `add_weighted_adapter(combination_type="cat")`. A is the rows of weight * scaling * A of each, B the columns of
 * each B, so the ranks add up and the scaling is 1.
 *
 * @param weights one per adapter
 */
export function mergeAdaptersCat(adapters: readonly LoraAdapter[], weights: readonly number[]): LoraAdapter {
  if (adapters.length === 0 || adapters.length !== weights.length) {
    throw new Error(`${adapters.length} adapters cannot be merged with ${weights.length} weights.`);
  }
  const keys = new Set(adapters.flatMap((adapter) => [...adapter.pairs.keys()]));
  const pairs = new Map<string, LoraPair>();
  for (const key of keys) {
    const parts = adapters.flatMap((adapter, i) => {
      const pair = adapter.pairs.get(key);
      return pair ? [{ pair, weight: weights[i]! }] : [];
    });
    pairs.set(key, mergePairs(parts));
  }
  return { id: adapterId(pairs), pairs };
}

function mergePairs(parts: readonly { pair: LoraPair; weight: number }[]): LoraPair {
  const { inFeatures, outFeatures } = parts[0]!.pair;
  const rank = parts.reduce((sum, { pair }) => sum + pair.rank, 0);
  const a = new Float32Array(rank * inFeatures); // (rank, in)
  const b = new Float32Array(outFeatures * rank); // (out, rank)
  let start = 0;
  for (const { pair, weight } of parts) {
    if (pair.inFeatures !== inFeatures || pair.outFeatures !== outFeatures) {
      throw new Error('Adapters of different models cannot be merged.');
    }
    // Two float32 products, as torch does them.
    a.set(
      pair.a.map((value) => Math.fround(value * Math.fround(weight)) * Math.fround(pair.scaling)),
      start * inFeatures,
    );
    for (let row = 0; row < outFeatures; row++) {
      b.set(pair.b.subarray(row * pair.rank, (row + 1) * pair.rank), row * rank + start);
    }
    start += pair.rank;
  }
  return { a, b, rank, inFeatures, outFeatures, scaling: 1 };
}

/**
 * Writes an adapter as PEFT does (adapter_config.json, adapter_model.safetensors in float32).
 *
 * @param options.baseModel name or folder of the model, for `base_model_name_or_path`
 * @param options.loraAlpha PEFT's lora_alpha; must give the pairs' scaling. Default: scaling * rank
 */
export async function writeAdapter(
  folder: string,
  adapter: LoraAdapter,
  options: { baseModel?: string; loraAlpha?: number } = {},
): Promise<void> {
  const [first] = adapter.pairs.values();
  if (!first) throw new Error('An adapter without factors cannot be written.');
  const loraAlpha = options.loraAlpha ?? first.scaling * first.rank;
  const rankPattern: Record<string, number> = {};
  const alphaPattern: Record<string, number> = {};
  const modules = new Set<string>();
  const tensors = [...adapter.pairs].flatMap(([key, pair]) => {
    const name = loraLinearName(key);
    modules.add(name.split('.').at(-1)!);
    if (pair.rank !== first.rank) rankPattern[name] = pair.rank;
    const alpha = pair.scaling * pair.rank;
    if (Math.abs(alpha - loraAlpha) > 1e-6 * alpha) alphaPattern[name] = alpha;
    return [
      {
        name: `${peftPrefix}${name}.lora_A.weight`,
        dtype: 'F32' as const,
        shape: [pair.rank, pair.inFeatures],
        data: pair.a,
      },
      {
        name: `${peftPrefix}${name}.lora_B.weight`,
        dtype: 'F32' as const,
        shape: [pair.outFeatures, pair.rank],
        data: pair.b,
      },
    ];
  });
  if (options.loraAlpha !== undefined && Object.keys(alphaPattern).length === adapter.pairs.size) {
    throw new Error(
      `lora_alpha ${loraAlpha} does not give the scaling ${first.scaling} at rank ${first.rank}.`,
    );
  }
  await mkdir(folder, { recursive: true });
  tensors.sort((x, y) => (x.name < y.name ? -1 : 1));
  await writeSafetensors(join(folder, 'adapter_model.safetensors'), tensors, { format: 'pt' });
  const config = {
    alpha_pattern: alphaPattern,
    auto_mapping: null,
    base_model_name_or_path: options.baseModel ?? null,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: null,
    lora_alpha: loraAlpha,
    lora_dropout: 0,
    modules_to_save: null,
    peft_type: 'LORA',
    r: first.rank,
    rank_pattern: rankPattern,
    revision: null,
    target_modules: [...modules].sort(),
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: false,
  };
  await writeAtomically(join(folder, 'adapter_config.json'), (handle) =>
    handle.writeFile(`${JSON.stringify(config, null, 2)}\n`),
  );
}
