/** From the panel's inputs to a request for the engine. */
import type { ComparisonRequest, ModelInfo, TokenFileInfo } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import { variantFrom } from '../../protocol/methods.ts';
import { type PanelInputs, type PanelState, variantOf } from '../../protocol/panel.ts';
import { fileOfLabel } from '../../protocol/tokenFileLabels.ts';
import { NoModelError, NoTokenFileError } from './failures.ts';
import { chooseTokenFile } from './fit.ts';
import { tickedPassages } from './passageList.ts';

/**
 * What the engine is asked to run.
 * @throws UserError if the inputs cannot be run
 */
export function comparisonRequest({ inputs, passages, tokenFiles }: PanelState): ComparisonRequest {
  const variants = [...new Set(inputs.columns.map((choice) => variantOf(choice, inputs.k)))];
  if (variants.length === 0) throw new UserError('There is no column: add one, then compare.');
  if (inputs.model === null) throw new NoModelError();
  const tokenFile = tokenFiles.find(({ path }) => path === inputs.tokenFile) ?? null;
  const named = new Map<string, TokenFileInfo>();
  for (const { k = 0, tokenFile: label } of variants.map(variantFrom)) {
    if (k === 0) continue;
    const file = label === undefined ? tokenFile : fileOfLabel(tokenFiles, label);
    if (!file) {
      throw new NoTokenFileError(
        label === undefined
          ? 'A SPRING column needs an embedding file that fits the model: choose one.'
          : `A SPRING column needs the embedding file ${label}, which is not known here: select it.`,
      );
    }
    if (k > file.rows) {
      throw new NoTokenFileError(
        `${file.name} holds ${file.rows} virtual tokens; a column asks for ${k}. ` +
          'Choose a smaller k or another file.',
      );
    }
    if (label !== undefined) named.set(label, file);
  }
  return {
    question: inputs.question,
    passages: tickedPassages(passages),
    model: inputs.model,
    device: inputs.device,
    precision: inputs.precision,
    tokenFile: tokenFile?.path ?? null,
    tokenFiles: Object.fromEntries([...named].map(([label, { path }]) => [label, path])),
    variants,
    settings: inputs.settings,
  };
}

export function modelOf(models: readonly ModelInfo[], inputs: PanelInputs): ModelInfo | null {
  return models.find(({ id }) => id === inputs.model) ?? null;
}

/** Inputs whose parts fit each other: a known model, a file that fits it, k within the file's rows. */
export function consistentInputs(
  inputs: PanelInputs,
  { models, tokenFiles }: Pick<PanelState, 'models' | 'tokenFiles'>,
): PanelInputs {
  if (models.length === 0) return inputs;
  const model = modelOf(models, inputs) ?? models.find(({ problem }) => problem === undefined) ?? null;
  const tokenFile = chooseTokenFile(tokenFiles, model, inputs.tokenFile);
  return {
    ...inputs,
    model: model?.id ?? null,
    tokenFile: tokenFile?.path ?? null,
    k: Math.min(Math.max(0, Math.trunc(inputs.k)), tokenFile?.rows ?? inputs.k),
  };
}
