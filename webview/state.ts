/**
 * The panel's state and every way it changes, as pure functions: what the host said last, what the user has
 * edited since, and what only the panel knows (which marks are shown, which passages are unfolded).
 */
import {
  changesAnswers,
  type HostToPanel,
  type Notice,
  type PanelColumn,
  type PanelInputs,
  type PanelPassage,
  type PanelState,
} from '../src/protocol/panel.ts';
import type { Span } from './text/words.ts';

export interface PanelModel {
  /** null until the host has spoken (or a stored state was found). */
  panel: PanelState | null;
  /** Edits that the host has not confirmed yet: they stand above the inputs that it sends. */
  pending: Partial<PanelInputs>;
  /** Inputs that the host sent while an edit was under way: its corrections, to be drawn with its reply. */
  corrections: PanelInputs | null;
  view: ViewState;
  /** Requests that failed; the panel's own notices. */
  failures: Notice[];
}

/** What only the panel knows; it is stored with the state. */
export interface ViewState {
  differences: boolean;
  /** The variant with which the others are compared; null: the baseline, or else the first column. */
  reference: string | null;
  sources: boolean;
  confidence: boolean;
  /** Passages shown in full, by id. */
  unfolded: string[];
  settingsOpen: boolean;
  /** The stretch of a passage that an answer's mark led to. `serial` tells one click from the next. */
  highlight: { passageId: string; span: Span; serial: number } | null;
}

export const initialModel: PanelModel = {
  panel: null,
  pending: {},
  corrections: null,
  view: {
    differences: true,
    reference: null,
    sources: true,
    confidence: false,
    unfolded: [],
    settingsOpen: false,
    highlight: null,
  },
  failures: [],
};

/** A message of the host, applied; messages that change no state (`focus`, `reply`) return the same model. */
export function receive(model: PanelModel, message: HostToPanel): PanelModel {
  switch (message.type) {
    case 'state':
      return withPending(model, message.state);
    case 'patch':
      if (model.panel === null) return model;
      return withPending(model, { ...model.panel, ...message.patch }, message.patch.inputs !== undefined);
    case 'tokens':
      if (model.panel === null) return model;
      return { ...model, panel: { ...model.panel, columns: append(model.panel.columns, message.tokens) } };
    default:
      return model;
  }
}

function withPending(model: PanelModel, panel: PanelState, newInputs = true): PanelModel {
  const { pending } = model;
  if (!newInputs || Object.keys(pending).length === 0) return { ...model, panel };
  const inputs = { ...panel.inputs, ...pending };
  return { ...model, panel: { ...panel, inputs }, corrections: panel.inputs };
}

function append(
  columns: readonly PanelColumn[],
  batches: Extract<HostToPanel, { type: 'tokens' }>['tokens'],
): PanelColumn[] {
  const next = [...columns];
  for (const { column, tokens } of batches) {
    const current = next[column];
    // A batch of a run that a newer state has replaced: nothing to append to.
    if (current) next[column] = { ...current, tokens: [...current.tokens, ...tokens] };
  }
  return next;
}

/** The user changed inputs: drawn at once, and the answers are of other inputs now (see changesAnswers). */
export function edit(model: PanelModel, change: Partial<PanelInputs>): PanelModel {
  if (model.panel === null) return model;
  const panel = { ...model.panel, inputs: { ...model.panel.inputs, ...change } };
  const stale = changesAnswers(change) ? markStale(panel) : panel;
  return { ...model, panel: stale, pending: { ...model.pending, ...change } };
}

/** An edit goes to the host: what it sent before knew nothing of it. */
export function sendEdit(model: PanelModel): PanelModel {
  return { ...model, corrections: null };
}

