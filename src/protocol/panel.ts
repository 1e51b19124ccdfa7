/**
 * The whole contract between the extension host and the comparison panel (webview).
 *
 * The host owns the state. It sends it whole (`state`) after `ready` and whenever it wants, replaces single
 * fields (`patch`), and appends streamed tokens (`tokens`); the panel draws what it last received and never
 * waits for a reply to draw. What the user does goes to the host as a request; every request gets exactly one
 * reply, an error included. What the user edits (question, ticks, k, ...) is drawn by the panel at once and
 * sent with `edit`; the host does not echo an edit unless it had to correct it.
 *
 * Restore after a reload: the panel keeps the last `PanelState` with `setState` (at most once a second, and
 * when it goes idle). The host gets it back from VS Code, normalises it and sends it again after `ready`.
 *
 * The page: `webview/panel.ts` is bundled to dist/webview/panel.js (and panel.css, from the style sheets it
 * imports). The host's HTML has `<main id="panel"></main>`, one style sheet link and one script with a nonce;
 * the policy is `default-src 'none'; script-src 'nonce-...'; style-src <webview> 'unsafe-inline'; font-src <webview>;
 * img-src <webview>`, so no eval, no remote resources, no inline script.
 */
import type {
  Answer,
  AnswerSettings,
  AnswerToken,
  DeviceChoice,
  ModelInfo,
  PrecisionChoice,
  PromptPiece,
  TokenFileInfo,
} from './comparison.ts';
import {
  defaultColumns,
  formatVariant,
  methodOf,
  variantFrom,
  type MethodName,
  type Variant,
  type VariantId,
} from './methods.ts';
import type { Passage } from './passages.ts';

//#region state

export interface PanelState {
  /** Of this type; a stored state of another version is dropped. */
  version: 1;
  workspace: WorkspaceState;
  index: IndexState;
  model: ModelState;
  run: RunState;
  /** All known models, usable or not (`problem` says why not). */
  models: ModelInfo[];
  /** All known embedding files; `tokenFileFit` says which fit the selected model. */
  tokenFiles: TokenFileInfo[];
  /** By path of an embedding file: null = fits the selected model, else why not, in one sentence. */
  tokenFileFit: Record<string, string | null>;
  /** By path of a file that can be used: why it may make answers worse all the same (trained for another model). */
  tokenFileWarnings: Record<string, string>;
  inputs: PanelInputs;
  passages: PanelPassage[];
  /** What the next prompts take of the model's context; null: nothing is ticked, or it is not known. */
  budget: PassageBudget | null;
  /** One per variant, in the order shown. Before the first run: empty. */
  columns: PanelColumn[];
  /** Set while a saved experiment record is shown. */
  record: { path: string; createdAt: string } | null;
  /** Messages that are not a run's failure (a token file that does not fit, a record saved, ...). */
  notices: Notice[];
}

export interface WorkspaceState {
  /** null: no folder is open. */
  name: string | null;
  /** In an untrusted workspace only the built-in model and embedding file can be used. */
  trusted: boolean;
}

export type IndexState =
  | { kind: 'no-folder' }
  | { kind: 'none' }
  /** `fraction` is absent until the number of files is known. */
  | { kind: 'indexing'; filesDone: number; filesTotal: number | null; chunks: number; currentFile?: string }
  /** `updatedAt`: ISO 8601. `errors`: files that could not be read. */
  | {
      kind: 'ready';
      files: number;
      chunks: number;
      errors: number;
      updatedAt: string;
      /** Of the indexed documents, for experiment records; null if it is not known. */
      contentHash: string | null;
    }
  | { kind: 'failed'; message: string; actions: PanelAction[] };

export type ModelState =
  | { kind: 'none'; actions: PanelAction[] }
  /** Selected, not in memory: it is loaded by the first question. */
  | { kind: 'unloaded' }
  | { kind: 'loading'; message: string }
  | { kind: 'ready'; device: string; precision: string; loadMs: number }
  | { kind: 'failed'; message: string; actions: PanelAction[] };

