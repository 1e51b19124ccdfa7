/** Training runs on disk: one folder each, which outlives the window and the engine. */
import { copyFile, mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSmallFile } from '../../checkpoint/files.ts';
import { lockHolder } from '../../hub/lock.ts';
import { parseEvents, type TrainingEvent } from '../../protocol/training.ts';
import type { TrainingPanelState, TrainingStatus } from '../../protocol/trainingPanel.ts';
import { parseRun, runFiles, type TrainingRunFile } from '../../protocol/trainingRun.ts';

const mostRunBytes = 1024 ** 2;
/** Some hundred thousand steps. */
const mostEventBytes = 64 * 1024 ** 2;

export interface StoredRun {
  folder: string;
  run: TrainingRunFile;
  state: TrainingPanelState;
  /** The process that trained it ended in the middle: the window was closed, or it was killed. */
  interrupted: boolean;
}

/** Makes the folder of a new run with a copy of its data; the original may change while training goes on. */
export async function createRun(
  root: string,
  run: Omit<TrainingRunFile, 'version' | 'createdAt' | 'tokenFile'>,
  dataFile: string,
): Promise<string> {
  const createdAt = new Date().toISOString();
  const folder = join(root, createdAt.replace(/[:.]/g, '-'));
  await mkdir(folder, { recursive: true });
  await copyFile(dataFile, join(folder, runFiles.data));
  const name = run.modelName.replace(/[^\w.-]+/g, '-');
  const tokenFile = join(folder, `${name}-${run.settings.numTokens}-tokens.safetensors`);
  await saveRun(folder, { version: 1, createdAt, tokenFile, ...run });
  return folder;
}

export async function saveRun(folder: string, run: TrainingRunFile): Promise<void> {
  const file = join(folder, runFiles.run);
  await writeFile(`${file}.tmp`, `${JSON.stringify(run, null, 2)}\n`);
  await rename(`${file}.tmp`, file);
}

/** A run as its folder tells it; null if the folder holds none. */
export async function readStoredRun(folder: string): Promise<StoredRun | null> {
  let run: TrainingRunFile;
  try {
    const file = join(folder, runFiles.run);
    run = parseRun(await readSmallFile(file, mostRunBytes), file);
  } catch {
    return null; // not a run, one of a later version, or one that was being made when VS Code was closed
  }
  const events = parseEvents(
    await readSmallFile(join(folder, runFiles.events), mostEventBytes).catch(() => ''),
  );
  const state = events.reduce(applyEvent, initialState(run));
  if (state.status.kind !== 'done') {
    state.status = run.stopped ? { kind: 'stopped', path: run.stopped.path } : { kind: 'paused' };
  }
  const holder = await lockHolder(join(folder, runFiles.lock));
  const interrupted = state.status.kind === 'paused' && holder === 'killed';
  return { folder, run, state, interrupted };
}

/** All runs, the latest first. */
export async function storedRuns(root: string): Promise<StoredRun[]> {
  const names = await readdir(root).catch(() => []);
  const runs = await Promise.all(names.sort().map((name) => readStoredRun(join(root, name))));
  return runs.filter((run) => run !== null).reverse();
}

/** The panel of a run in which nothing has happened. */
export function initialState(run: TrainingRunFile): TrainingPanelState {
  return {
    version: 1,
    status: { kind: 'paused' },
    model: run.modelName,
    data: run.data,
    path: run.tokenFile,
    settings: run.settings,
    step: 0,
    steps: [],
    validations: [],
  };
}

/** What an event changes, as the panel's own copy of the state changes. */
export function applyEvent(state: TrainingPanelState, event: TrainingEvent): TrainingPanelState {
  switch (event.type) {
    case 'start': {
      const isKept = ({ step }: { step: number }): boolean => step <= event.step;
      const steps = state.steps.filter(isKept);
      const validations = state.validations.filter(isKept);
      return { ...state, status: { kind: 'running' }, step: event.step, steps, validations };
    }
    case 'step':
      state.steps.push(event);
      return { ...state, step: event.step };
    case 'validation':
      state.validations.push(event);
      return state;
    case 'saved':
      return state;
    case 'done': {
      const { step, writtenStep, reason } = event;
      return { ...state, step, status: { kind: 'done', writtenStep, reason } };
    }
  }
}

export function isUnfinished({ kind }: TrainingStatus): boolean {
  return kind === 'paused' || kind === 'failed';
}
