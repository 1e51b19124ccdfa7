/** Experiment records from a panel's state, and back. */
import type { TokenFileInfo } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import { formatVariant, methodOf, variantFrom, type VariantId } from '../../protocol/methods.ts';
import { choiceOf, type PanelState } from '../../protocol/panel.ts';
import { type ExperimentRecord, type RecordedTokenFile, recordFormat } from '../../protocol/record.ts';
import { fileOfLabel, tokenFileLabels } from '../../protocol/tokenFileLabels.ts';

export interface RecordContext {
  createdAt: Date;
  software: ExperimentRecord['software'];
}

/**
 * The record of the answers that the panel shows.
 * @throws UserError if there are none, or they no longer belong to the inputs
 */
export function recordOf(state: PanelState, { createdAt, software }: RecordContext): ExperimentRecord {
  const { inputs, run } = state;
  const answered = state.columns.filter(({ problem }) => problem === undefined);
  if (state.columns.length === 0)
    throw new UserError('There is no comparison to save yet: ask a question first.');
  if (run.kind !== 'done' && run.kind !== 'cancelled') {
    throw new UserError('The comparison has not ended well, so there is nothing to save: ask again first.');
  }
  if (run.stale) {
    throw new UserError(
      'The inputs have changed since these answers were made, so a record would not repeat them. Compare again, then save.',
    );
  }
  const model = state.models.find(({ id }) => id === inputs.model);
  if (!model)
    throw new UserError('The model of this comparison is no longer known: select it, compare, then save.');
  const file = state.tokenFiles.find(({ path }) => path === inputs.tokenFile);
  const running = state.model.kind === 'ready' ? state.model : null;
  return {
    format: recordFormat,
    version: 1,
    createdAt: createdAt.toISOString(),
    software,
    question: inputs.question,
    passages: state.passages.map(({ passage, ticked, origin, rank, titlePath, bm25Rank, vectorRank }) => ({
      ...passage,
      ticked,
      origin,
      rank,
      titlePath,
      bm25Rank,
      vectorRank,
    })),
    index:
      state.index.kind === 'ready' && state.passages.some(({ origin }) => origin === 'retrieved')
        ? {
            files: state.index.files,
            chunks: state.index.chunks,
            updatedAt: state.index.updatedAt,
            contentHash: state.index.contentHash,
            passageCount: inputs.passageCount,
          }
        : null,
    model: {
      id: model.id,
      name: model.name,
      architecture: model.architecture,
      hiddenSize: model.hiddenSize,
      fingerprint: model.fingerprint,
      requestedDevice: inputs.device,
      requestedPrecision: inputs.precision,
      device: running?.device ?? 'unknown',
      precision: running?.precision ?? 'unknown',
    },
    tokenFile: file ? recordedFile(file) : null,
    ...namedFiles(state),
    settings: inputs.settings,
    // a column that could not run has nothing to repeat
    variants: answered.map(({ variant, label, k, prompt, tokens, answer }) => ({
      id: variant,
      label,
      k,
      prompt: prompt ?? [],
      tokens,
      answer,
    })),
  };
}

function recordedFile({ path, name, rows, hiddenSize, dtype, sha256 }: TokenFileInfo): RecordedTokenFile {
  return { path, name, rows, hiddenSize, dtype, sha256 };
}

/** The embedding files that columns name. */
function namedFiles({ columns, tokenFiles }: PanelState): Pick<ExperimentRecord, 'tokenFiles'> {
  const labels = columns.flatMap(({ variant }) => variantFrom(variant).tokenFile ?? []);
  const named = labels.flatMap((label) => {
    const file = fileOfLabel(tokenFiles, label);
    return file ? [[label, recordedFile(file)] as const] : [];
  });
  return named.length === 0 ? {} : { tokenFiles: Object.fromEntries(named) };
}

/** A recorded variant's id here: a file that it names may have another label, and another file its label. */
function idHere(id: VariantId, record: ExperimentRecord, { tokenFiles }: PanelState): VariantId {
  const variant = variantFrom(id);
  const recorded = variant.tokenFile === undefined ? undefined : record.tokenFiles?.[variant.tokenFile];
  if (!recorded) return id;
  const place = tokenFiles.findIndex(({ sha256 }) => sha256 === recorded.sha256);
  const labels = tokenFileLabels(place === -1 ? [...tokenFiles, recorded] : tokenFiles);
  return formatVariant({ ...variant, tokenFile: labels.at(place)! });
}

/**
 * A panel that shows a record: its answers and passages, its settings as inputs. What it names is used if it is known
 * here, and only then: a record may come from anybody.
 */
export function stateOfRecord(record: ExperimentRecord, path: string, now: PanelState): PanelState {
  const slider = record.variants.find(({ id }) => methodOf(variantFrom(id)).rows)?.k ?? now.inputs.k;
  const columns = record.variants.map(({ id }) => choiceOf(idHere(id, record, now), slider));
  const { model, tokenFile } = record;
  return {
    ...now,
    run: {
      kind: 'done',
      timings: { firstPassageMs: null, firstTokenMs: null, totalMs: totalOf(record) },
      stale: false,
    },
    record: { path, createdAt: record.createdAt },
    inputs: {
      ...now.inputs,
      question: record.question,
      passageCount: record.index?.passageCount ?? now.inputs.passageCount,
      model: now.models.some(({ id }) => id === model.id) ? model.id : null,
      device: record.model.requestedDevice,
      precision: record.model.requestedPrecision,
      tokenFile: now.tokenFiles.find(({ sha256 }) => sha256 === tokenFile?.sha256)?.path ?? null,
      k: slider,
      columns,
      // Records without the choice are from when prompts were always cut.
      settings: { longPrompt: 'cut-left', ...record.settings },
    },
    passages: record.passages.map(
      ({ ticked, origin, rank, titlePath, bm25Rank, vectorRank, ...passage }, place) => ({
        id: origin === 'retrieved' ? `hit-${String(place + 1)}` : `own-${String(place + 1)}`,
        passage,
        ticked,
        origin,
        rank,
        titlePath,
        bm25Rank,
        vectorRank,
      }),
    ),
    columns: record.variants.map(({ id, label, k, prompt, tokens, answer }) => ({
      variant: idHere(id, record, now),
      label,
      k,
      status: answer ? 'done' : 'cancelled',
      tokens,
      answer,
      prompt,
    })),
  };
}

/** What differs between a record and this machine now, so that a repetition may differ too. */
export function differences(record: ExperimentRecord, state: PanelState): string[] {
  const found: string[] = [];
  const model = state.models.find(({ id }) => id === record.model.id);
  if (!model) found.push(`its model ${record.model.name} is not known here`);
  else if (model.fingerprint !== record.model.fingerprint)
    found.push(`its model ${model.name} has other files now`);
  const files = [...(record.tokenFile ? [record.tokenFile] : []), ...Object.values(record.tokenFiles ?? {})];
  for (const { sha256, name } of files) {
    if (!state.tokenFiles.some((file) => file.sha256 === sha256))
      found.push(`its embedding file ${name} is not here`);
  }
  const hash = state.index.kind === 'ready' ? state.index.contentHash : null;
  if (record.index && record.index.contentHash !== hash) found.push('the documents have changed since');
  return found;
}

function totalOf(record: ExperimentRecord): number {
  const times = record.variants.map(({ answer }) =>
    answer ? answer.timings.prefillMs + answer.timings.decodeMs : 0,
  );
  return Math.max(0, ...times);
}
