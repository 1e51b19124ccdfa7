/**
 * Gemma 3 as Ollama's converter has written it: other keys for the bases of the rotations, no epsilon, no scaling of the
 * rotation (which the larger models have), the tensors of the vision part in the same file, and more tokens than rows.
 * What is added is what Ollama adds when it loads such a file (llama/compat in its repository).
 */
import type { GgufFile } from './file.ts';

/** Context of the models whose global layers are rotated with a linear factor of 8. */
const longContext = 131072;

/** The file with the keys that llama.cpp's converter writes; unchanged where it is not one of these. */
export function withUsualKeys(file: GgufFile): GgufFile {
  const { metadata, tensors } = file;
  if (metadata.string('general.architecture', undefined) !== 'gemma3' || !isOllamas(file)) return file;
  const isLong = metadata.integer('gemma3.context_length', 0) >= longContext;
  const added = {
    'gemma3.rope.freq_base': metadata.number('gemma3.rope.global.freq_base', 1e6),
    'gemma3.rope.freq_base_swa': metadata.number('gemma3.rope.local.freq_base', 1e4),
    'gemma3.attention.layer_norm_rms_epsilon': 1e-6,
    ...(isLong ? { 'gemma3.rope.scaling.type': 'linear', 'gemma3.rope.scaling.factor': 8 } : {}),
  };
  const rows = tensors.get('token_embd.weight')?.shape[0] ?? Infinity;
  const lists = ['tokens', 'scores', 'token_type'].map((name) => `tokenizer.ggml.${name}`);
  return { ...file, metadata: metadata.completed(added, lists, rows) };
}

function isOllamas({ metadata, tensors }: GgufFile): boolean {
  return (
    ['mm.tokens_per_image', 'rope.global.freq_base', 'rope.local.freq_base'].some((key) =>
      metadata.has(`gemma3.${key}`),
    ) ||
    !metadata.has('gemma3.attention.layer_norm_rms_epsilon') ||
    [...tensors.keys()].some((name) => name.startsWith('v.') || name.startsWith('mm.'))
  );
}