export type RunState =
  /** Nothing asked yet, or the answers belong to inputs that have changed since (`stale`). */
  | { kind: 'idle' }
  | { kind: 'retrieving' }
  | { kind: 'loading'; message: string }
  | { kind: 'streaming' }
  | { kind: 'done'; timings: RunTimings; stale: boolean }
  | { kind: 'cancelled'; stale: boolean }
  | { kind: 'failed'; message: string; actions: PanelAction[] };

/** All from the moment of asking; null: did not happen in this run (re-runs do not retrieve). */
export interface RunTimings {
  firstPassageMs: number | null;
  firstTokenMs: number | null;
  totalMs: number;
}

/** What the user can edit; kept from run to run. */
export interface PanelInputs {
  question: string;
  /** Passages to retrieve. */
  passageCount: number;
  /** `ModelInfo.id`. */
  model: string | null;
  device: DeviceChoice;
  precision: PrecisionChoice;
  /** `TokenFileInfo.path`. */
  tokenFile: string | null;
  /** The slider, 0..rows of the file: the k of columns with virtual tokens that have no k of their own. */
  k: number;
  columns: ColumnChoice[];
  settings: AnswerSettings;
}

/** A column to be filled by the next run: a variant, but for the k of the slider. */
export interface ColumnChoice extends Omit<Variant, 'method'> {
  /** A method with virtual tokens follows the slider if the choice has no `k`. */
  kind: MethodName;
}

export interface PanelPassage {
  /** Stable within a panel. */
  id: string;
  passage: Passage;
  /** The workspace folder (absolute) that the passage's path is relative to; absent in reopened records. */
  folder?: string;
  ticked: boolean;
  origin: 'retrieved' | 'by-hand' | 'editor';
  /** Place in the result list, from 1; null when added by hand. */
  rank: number | null;
  /** Headings above it, outermost first. */
  titlePath: string[];
  bm25Rank: number | null;
  vectorRank: number | null;
}

export interface PassageBudget {
  /** Of the longest prompt with all ticked passages, and how many a prompt may have. */
  tokens: number;
  room: number;
  /** Passages (by id) that will be left out because there is no room. */
  leftOut: string[];
}

export interface PanelColumn {
  variant: VariantId;
  label: string;
  k: number;
  status: 'waiting' | 'streaming' | 'done' | 'cancelled' | 'failed';
  /** The text shown is the tokens' texts joined. */
  tokens: AnswerToken[];
  /** Set when the column has ended well. */
  answer: Answer | null;
  /** Set when the column cannot run while others can: why, and the ways out. */
  problem?: { message: string; actions: PanelAction[] };
  /** The prompt as sent, for the curious and for the record; null until prepared. */
  prompt: PromptPiece[] | null;
}

/** A button: a way out of a state. */
export interface PanelAction {
  label: string;
  action:
    | 'index-workspace'
    | 'open-folder'
    | 'trust-workspace'
    | 'select-model'
    | 'use-demo-model'
    | 'select-token-file'
    | 'encode-passages'
    | 'retry'
    | 'restart-engine'
    | 'show-log';
}

export interface Notice {
  id: string;
  severity: 'info' | 'warning' | 'error';
  message: string;
  actions: PanelAction[];
}
//#endregion

//#region host to panel

export type HostToPanel =
  | { type: 'state'; state: PanelState }
  /** Each field present replaces the state's field of that name. */
  | { type: 'patch'; patch: Partial<PanelState> }
  /** Appends; `column` is the place in `state.columns`. Sent at most every 33 ms, several tokens together. */
  | { type: 'tokens'; tokens: { column: number; tokens: AnswerToken[] }[] }
  /** Put the keyboard focus there. */
  | { type: 'focus'; target: 'question' | 'passages' | 'token-file' }
  | PanelReply;

/** The reply to the request of the same id. */
export type PanelReply =
  | { type: 'reply'; id: number; ok: true; result: PanelRequests[PanelRequestName]['result'] }
  | { type: 'reply'; id: number; ok: false; error: PanelError };

