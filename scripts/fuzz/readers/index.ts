/** The readers that are fuzzed: one file and one line each. */
import type { FuzzReader } from '../reader.ts';
import { adapters } from './adapters.ts';
import { config } from './config.ts';
import { dataFiles } from './dataFiles.ts';
import { records } from './records.ts';
import { safetensors } from './safetensors.ts';
import { tokenizer } from './tokenizer.ts';
import { torch } from './torch.ts';

export const readers: readonly FuzzReader[] = [
  torch,
  safetensors,
  config,
  tokenizer,
  adapters,
  records,
  dataFiles,
];
