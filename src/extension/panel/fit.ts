/** Which embedding files fit which model. */
import { fitOf, type ModelFacts, type TokenFileFacts } from '../../hub/fit.ts';
import type { Catalogue } from '../../hub/types.ts';
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

/**
 * Why a file that can be used may make answers worse: it was trained for another model of the same width, or nobody
 * knows for which. Null: it was trained for this model, or it cannot be used at all.
 */
export function fitWarningOf(
  file: TokenFileInfo,
  model: ModelInfo | null,
  catalogue: Catalogue,
): string | null {
  const facts = modelFacts(model);
  if (file.problem !== undefined || facts === null) return null;
  const { fit, message } = fitOf(tokenFileFacts(file), facts, catalogue);
  return fit === 'unknown-backbone' ? message : null;
}

/** By path, the warnings of those files that have one. */
export function fitWarnings(
  files: readonly TokenFileInfo[],
  model: ModelInfo | null,
  catalogue: Catalogue,
): Record<string, string> {
  return Object.fromEntries(
    files.flatMap((file) => {
      const warning = fitWarningOf(file, model, catalogue);
      return warning === null ? [] : [[file.path, warning]];
    }),
  );
}

/** What decides the fit, of a file. */
export function tokenFileFacts(file: TokenFileInfo): TokenFileFacts {
  const { hiddenSize, path, sha256, backbone, backboneFingerprint } = file;
  return {
    ...{ hiddenSize, path, sha256 },
    metadata: {
      ...(backbone !== undefined && { backbone }),
      ...(backboneFingerprint !== undefined && { backboneFingerprint }),
    },
  };
}

/** What decides the fit, of a model; null if there is none that can be used. */
export function modelFacts(model: ModelInfo | null): ModelFacts | null {
  if (model === null || model.problem !== undefined) return null;
  const { hiddenSize, id: name, folder, weightsFingerprint } = model;
  return { hiddenSize, name, folder, ...(weightsFingerprint !== undefined && { weightsFingerprint }) };
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

/**
 * The file for a model that was just selected: the one last chosen with it, else one that was trained for it, else
 * whatever fits.
 */
export function tokenFileForModel(
  files: readonly TokenFileInfo[],
  model: ModelInfo | null,
  { chosenBefore, now }: { chosenBefore: string | null; now: string | null },
  catalogue: Catalogue,
): TokenFileInfo | null {
  const fitting = files.filter((file) => misfitOf(file, model) === null);
  const trained = fitting.filter((file) => fitWarningOf(file, model, catalogue) === null);
  return (
    fitting.find(({ path }) => path === chosenBefore) ??
    trained.find(({ path }) => path === now) ??
    trained[0] ??
    chooseTokenFile(files, model, now)
  );
}
