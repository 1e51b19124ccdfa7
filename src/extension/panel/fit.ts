/** Which embedding files fit which model. */
import type { ModelInfo, TokenFileInfo } from '../../protocol/comparison.ts';

/** Null if the file's rows can be fed to the model, else why not and what to do, in one sentence. */
export function misfitOf(file: TokenFileInfo, model: ModelInfo | null): string | null {
  if (file.problem !== undefined) return file.problem;
  if (!model || model.problem !== undefined || file.hiddenSize === model.hiddenSize) return null;
  return (
    `${file.name} does not fit ${model.name}: its rows have ${file.hiddenSize} numbers, the model's embeddings ` +
    `${model.hiddenSize}. Choose an embedding file that was trained for this model.`
  );
}

export function fitTable(
  files: readonly TokenFileInfo[],
  model: ModelInfo | null,
): Record<string, string | null> {
  return Object.fromEntries(files.map((file) => [file.path, misfitOf(file, model)]));
}

/** `wanted` if it fits, else the first file that does, else null. */
export function chooseTokenFile(
  files: readonly TokenFileInfo[],
  model: ModelInfo | null,
  wanted: string | null,
): TokenFileInfo | null {
  const fitting = files.filter((file) => misfitOf(file, model) === null);
  return fitting.find(({ path }) => path === wanted) ?? fitting[0] ?? null;
}