export interface PanelError {
  /** `user`: bad input, the message says what to do; `cancelled`: say nothing; `unexpected`: a bug of ours. */
  kind: 'user' | 'cancelled' | 'unexpected';
  message: string;
}
//#endregion

//#region panel to host

/** Every request: its parameters and its reply. */
export interface PanelRequests {
  /** The panel's script runs and listens; answered by a `state` message, then the reply. */
  ready: { params: Record<string, never>; result: null };
  /** The user changed inputs; only the changed fields. */
  edit: { params: Partial<PanelInputs>; result: null };
  /** Retrieve, then compare. Replies when the run has started; its end is in `state.run`. */
  ask: { params: { question: string }; result: null };
  /** Compare again with the passages as they are ticked; never retrieves. */
  rerun: { params: Record<string, never>; result: null };
  cancel: { params: Record<string, never>; result: null };
  /** Ticks exactly these passages. */
  tickPassages: { params: { ids: string[] }; result: null };
  /** Adds a ticked passage; the host patches `passages`. */
  addPassage: { params: { text: string }; result: null };
  /** Adds the active editor's selection as a passage. */
  addPassageFromEditor: { params: Record<string, never>; result: null };
  removePassage: { params: { id: string }; result: null };
  /** New order of the passages, by id. */
  movePassage: { params: { id: string; to: number }; result: null };
  /** Opens the document beside the panel with the lines selected. */
  openPassage: { params: { id: string }; result: null };
  /** Shows VS Code's file picker; the host patches `tokenFiles` and `inputs`. False: the user closed it. */
  pickTokenFile: { params: Record<string, never>; result: boolean };
  /** Shows VS Code's picker of models. False: the user closed it. */
  pickModel: { params: Record<string, never>; result: boolean };
  /** Puts the comparison on the clipboard as Markdown. */
  copyMarkdown: { params: Record<string, never>; result: null };
  copyText: { params: { text: string }; result: null };
  /** Saves an experiment record; replies with its path, or null if the user closed the dialog. */
  saveRecord: { params: Record<string, never>; result: string | null };
  /** Shows a picker of records and loads one. False: the user closed it. */
  openRecord: { params: Record<string, never>; result: boolean };
  runAction: { params: { action: PanelAction['action'] }; result: null };
  dismissNotice: { params: { id: string }; result: null };
}

export type PanelRequestName = keyof PanelRequests;

/** All messages of the panel are requests. */
export type PanelToHost = {
  [Name in PanelRequestName]: {
    type: 'request';
    id: number;
    name: Name;
    params: PanelRequests[Name]['params'];
  };
}[PanelRequestName];
//#endregion

/** A new panel's inputs. */
export const defaultInputs: PanelInputs = {
  question: '',
  passageCount: 3,
  model: null,
  device: 'auto',
  precision: 'auto',
  tokenFile: null,
  k: 10,
  columns: defaultColumns.map((kind) => ({ kind })),
  settings: { maxNewTokens: 50, temperature: 0, longPrompt: 'keep-best', alternatives: 5 },
};

/** Whether answers that are there no longer belong to the inputs: a column more or less leaves the others as they are. */
export function changesAnswers(change: Partial<PanelInputs>): boolean {
  return Object.keys(change).some((field) => field !== 'columns');
}

/** The variant that a column choice stands for, given the slider's k. */
export function variantOf({ kind: method, ...numbers }: ColumnChoice, k: number): VariantId {
  return formatVariant({ method, ...(methodOf({ method }).rows && { k }), ...numbers });
}

/** The column choice that stands for a variant; one with the slider's k follows the slider. */
export function choiceOf(id: VariantId, sliderK: number): ColumnChoice {
  const { method: kind, ...numbers } = variantFrom(id);
  const { k, ...others } = numbers;
  return { kind, ...(k === sliderK && others.tokenFile === undefined ? others : numbers) };
}
