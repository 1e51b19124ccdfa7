/** From the panel's inputs to a request for the engine. */
import type {
  ComparisonRequest,
  ModelInfo,
  TokenFileInfo,
  UnavailableVariant,
} from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import { variantFrom, variantLabel, type VariantId } from '../../protocol/methods.ts';
import { type PanelInputs, type PanelState, variantOf } from '../../protocol/panel.ts';
import { fileOfLabel } from '../../protocol/tokenFileLabels.ts';
import { NoModelError, NoTokenFileError } from './failures.ts';
import { chooseTokenFile } from './fit.ts';
import { tickedPassages } from './passageList.ts';

export interface PanelComparison {
  request: ComparisonRequest;
  /** Columns that cannot run; the request is without them. */
  unavailable: UnavailableVariant[];
}

/**
 * What the engine is asked to run.
 * @throws UserError if the inputs cannot be run, or no column can
 */
export function comparisonRequest({ inputs, passages, tokenFiles }: PanelState): PanelComparison {
  const wanted = wantedVariants(inputs);
  if (wanted.length === 0) throw new UserError('There is no column: add one, then compare.');
  if (inputs.model === null) throw new NoModelError();
  const chosen = tokenFiles.find(({ path }) => path === inputs.tokenFile);
  const named = new Map<string, TokenFileInfo>();
  const unavailable: UnavailableVariant[] = [];
  for (const id of wanted) {
    const variant = variantFrom(id);
    const { k = 0, tokenFile: label } = variant;
    if (k === 0) continue;
    const file = label === undefined ? chosen : fileOfLabel(tokenFiles, label);
    const message = missingTokens(k, file, label);
    if (message !== null) unavailable.push(unavailableVariant(id, message, 'token-file'));
    else if (label !== undefined) named.set(label, file!);
  }
  if (unavailable.length === wanted.length) throw new NoTokenFileError(unavailable[0]!.message);
  const request = {
    question: inputs.question,
    passages: tickedPassages(passages),
    model: inputs.model,
    device: inputs.device,
    precision: inputs.precision,
    tokenFile: chosen?.path ?? null,
    tokenFiles: Object.fromEntries([...named].map(([label, { path }]) => [label, path])),
    variants: wanted.filter((id) => !unavailable.some(({ variant }) => variant === id)),
    settings: inputs.settings,
  };
  return { request, unavailable };
}

/** The columns as variants, each once. */
export function wantedVariants({ columns, k }: PanelInputs): VariantId[] {
  return [...new Set(columns.map((choice) => variantOf(choice, k)))];
}

export function unavailableVariant(
  id: VariantId,
  message: string,
  needs: UnavailableVariant['needs'],
): UnavailableVariant {
  const variant = variantFrom(id);
  const { k = 0 } = variant;
  return { type: 'unavailable', variant: id, label: variantLabel(variant), k, message, needs };
}

/** Why a column has no virtual tokens; null: it has. */
function missingTokens(k: number, file: TokenFileInfo | undefined, label: string | undefined): string | null {
  if (file) {
    if (k <= file.rows) return null;
    return (
      `${file.name} holds ${file.rows} virtual tokens; a column asks for ${k}. ` +
      'Choose a smaller k or another file.'
    );
  }
  if (label === undefined) return 'A SPRING column needs an embedding file that fits the model: choose one.';
  return `A SPRING column needs the embedding file ${label}, which is not known here: select it.`;
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
