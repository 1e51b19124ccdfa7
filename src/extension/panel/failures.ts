/** What can go wrong with a run, and the way out of each. */
import type { VariantNeed } from '../../protocol/comparison.ts';
import { UserError } from '../../protocol/errors.ts';
import type { IndexState, PanelAction } from '../../protocol/panel.ts';

const retry: PanelAction = { label: 'Try Again', action: 'retry' };
const showLog: PanelAction = { label: 'Show Log', action: 'show-log' };
export const selectTokenFile: PanelAction = { label: 'Select Embedding File', action: 'select-token-file' };

export class NoTokenFileError extends UserError {}
export class NoModelError extends UserError {
  constructor() {
    super('No model is selected.');
  }
}
export class MissingIndexError extends UserError {
  readonly index: IndexState;
  constructor(index: IndexState) {
    super(index.kind === 'failed' ? index.message : 'The documents of this workspace are not indexed yet.');
    this.index = index;
  }
}

/** Parametric RAG is asked for, but ticked passages have no adapter yet. */
export class NotEncodedError extends UserError {}

const encodePassages: PanelAction = { label: 'Encode Passages', action: 'encode-passages' };
const selectModel: PanelAction = { label: 'Select Model', action: 'select-model' };

/** The buttons to show in a column that cannot run. */
export function waysOutOf(needs: VariantNeed | null): PanelAction[] {
  switch (needs) {
    case 'token-file':
      return [selectTokenFile];
    case 'adapters':
      return [encodePassages];
    case 'model':
      return [selectModel];
    case null:
      return [];
  }
}

/** The buttons to show beside a failure. */
export function waysOut(error: unknown): PanelAction[] {
  if (error instanceof NoTokenFileError) return [selectTokenFile, retry];
  if (error instanceof NotEncodedError) {
    return [encodePassages, showLog];
  }
  if (error instanceof NoModelError) {
    return [{ label: 'Use the Demo Model', action: 'use-demo-model' }, selectModel];
  }
  if (error instanceof MissingIndexError) {
    return [{ label: 'Index Workspace', action: 'index-workspace' }, showLog];
  }
  if (error instanceof Error && error.name === 'EngineStoppedError') {
    return [retry, { label: 'Restart Engine', action: 'restart-engine' }, showLog];
  }
  return [retry, showLog];
}
