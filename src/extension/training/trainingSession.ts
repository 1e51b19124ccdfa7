/** One training run, without VS Code: it is started, paused, resumed and stopped, and a panel may watch it. */
import { CancelledError, messageOf } from '../../protocol/errors.ts';
import type { TrainingEvent } from '../../protocol/training.ts';
import type {
  HostToTrainingPanel,
  TrainingPanelState,
  TrainingStatus,
} from '../../protocol/trainingPanel.ts';
import type { TrainingRunFile } from '../../protocol/trainingRun.ts';
import { Emitter } from '../event.ts';
import { applyEvent, readStoredRun, saveRun, type StoredRun } from './runFolders.ts';

/** What a session needs of the training engine. */
export interface TrainingServices {
  /** Trains until the run is done. */
  train: (
    folder: string,
    signal: AbortSignal,
    onEvents: (events: TrainingEvent[]) => void,
  ) => Promise<unknown>;
  /** Resolves when a cancelled run has saved its state. */
  settle: () => Promise<unknown>;
  /** Writes the best rows so far. */
  finish: (folder: string) => Promise<{ path: string | null }>;
}

export class TrainingSession {
  readonly folder: string;
  readonly #services: TrainingServices;
  #run: TrainingRunFile;
  #state: TrainingPanelState;
  #training: AbortController | null = null;
  #post: ((message: HostToTrainingPanel) => void) | null = null;
  readonly #changes = new Emitter<TrainingPanelState>();
  /** Fires after every change of the status and, while training, after every report. */
  readonly onDidChange = this.#changes.event;

  constructor({ folder, run, state }: StoredRun, services: TrainingServices) {
    this.folder = folder;
    this.#run = run;
    this.#state = state;
    this.#services = services;
  }

  get state(): TrainingPanelState {
    return this.#state;
  }

  get run(): TrainingRunFile {
    return this.#run;
  }

  /** Whether the engine works on it. */
  get busy(): boolean {
    return this.#training !== null;
  }

  /** Sends the state to a panel, and from now on what changes; null: the panel is gone. */
  connect(post: ((message: HostToTrainingPanel) => void) | null): void {
    this.#post = post;
    post?.({ type: 'state', state: this.#state });
  }

  /** Trains, or goes on; resolves when the run has ended, however it did. */
  async start(): Promise<void> {
    const { kind } = this.#state.status;
    if (this.#training || kind === 'done' || kind === 'stopped') return;
    const training = new AbortController();
    this.#training = training;
    this.#setStatus({ kind: 'preparing', message: 'Reading the data and loading the model' });
    try {
      await this.#services.train(this.folder, training.signal, (events) => this.#receive(events));
    } catch (error) {
      // A pause or a stop sets the status when the state is saved.
      if (!(error instanceof CancelledError)) this.#setStatus({ kind: 'failed', message: messageOf(error) });
    } finally {
      this.#training = null;
      this.#changes.fire(this.#state);
    }
  }

  /** Saves the state and lets the machine rest. */
  async pause(): Promise<void> {
    if (!this.#training) return;
    await this.#interrupt();
    if (this.#state.status.kind !== 'done') this.#setStatus({ kind: 'paused' });
  }

  /** Ends the run and keeps the best rows so far. */
  async stop(): Promise<void> {
    if (this.#training) await this.#interrupt();
    if (this.#state.status.kind === 'done') return;
    const { path } = await this.#services.finish(this.folder);
    this.#run = { ...this.#run, stopped: { path } };
    await saveRun(this.folder, this.#run);
    this.#setStatus({ kind: 'stopped', path });
  }

  async #interrupt(): Promise<void> {
    this.#setStatus({ kind: 'preparing', message: 'Saving the state' });
    this.#training?.abort();
    await this.#services.settle();
    // The last steps were reported to nobody; the log has them.
    const stored = await readStoredRun(this.folder);
    if (!stored) return;
    this.#state = stored.state;
    this.#post?.({ type: 'state', state: stored.state });
  }

  #receive(events: TrainingEvent[]): void {
    this.#state = events.reduce(applyEvent, this.#state);
    this.#post?.({ type: 'events', events });
    this.#changes.fire(this.#state);
  }

  #setStatus(status: TrainingStatus): void {
    this.#state = { ...this.#state, status };
    this.#post?.({ type: 'patch', patch: { status } });
    this.#changes.fire(this.#state);
  }
}
