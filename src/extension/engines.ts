/** The engine processes of this window. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as vscode from 'vscode';
import { type EngineState, EngineSupervisor, type SupervisorOptions } from '../engine/supervisor.ts';
import type { EngineRole } from '../protocol/engine.ts';
import { setting } from './settings.ts';
import { type Log } from './show.ts';

export class Engines implements vscode.Disposable {
  readonly inference: EngineSupervisor<'inference'>;
  readonly index: EngineSupervisor<'index'>;
  readonly training: EngineSupervisor<'training'>;
  readonly #notesFolder = mkdtempSync(join(tmpdir(), 'spring-rag-'));
  readonly #states = new vscode.EventEmitter<{ role: EngineRole; state: EngineState; message: string }>();
  readonly #modelChanges = new vscode.EventEmitter<string>();
  /** A process started, crashed, or stays down. */
  readonly onDidChangeState = this.#states.event;
  /** The model moved to another device without being asked to. */
  readonly onDidChangeModel = this.#modelChanges.event;

  /** @param entriesFile the user's entries of the list of models */
  constructor(extensionUri: vscode.Uri, log: Log, entriesFile: string) {
    const notesFolder = this.#notesFolder;
    const options = (role: EngineRole): SupervisorOptions => ({
      program: vscode.Uri.joinPath(extensionUri, 'dist', 'engine.mjs').fsPath,
      programArguments: [JSON.stringify({ extensionFolder: extensionUri.fsPath, notesFolder })],
      notesFolder,
      // The index is small and watched; models are not.
      ...(role !== 'index' && { stopWhenIdleMs: () => setting('engine.idleUnloadMinutes') * 60_000 }),
      environment: { SPRING_MODELS: entriesFile },
      execPath: setting('engine.nodePath') || undefined,
      log: (level, message) => log[level](message),
      onStateChange: (state, message) => this.#states.fire({ role, state, message }),
      onNotification: ({ name, params }) => {
        if (name === 'log') log[params.level](`${role}: ${params.message}`);
        else this.#modelChanges.fire(params.message);
      },
    });
    this.inference = new EngineSupervisor('inference', options('inference'));
    this.index = new EngineSupervisor('index', options('index'));
    this.training = new EngineSupervisor('training', options('training'));
  }

  restart(): void {
    this.inference.restart();
    this.index.restart();
    this.training.restart();
  }

  dispose(): void {
    this.inference.dispose();
    this.index.dispose();
    this.training.dispose();
    rmSync(this.#notesFolder, { recursive: true, force: true });
    this.#states.dispose();
    this.#modelChanges.dispose();
  }
}