/** The host has dealt with an edit: its corrections hold, unless the user has edited on. */
export function confirmEdit(model: PanelModel, change: Partial<PanelInputs>): PanelModel {
  const { pending, corrections, panel } = model;
  const confirmed = (field: string) =>
    field in change && change[field as keyof PanelInputs] === pending[field as keyof PanelInputs];
  const select = (inputs: Partial<PanelInputs>, wanted: (field: string) => boolean): Partial<PanelInputs> =>
    Object.fromEntries(Object.entries(inputs).filter(([field]) => wanted(field)));
  const left = select(pending, (field) => !confirmed(field));
  return {
    ...model,
    pending: left,
    corrections: Object.keys(left).length === 0 ? null : corrections,
    panel:
      panel && corrections
        ? { ...panel, inputs: { ...panel.inputs, ...select(corrections, confirmed) } }
        : panel,
  };
}

/** The user ticked exactly these passages. */
export function tick(model: PanelModel, ids: readonly string[]): PanelModel {
  if (model.panel === null) return model;
  const passages = model.panel.passages.map((item) =>
    item.ticked === ids.includes(item.id) ? item : { ...item, ticked: !item.ticked },
  );
  return { ...model, panel: markStale({ ...model.panel, passages }) };
}

function markStale(panel: PanelState): PanelState {
  const { run } = panel;
  if ((run.kind !== 'done' && run.kind !== 'cancelled') || run.stale) return panel;
  return { ...panel, run: { ...run, stale: true } };
}

export function changeView(model: PanelModel, change: Partial<ViewState>): PanelModel {
  return { ...model, view: { ...model.view, ...change } };
}

export function toggleUnfolded(model: PanelModel, id: string): PanelModel {
  const { unfolded } = model.view;
  const open = unfolded.includes(id);
  return changeView(model, { unfolded: open ? unfolded.filter((other) => other !== id) : [...unfolded, id] });
}

/** Unfolds a passage and marks a stretch of it. */
export function highlight(model: PanelModel, passageId: string, span: Span): PanelModel {
  const { unfolded, highlight: previous } = model.view;
  return changeView(model, {
    unfolded: unfolded.includes(passageId) ? unfolded : [...unfolded, passageId],
    highlight: { passageId, span, serial: (previous?.serial ?? 0) + 1 },
  });
}

export function addFailure(model: PanelModel, id: string, message: string): PanelModel {
  const same = model.failures.filter((failure) => failure.message !== message);
  return { ...model, failures: [...same, { id, severity: 'error', message, actions: [] }] };
}

export function dropFailure(model: PanelModel, id: string): PanelModel {
  return { ...model, failures: model.failures.filter((failure) => failure.id !== id) };
}

/** A run is under way: it can be cancelled. */
export function isRunning(panel: PanelState): boolean {
  return ['retrieving', 'loading', 'streaming'].includes(panel.run.kind);
}

export function tickedIds(passages: readonly PanelPassage[]): string[] {
  return passages.filter(({ ticked }) => ticked).map(({ id }) => id);
}

//#region stored state

/** What `setState` keeps: the host's state, with the panel's own beside it. */
export type StoredState = PanelState & { view: ViewState };

export function toStored({ panel, view }: PanelModel): StoredState | null {
  return panel === null ? null : { ...panel, view: { ...view, highlight: null } };
}

/** The compiler asks for every field: a state that an older panel stored without one cannot be drawn. */
const fields: Record<keyof PanelState, true> = {
  version: true,
  workspace: true,
  index: true,
  model: true,
  run: true,
  models: true,
  tokenFiles: true,
  tokenFileFit: true,
  tokenFileWarnings: true,
  inputs: true,
  passages: true,
  budget: true,
  columns: true,
  record: true,
  notices: true,
};

/** Reads what `getState` returned; anything that is not of this version, or lacks a field, starts afresh. */
export function fromStored(stored: unknown): PanelModel {
  if (typeof stored !== 'object' || stored === null || (stored as Partial<StoredState>).version !== 1)
    return initialModel;
  const { view, ...panel } = stored as Partial<StoredState> & { version: 1 };
  const complete = Object.keys(fields).every((field) => field in panel);
  if (!complete) return initialModel;
  return { ...initialModel, panel: panel as PanelState, view: { ...initialModel.view, ...view } };
}
//#endregion
