/** `spring inspect`: what a virtual-token file, an adapter, a checkpoint folder or a GGUF file is, and what it fits. */
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { openCheckpoint } from '../../checkpoint/checkpoint.ts';
import { exists, readJsonObject } from '../../checkpoint/files.ts';
import { ggufCheckpoint } from '../../checkpoint/gguf/checkpoint.ts';
import { isGguf, openGguf } from '../../checkpoint/gguf/file.ts';
import type { GgufFile } from '../../checkpoint/gguf/file.ts';
import { summaryOf } from '../../checkpoint/gguf/summary.ts';
import { readLoraAdapter } from '../../checkpoint/lora.ts';
import { keyValueBytes } from '../../checkpoint/memory.ts';
import { quoted } from '../../checkpoint/quotedText.ts';
import { contextLength } from '../../checkpoint/ropeConfig.ts';
import { adapterTensorFile, withTensorFile } from '../../checkpoint/tensorFile.ts';
import { hashValues } from '../../checkpoint/tensorRows.ts';
import { openTokenizer } from '../../checkpoint/tokenizer.ts';
import { readVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { distinctRopes } from '../../decoder/rope.ts';
import { modelFacts } from '../../hub/backboneMetadata.ts';
import { environmentCatalogue } from '../../hub/environmentCatalogue.ts';
import { backbonesFor, fitOf } from '../../hub/fit.ts';
import { resolveModel } from '../../hub/resolve.ts';
import { UserError } from '../../protocol/errors.ts';
import { visible } from '../../protocol/visible.ts';
import { count } from '../options.ts';
import { bold } from '../terminal.ts';
import type { RegisterCommand } from '../command.ts';

interface InspectOptions {
  model?: string;
  hidden?: number;
  tensor?: string;
  json?: boolean;
}

type Facts = Record<string, unknown>;

export const registerInspect: RegisterCommand = (program) => {
  program
    .command('inspect <path>')
    .description('explain a virtual-token file, an adapter, a checkpoint folder or a GGUF file')
    .option('--model <name>', 'check that it fits this model')
    .option('--hidden <n>', 'check that it is this wide', count)
    .option('--tensor <name>', 'explain this tensor of a GGUF file')
    .option('--json', 'print one JSON document')
    .action(async (path: string, options: InspectOptions) => {
      const facts = await inspect(resolve(path), options);
      if (options.json) process.stdout.write(`${JSON.stringify(facts, null, 2)}\n`);
      else process.stdout.write(`${describe(facts)}\n`);
    });
};

async function inspect(path: string, options: InspectOptions): Promise<Facts> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats) throw new UserError(`${path} does not exist.`);
  if (await isGguf(path)) return inspectGguf(path, options);
  if (options.tensor !== undefined) throw new UserError(`--tensor is for GGUF files; ${path} is none.`);
  if (stats.isDirectory()) {
    const adapterConfig = join(path, 'adapter_config.json');
    if (await exists(adapterConfig)) {
      const { peft_type: type } = await readJsonObject(adapterConfig);
      return type === 'PROMPT_TUNING' ? inspectTokens(path, options) : inspectAdapter(path, options);
    }
    if (await exists(join(path, 'config.json'))) return inspectCheckpoint(path);
    throw new UserError(
      `${path} is neither a checkpoint (no config.json) nor an adapter (no adapter_config.json).`,
    );
  }
  return inspectTokens(path, options);
}

async function inspectTokens(path: string, options: InspectOptions): Promise<Facts> {
  const folder = options.model === undefined ? undefined : await resolveModel(options.model);
  const model = folder === undefined ? undefined : await openCheckpoint(folder);
  const tokens = await readVirtualTokens(path, { hiddenSize: options.hidden ?? model?.config.hiddenSize });
  const { count: rows, hiddenSize, dtype, sha256, format, metadata } = tokens;
  const catalogue = environmentCatalogue();
  const fits = backbonesFor(tokens, catalogue);
  const fit = model && fitOf(tokens, await modelFacts(options.model!, folder!, model), catalogue);
  return { kind: 'virtual-tokens', shape: [rows, hiddenSize], dtype, sha256, fits, fit, format, metadata };
}

