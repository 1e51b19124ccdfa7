/** From the panel's inputs to a request for the engine. */
import type { ComparisonRequest, ModelInfo, VariantId } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import { type PanelInputs, type PanelState, variantOf } from '../../protocol/panel.ts';
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
  const largestK = Math.max(...variants.map(virtualTokensOf));
  if (largestK > 0 && tokenFile === null) {
    throw new NoTokenFileError('A SPRING column needs an embedding file that fits the model: choose one.');
  }
  if (tokenFile && largestK > tokenFile.rows) {
    throw new NoTokenFileError(
      `${tokenFile.name} holds ${tokenFile.rows} virtual tokens; a column asks for ${largestK}. ` +
        'Choose a smaller k or another file.',
    );
  }
  return {
    question: inputs.question,
    passages: tickedPassages(passages),
    model: inputs.model,
    device: inputs.device,
    precision: inputs.precision,
    tokenFile: tokenFile?.path ?? null,
    variants,
    settings: inputs.settings,
  };
}

/** The k of a variant; 0 for those without virtual tokens. */
export function virtualTokensOf(variant: VariantId): number {
  return Number(/^spring:(\d+)/.exec(variant)?.[1] ?? 0);
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
