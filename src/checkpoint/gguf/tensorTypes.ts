/** The types of tensors that GGUF files know by number. */
import { bytesPerElement } from '../elementTypes.ts';
import type { BlockType, SafetensorsType } from '../types.ts';
import { blockFormats, isBlockType } from './blocks/formats.ts';

/** ggml's numbers (ggml.h, `enum ggml_type`). */
const typeNumbers: Readonly<Record<number, SafetensorsType | BlockType>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  30: 'BF16',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
  40: 'NVFP4',
  41: 'Q1_0',
};

/** Types that are not read: those of programs' working memory, withdrawn ones, too new ones. */
const otherNumbers: Readonly<Record<number, string>> = {
  4: 'Q4_2 (withdrawn)',
  5: 'Q4_3 (withdrawn)',
  9: 'Q8_1',
  15: 'Q8_K',
  31: 'Q4_0_4_4 (withdrawn)',
  32: 'Q4_0_4_8 (withdrawn)',
  33: 'Q4_0_8_8 (withdrawn)',
  36: 'IQ4_NL_4_4 (withdrawn)',
  37: 'IQ4_NL_4_8 (withdrawn)',
  38: 'IQ4_NL_8_8 (withdrawn)',
};

/** The type with this number; undefined if it cannot be read. */
export function tensorType(number: number): SafetensorsType | BlockType | undefined {
  return typeNumbers[number];
}

/** How a message names a type that cannot be read. */
export function nameOfOtherType(number: number): string {
  return otherNumbers[number] ?? `number ${number}, which is unknown`;
}

/** Values and bytes of the smallest unit of a type. */
export function unitOf(type: SafetensorsType | BlockType): { values: number; bytes: number } {
  return isBlockType(type) ? blockFormats[type] : { values: 1, bytes: bytesPerElement[type] };
}
