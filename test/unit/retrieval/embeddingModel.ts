/** A tiny embedding model in sentence-transformers layout: each token's vector is its id's row of a table. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Graph } from '../../../src/onnx/graph.ts';

export const vocabulary = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  'query',
  'passage',
  ':',
  'cat',
  'dog',
  'car',
  'truck',
];
export const dimension = 8;

/** Row i of the table: animals and vehicles point in two directions, other tokens hardly anywhere. */
export function tokenVector(id: number): number[] {
  const vector = new Array<number>(dimension).fill(0);
  const word = vocabulary[id]!;
  if (word === 'cat' || word === 'dog') vector[0] = 1;
  else if (word === 'car' || word === 'truck') vector[1] = 1;
  else vector[2] = id / 100;
  vector[3 + (id % 5)]! += 0.25;
  return vector;
}

export interface ModelFiles {
  pooling?: Record<string, unknown>;
  modules?: unknown;
  prompts?: Record<string, string>;
  maxLength?: number;
}

/** Writes the model's folder. Its graph: Gather(table, input_ids), with the mask as an input that is not used up. */
export function writeEmbeddingModel(folder: string, files: ModelFiles = {}): string {
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  mkdirSync(join(folder, '1_Pooling'), { recursive: true });
  const graph = new Graph();
  const ids = graph.input('input_ids', 'int64', ['batch', 'tokens']);
  const mask = graph.input('attention_mask', 'int64', ['batch', 'tokens']);
  const table = Float32Array.from(vocabulary.flatMap((_, id) => tokenVector(id)));
  const rows = graph.constant('table', 'float32', [vocabulary.length, dimension], table);
  // Padding is made visible: were it pooled, the vector of [PAD] plus 100 would show.
  const hidden = graph.node('Gather', [rows, ids]);
  const kept = graph.node('Cast', [mask], { to: 1 }, { type: 'float32' });
  const padded = graph.node('Mul', [graph.node('Sub', [graph.scalar(1), kept]), graph.scalar(100)]);
  const spread = graph.node('Unsqueeze', [padded, graph.integers(-1)]);
  graph.output('last_hidden_state', graph.node('Add', [hidden, spread]), ['batch', 'tokens', dimension]);
  writeFileSync(join(folder, 'onnx/model.onnx'), graph.encode().bytes);
  const json = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value));
  json('tokenizer.json', tokenizer());
  json('tokenizer_config.json', { model_max_length: 512 });
  if (files.pooling) json('1_Pooling/config.json', files.pooling);
  if (files.modules) json('modules.json', files.modules);
  if (files.prompts) json('config_sentence_transformers.json', { prompts: files.prompts });
  if (files.maxLength) json('sentence_bert_config.json', { max_seq_length: files.maxLength });
  return folder;
}

function tokenizer(): object {
  const special = (content: string, id: number) => ({
    ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  });
  return {
    version: '1.0',
    added_tokens: vocabulary.slice(0, 4).map(special),
    normalizer: { type: 'Lowercase' },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: {
      type: 'TemplateProcessing',
      single: [
        { SpecialToken: { id: '[CLS]', type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: '[SEP]', type_id: 0 } },
      ],
      pair: [],
      special_tokens: {
        '[CLS]': { id: '[CLS]', ids: [2], tokens: ['[CLS]'] },
        '[SEP]': { id: '[SEP]', ids: [3], tokens: ['[SEP]'] },
      },
    },
    decoder: null,
    model: {
      type: 'WordPiece',
      unk_token: '[UNK]',
      continuing_subword_prefix: '##',
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
    },
  };
}