async function inspectGguf(path: string, options: InspectOptions): Promise<Facts> {
  const file = await openGguf(path, { arrays: false });
  if (options.tensor === undefined) {
    const { version, bytes, files, metadata } = file;
    return {
      ...{ kind: 'gguf', version, ...summaryOf(file), parts: files.length, bytes },
      tokenizer: metadata.string('tokenizer.ggml.model', undefined),
      vocabSize: metadata.lengthOf('tokenizer.ggml.tokens'),
      tensors: file.tensors.size,
      problem: await problemOf(file),
    };
  }
  const tensor = file.tensors.get(options.tensor);
  if (!tensor) {
    const some = [...file.tensors.keys()].slice(0, 3).map((name) => quoted(name));
    throw new UserError(
      `${path} has no tensor ${quoted(options.tensor)}; it has ${file.tensors.size}: ${some.join(', ')}, …`,
    );
  }
  return {
    ...{ name: tensor.name, type: tensor.dtype, shape: tensor.shape },
    sha256: await hashValues(tensor),
  };
}

/** Why the file cannot be run; undefined if nothing in its header speaks against it. */
async function problemOf(file: GgufFile): Promise<string | undefined> {
  try {
    await ggufCheckpoint(file);
    return undefined;
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

async function inspectAdapter(folder: string, options: InspectOptions): Promise<Facts> {
  if (options.model !== undefined) {
    const { config } = await openCheckpoint(await resolveModel(options.model));
    await readLoraAdapter(folder, config);
  }
  const config = await readJsonObject(join(folder, 'adapter_config.json'));
  const tensors = await withTensorFile(await adapterTensorFile(folder), (file) =>
    Promise.resolve(file.tensors.map(({ name, shape, typeName }) => ({ name, shape, typeName }))),
  );
  const layers = new Set(tensors.map(({ name }) => /layers\.(\d+)\./.exec(name)?.[1]));
  return {
    kind: 'lora',
    rank: config['r'],
    loraAlpha: config['lora_alpha'],
    targetModules: config['target_modules'],
    layers: layers.size,
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    dtype: tensors[0]?.typeName,
    baseModel: config['base_model_name_or_path'] ?? null,
    fits: options.model === undefined ? [] : [options.model],
  };
}

async function inspectCheckpoint(folder: string): Promise<Facts> {
  const { config, tensors, weightBytes } = await openCheckpoint(folder);
  const tokenizer = await openTokenizer(folder, config.vocabSize);
  return {
    kind: 'checkpoint',
    architecture: config.architecture,
    parameters: [...tensors.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    dtype: tensors.get('model.embed_tokens.weight')?.dtype,
    weightBytes,
    hiddenSize: config.hiddenSize,
    numLayers: config.numLayers,
    numHeads: config.numHeads,
    numKeyValueHeads: config.numKeyValueHeads,
    headDim: config.headDim,
    vocabSize: config.vocabSize,
    tokenizerSize: tokenizer.size,
    contextLength: contextLength(config),
    rope: distinctRopes(config)
      .map(({ type }) => type)
      .join(', '),
    tieWordEmbeddings: config.tieWordEmbeddings,
    keyValueBytesPerToken: keyValueBytes(config, 1),
    eosTokenIds: config.eosTokenIds,
    ...(config.textPartOnly ? { leftOut: 'all but the text part' } : {}),
  };
}

/** One fact a line, the names aligned. */
function describe(facts: Facts): string {
  const entries = Object.entries(facts).filter(([, value]) => value !== undefined);
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries
    .map(
      ([name, value]) =>
        `${bold(name.padEnd(width))}  ${visible(typeof value === 'string' ? value : JSON.stringify(value))}`,
    )
    .join('\n');
}
