/**
 * The contract between the extension host and the training panel (webview). As in panel.ts the host owns the state:
 * it sends it whole after `ready`, replaces fields by `patch` and appends what training reports by `events`. Every
 * request of the panel gets exactly one reply.
 *
 * The page: `webview/training.ts` is bundled to dist/webview/training.js and training.css; the rest is as in
 * panel.ts, with `<main id="training"></main>`.
 */
import type { PanelError } from './panel.ts';
import type { TrainingEvent, TrainingSettings, TrainingStep, TrainingValidation } from './training.ts';

export interface TrainingPanelState {
  version: 1;
  status: TrainingStatus;
  /** For people: the model's name. */
  model: string;
  /** The data file, as shown to people. */
  data: string;
  /** Where the virtual tokens go. */
  path: string;
  settings: TrainingSettings;
  /** Steps done, those before a resume included. */
  step: number;
  /** What has been reported so far, in order. */
  steps: TrainingStep[];
  validations: TrainingValidation[];
}

export type TrainingStatus =
  /** Reading the data, loading the model. */
  | { kind: 'preparing'; message: string }
  | { kind: 'running' }
  /** The state is saved; `resume` goes on from it, also after VS Code was closed. */
  | { kind: 'paused' }
  /** The user ended it; the best rows so far are in the file if `path` is not null. */
  | { kind: 'stopped'; path: string | null }
  | { kind: 'done'; writtenStep: number; reason: 'finished' | 'early stop' }
  | { kind: 'failed'; message: string };

export type HostToTrainingPanel =
  | { type: 'state'; state: TrainingPanelState }
  /** Each field present replaces the state's field of that name. */
  | { type: 'patch'; patch: Partial<TrainingPanelState> }
  /**
   * Steps and validations are appended, `start` drops what an interrupted run reported after the state that it is
   * resumed from, `done` becomes the status. Sent at most ten times a second, several together.
   */
  | { type: 'events'; events: TrainingEvent[] }
  | { type: 'reply'; id: number; ok: true; result: null }
  | { type: 'reply'; id: number; ok: false; error: PanelError };

/** Every request of the panel: its parameters and its reply. */
export interface TrainingPanelRequests {
  /** The panel's script runs and listens; answered by a `state` message, then the reply. */
  ready: { params: Record<string, never>; result: null };
  /** Saves the state and lets the machine rest. */
  pause: { params: Record<string, never>; result: null };
  resume: { params: Record<string, never>; result: null };
  /** Ends the run and keeps the best rows so far. */
  stop: { params: Record<string, never>; result: null };
  /** Opens a comparison with the trained file selected. */
  use: { params: Record<string, never>; result: null };
  showLog: { params: Record<string, never>; result: null };
}

export type TrainingPanelToHost = {
  [Name in keyof TrainingPanelRequests]: {
    type: 'request';
    id: number;
    name: Name;
    params: TrainingPanelRequests[Name]['params'];
  };
}[keyof TrainingPanelRequests];
