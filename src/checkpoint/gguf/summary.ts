/** What a GGUF file is in a few words: for lists of models and `spring inspect`. */
import type { GgufFile } from './file.ts';

/** Names of quantisations by `general.file_type` (llama.cpp's llama_ftype): mixes have names that no tensor type has. */
const fileTypes: Readonly<Record<number, string>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  7: 'Q8_0',
  8: 'Q5_0',
  9: 'Q5_1',
  10: 'Q2_K',
  11: 'Q3_K_S',
  12: 'Q3_K_M',
  13: 'Q3_K_L',
  14: 'Q4_K_S',
  15: 'Q4_K_M',
  16: 'Q5_K_S',
  17: 'Q5_K_M',
  18: 'Q6_K',
  19: 'IQ2_XXS',
  20: 'IQ2_XS',
  21: 'Q2_K_S',
  22: 'IQ3_XS',
  23: 'IQ3_XXS',
  24: 'IQ1_S',
  25: 'IQ4_NL',
  26: 'IQ3_S',
  27: 'IQ3_M',
  28: 'IQ2_S',
  29: 'IQ2_M',
  30: 'IQ4_XS',
  31: 'IQ1_M',
  32: 'BF16',
  36: 'TQ1_0',
  37: 'TQ2_0',
  38: 'MXFP4',
  39: 'NVFP4',
  40: 'Q1_0',
};

export interface GgufSummary {
  architecture: string;
  name: string | undefined;
  /** As people say it: Q4_K_M. */
  quantization: string;
  parameters: number;
  contextLength: number | undefined;
  /** By type, the one with most bytes first. */
  types: Record<string, { tensors: number; bytes: number }>;
}

/** @throws UserError if the architecture or the context length is not what its type must be */
export function summaryOf(file: GgufFile): GgufSummary {
  const { metadata, tensors } = file;
  const architecture = metadata.string('general.architecture');
  const byType = new Map<string, { tensors: number; bytes: number }>();
  let parameters = 0;
  for (const { dtype, shape, length } of tensors.values()) {
    const sum = byType.get(dtype) ?? { tensors: 0, bytes: 0 };
    byType.set(dtype, { tensors: sum.tensors + 1, bytes: sum.bytes + length });
    parameters += shape.reduce((product, size) => product * size, 1);
  }
  const types = [...byType].sort(([, a], [, b]) => b.bytes - a.bytes);
  const fileType = metadata.integer('general.file_type', -1);
  return {
    architecture,
    name: metadata.string('general.name', undefined),
    quantization: fileTypes[fileType] ?? types[0]?.[0] ?? 'none',
    parameters,
    contextLength: metadata.integer(`${architecture}.context_length`, undefined),
    types: Object.fromEntries(types),
  };
}
