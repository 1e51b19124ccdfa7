/** What a folder in sentence-transformers layout says about its embedding model. */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { messageOf, UserError } from '../../protocol/errors.ts';

export const poolings = ['mean', 'cls', 'max', 'lasttoken'] as const;
export type Pooling = (typeof poolings)[number];

export interface EmbeddingModelFolder {
  /** The ONNX file. */
  modelFile: string;
  pooling: Pooling;
  /** Longer texts are cut, in tokens with the special ones. */
  maxTokens: number;
  queryPrefix: string;
  passagePrefix: string;
  /** Changes when vectors made before would no longer fit. */
  fingerprint: string;
}

/**
 * Reads modules.json, the pooling module's config, config_sentence_transformers.json (prompts),
 * sentence_bert_config.json (length) and the tokenizer; all but the tokenizer and the model may be missing.
 * @throws UserError naming the file that is missing or not supported
 */
export function readModelFolder(folder: string): EmbeddingModelFolder {
  const modelFile = ['onnx/model.onnx', 'model.onnx'].map((name) => join(folder, name)).find(existsSync);
  if (modelFile === undefined) {
    throw new UserError(
      `No embedding model in ${folder}: expected onnx/model.onnx or model.onnx beside a tokenizer.json ` +
        '(a sentence-transformers folder with its ONNX export).',
    );
  }
  const tokenizer = readJson(folder, 'tokenizer.json');
  if (!tokenizer) throw new UserError(`The embedding model ${folder} has no tokenizer.json.`);
  const tokenizerConfig = readJson(folder, 'tokenizer_config.json') ?? {};
  const config = readJson(folder, 'config.json') ?? {};
  const settings = {
    pooling: readPooling(folder),
    maxTokens: maxTokens(folder, tokenizerConfig, config),
    ...prefixes(folder, config),
  };
  const { size } = statSync(modelFile);
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([settings, size, tokenizer]))
    .update(readFileSync(modelFile).subarray(0, 1 << 20))
    .digest('hex');
  return { modelFile, ...settings, fingerprint };
}

type Json = Record<string, unknown>;

function readJson(folder: string, name: string): Json | undefined {
  const file = join(folder, name);
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Json;
  } catch (error) {
    throw new UserError(`${file} is not valid JSON: ${messageOf(error)}`);
  }
}

function readPooling(folder: string): Pooling {
  const modules = (readJson(folder, 'modules.json') ?? []) as unknown as { type: string; path: string }[];
  let path = '1_Pooling';
  for (const module of modules) {
    const kind = module.type.split('.').at(-1)!;
    if (kind === 'Pooling') path = module.path;
    else if (kind !== 'Transformer' && kind !== 'Normalize') {
      throw new UserError(`The embedding model ${folder} has a module ${kind}, which is not supported.`);
    }
  }
  const config = readJson(folder, join(path, 'config.json'));
  if (!config) return 'mean';
  const modes = Object.entries(config)
    .filter(([key, value]) => key.startsWith('pooling_mode_') && value === true)
    .map(([key]) => key.replace(/^pooling_mode_(.+?)(?:_tokens?)?$/, '$1'));
  // Newer versions of the format name the mode in one field.
  const named = modes.length === 0 ? config['pooling_mode'] : modes.join('+');
  const mode = named === 'mean_sqrt_len' ? 'mean' : named; // The same once the length is normalised.
  if (poolings.includes(mode as Pooling)) return mode as Pooling;
  throw new UserError(
    `The embedding model ${folder} pools by ${String(named)}; supported are ${poolings.join(', ')}.`,
  );
}

function maxTokens(folder: string, tokenizerConfig: Json, config: Json): number {
  const limits = [
    readJson(folder, 'sentence_bert_config.json')?.['max_seq_length'],
    tokenizerConfig['model_max_length'],
    config['max_position_embeddings'],
  ].filter((limit): limit is number => typeof limit === 'number' && limit > 0 && limit < 1e6);
  return limits.length > 0 ? Math.min(...limits) : 512;
}

/** Prompts as the model's authors wrote them; the E5 models had theirs before the file for them existed. */
function prefixes(folder: string, config: Json): { queryPrefix: string; passagePrefix: string } {
  const prompts = (readJson(folder, 'config_sentence_transformers.json')?.['prompts'] ?? {}) as Record<
    string,
    string
  >;
  const queryPrefix = prompts['query'];
  const passagePrefix = prompts['passage'] ?? prompts['document'] ?? prompts['corpus'];
  if (queryPrefix !== undefined || passagePrefix !== undefined) {
    return { queryPrefix: queryPrefix ?? '', passagePrefix: passagePrefix ?? '' };
  }
  const source = config['_name_or_path'];
  const names = `${basename(folder)} ${typeof source === 'string' ? source : ''}`;
  return /(?:^|[^a-z0-9])e5(?:[^a-z0-9]|$)/i.test(names)
    ? { queryPrefix: 'query: ', passagePrefix: 'passage: ' }
    : { queryPrefix: '', passagePrefix: '' };
}
