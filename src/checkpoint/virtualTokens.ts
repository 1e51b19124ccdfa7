import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { UserError } from '../protocol/errors.ts';
import type { FloatType } from './elementTypes.ts';
import { exists, readJsonObject } from './files.ts';
import { writeSafetensors } from './safetensors.ts';
import { adapterTensorFile, metadataRecord, withTensorFile } from './tensorFile.ts';
import type { StoredTensor, TensorFile } from './tensorFile.ts';
import { writeTorchTensor } from './torch/writeTorchFile.ts';

/** The name that PEFT's prompt tuning gives its tensor; other readers of our files find it there. */
const peftName = 'prompt_embeddings';

/** Trained input embeddings. */
export interface VirtualTokens {
  path: string;
  /** (count, hiddenSize) float32, row-major */
  data: Float32Array<ArrayBuffer>;
  count: number;
  hiddenSize: number;
  /** Element type in the file. */
  dtype: 'float64' | 'float32' | 'float16' | 'bfloat16';
  /** Of the rows as float32 little-endian, in hexadecimal. */
  sha256: string;
  format: 'safetensors' | 'torch zip' | 'torch legacy';
  /** Name of the tensor in the file; empty where the file is the tensor. */
  tensorName: string;
  metadata: Readonly<Record<string, string>>;
}

const typeNames: Readonly<Record<FloatType, VirtualTokens['dtype']>> = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
};

/**
 * Reads virtual tokens from a torch file (`.pt`, `.bin`), a safetensors file, or the folder of a PEFT
 * prompt-tuning adapter: the file's one two-dimensional float tensor, as float32.
 *
 * @param path a file or folder
 * @param options.hiddenSize the model's width; a file of another width is an error
 * @throws UserError, one clear message, for anything that cannot be used
 */
export async function readVirtualTokens(
  path: string,
  options: { hiddenSize?: number } = {},
): Promise<VirtualTokens> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats) throw new UserError(`${path} is missing; expected a file of virtual tokens.`);
  const file = stats.isDirectory() || basename(path) === 'adapter_config.json' ? await peftFile(path) : path;
  return withTensorFile(file, (opened) => readFrom(opened, options.hiddenSize));
}

async function readFrom(file: TensorFile, hiddenSize: number | undefined): Promise<VirtualTokens> {
  const tensor = chooseTensor(file);
  const [count, width] = tensor.shape as [number, number];
  const shape = `[${count}, ${width}]`;
  if (count === 0 || width === 0)
    throw new UserError(`${file.path} holds no virtual tokens: its shape is ${shape}.`);
  if (hiddenSize !== undefined) checkWidth({ path: file.path, count, hiddenSize: width }, hiddenSize);
  const data = await tensor.read();
  const wrong = data.findIndex((value) => !Number.isFinite(value));
  if (wrong !== -1) {
    throw new UserError(
      `${file.path} holds ${data[wrong]} in virtual token ${Math.floor(wrong / width) + 1}; all values must be ` +
        'finite. The training that wrote it has probably diverged.',
    );
  }
  return {
    path: file.path,
    data,
    count,
    hiddenSize: width,
    dtype: typeNames[tensor.floatType!],
    sha256: createHash('sha256').update(data).digest('hex'),
    format: file.format,
    tensorName: tensor.name,
    metadata: file.metadata,
  };
}

/**
 * Checks that virtual tokens are as wide as the model's embeddings.
 * @throws UserError
 */
export function checkWidth(
  { path, count, hiddenSize: width }: Pick<VirtualTokens, 'path' | 'count' | 'hiddenSize'>,
  hiddenSize: number,
): void {
  if (width === hiddenSize) return;
  const swapped = count === hiddenSize ? ' Rows and columns seem to be swapped.' : '';
  throw new UserError(
    `${path} does not fit the model: its virtual tokens are ${width} wide (shape [${count}, ${width}]), the model's ` +
      `embeddings ${hiddenSize}.${swapped} Choose a file that was trained for this model.`,
  );
}

function chooseTensor(file: TensorFile): StoredTensor {
  const candidates = file.tensors.filter((tensor) => tensor.floatType && tensor.shape.length === 2);
  const [only] = candidates;
  if (only && candidates.length === 1) return only;
  const named = candidates.find((tensor) => tensor.name === peftName);
  if (named) return named;
  throw new UserError(
    `${file.path} is no file of virtual tokens: expected one two-dimensional float tensor (tokens, hidden size), ` +
      `found ${listTensors(file)}.`,
  );
}

function listTensors(file: TensorFile): string {
  if (file.tensors.length === 0) return file.description;
  const shown = file.tensors.slice(0, 5).map(({ name, typeName, shape }) => {
    return `${name === '' ? 'a tensor' : name.slice(0, 80)} (${typeName}, [${shape.join(', ')}])`;
  });
  const rest = file.tensors.length - shown.length;
  return shown.join(', ') + (rest > 0 ? ` and ${rest} more` : '');
}

/** The tensor file of a PEFT prompt-tuning folder. */
async function peftFile(path: string): Promise<string> {
  const folder = basename(path) === 'adapter_config.json' ? dirname(path) : path;
  const configPath = join(folder, 'adapter_config.json');
  if (!(await exists(configPath))) {
    throw new UserError(
      `${folder} is a folder without adapter_config.json; expected a file of virtual tokens or the folder of a ` +
        'PEFT prompt-tuning adapter.',
    );
  }
  const { peft_type: type } = await readJsonObject(configPath);
  if (type !== 'PROMPT_TUNING') {
    const hint = type === 'LORA' ? ' It is a LoRA adapter: give it as one.' : '';
    throw new UserError(
      `${configPath} has the peft_type ${JSON.stringify(type)}; expected "PROMPT_TUNING".${hint}`,
    );
  }
  return adapterTensorFile(folder);
}

/**
 * Writes virtual tokens in float32: `.pt` (a plain tensor, loadable by torch with weights_only) or
 * `.safetensors`. A file of that name is replaced only when all is written.
 *
 * @param data (count, hiddenSize), row-major
 * @param metadata kept in the file; torch ignores it
 */
export async function writeVirtualTokens(
  path: string,
  data: Float32Array,
  hiddenSize: number,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const shape = [data.length / hiddenSize, hiddenSize];
  if (data.length === 0 || !Number.isInteger(shape[0])) {
    throw new Error(`${data.length} values are not rows of ${hiddenSize}.`);
  }
  switch (extname(path)) {
    case '.pt':
    case '.bin': {
      const extra: Record<string, string> = {};
      if (Object.keys(metadata).length > 0) extra[metadataRecord] = JSON.stringify(metadata);
      return writeTorchTensor(path, data, shape, extra);
    }
    case '.safetensors':
      return writeSafetensors(path, [{ name: peftName, dtype: 'F32', shape, data }], {
        format: 'pt',
        ...metadata,
      });
    default:
      throw new UserError(`${path}: virtual tokens are written as .pt or .safetensors; choose one of these.`);
  }
}
