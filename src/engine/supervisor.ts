/**
 * Keeps one engine process alive (see docs/architecture.md): starts it on the first request, rejects everything
 * pending on any exit, starts it again with a growing delay, and after three crashes in a row leaves it down. A process
 * that is stuck is ended when something is cancelled. A file that ends processes is blamed for it (openFiles.ts).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { getPriority, setPriority } from 'node:os';
import {
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import type { EngineNotification, EngineRole } from '../protocol/engine.ts';
import { CancelledError } from '../protocol/errors.ts';
import {
  onNotification,
  type ParamsOf,
  type ProgressOf,
  type RequestName,
  type RequestOptions,
  type ResultOf,
  reacts,
  sendRequest,
} from './channel.ts';
import { blameOpenFiles, forgetOpenFiles } from './openFiles.ts';

/** The engine process ended, or is down: the request has no answer. Nothing is wrong with the request itself. */
export class EngineStoppedError extends Error {
  override readonly name: string = 'EngineStoppedError';
}

export type EngineState = 'stopped' | 'running' | 'restarting' | 'down';

export interface SupervisorOptions {
  /** The engine program, forked with the role as its first argument. */
  program: string;
  /** Further arguments for the program. */
  programArguments?: readonly string[];
  /** Added to the environment of this process. */
  environment?: Readonly<Record<string, string>>;
  /** Node to run it with; absent: the one that runs this. */
  execPath?: string | undefined;
  /**
   * After this long without a request the process is ended, which gives all of its memory back; the next request
   * starts another one. 0 or absent: never. Asked when a request has ended.
   */
  stopWhenIdleMs?: () => number;
  /** Where the process notes which files it is opening; it must be told of it in its arguments, too. */
  notesFolder?: string;
  /** How long a process may take no message after something was cancelled; default: by role. */
  reactionMs?: number;
  /** A process that has lived this long and crashes starts counting from one again. Default: a minute. */
  settledMs?: number;
  /** Delays before the 1st, 2nd, ... restart in a row; one more crash than delays leaves the process down. */
  restartDelaysMs?: readonly number[];
  /** Lines that the process writes and what the supervisor does. */
  log: (level: 'info' | 'warn' | 'error', message: string) => void;
  onStateChange?: (state: EngineState, message: string) => void;
  onNotification?: (notification: EngineNotification) => void;
}

/**
 * As os.setPriority counts them. The editor comes first: its event loop must not wait while all processors compute an
 * answer. Then what somebody waits for, which must get on beside a busy compiler too; then what takes hours.
 */
const priorities: Record<EngineRole, number> = { inference: 5, index: 5, training: 10 };

/** A pass through a large model takes its time, and while it runs no message is taken; a step of training even more. */
const defaultReactionMs: Record<EngineRole, number> = { inference: 30_000, index: 15_000, training: 120_000 };

const defaultRestartDelaysMs = [300, 1500];
const defaultSettledMs = 60_000;

interface Running {
  child: ChildProcess;
  connection: MessageConnection;
  /** Rejects when the process ends or is stopped. */
  ended: Promise<never>;
  end: (error: EngineStoppedError) => void;
  startedAt: number;
  /** Why it was ended from here. */
  endedBecause?: string;
}

export class EngineSupervisor<Role extends EngineRole> {
  readonly role: Role;
  readonly #options: SupervisorOptions;
  #running: Running | null = null;
  #strikes = 0;
  #state: EngineState = 'stopped';
  #restart: Promise<void> | null = null;
  #disposed = false;
  #pending = 0;
  #idleTimer: NodeJS.Timeout | undefined;
  /** Runs after every start, before other requests: what a fresh process must be told. */
  initialise: ((request: EngineSupervisor<Role>['request']) => Promise<void>) | undefined;
  #initialised: Promise<void> = Promise.resolve();

  constructor(role: Role, options: SupervisorOptions) {
    this.role = role;
    this.#options = options;
  }

  get state(): EngineState {
    return this.#state;
  }

  /** Process id, for diagnosis; undefined while no process runs. */
  get processId(): number | undefined {
    return this.#running?.child.pid;
  }

  /**
   * Sends a request, starting the process if needed.
   * @throws UserError, CancelledError, EngineStoppedError when the process ends before it has answered
   */
  readonly request = async <Name extends RequestName<Role>>(
    name: Name,
    params: ParamsOf<Role, Name>,
    options: RequestOptions<ProgressOf<Role, Name>> = {},
  ): Promise<ResultOf<Role, Name>> => {
    this.#pending += 1;
    clearTimeout(this.#idleTimer);
    try {
      const running = await this.#ready(options.signal);
      await Promise.race([this.#initialised, running.ended]);
      return await this.#send(running, name, params, options);
    } finally {
      this.#pending -= 1;
      if (this.#pending === 0) this.#waitForIdleness();
    }
  };

  #waitForIdleness(): void {
    const idleMs = this.#options.stopWhenIdleMs?.() ?? 0;
    if (idleMs <= 0 || this.#disposed) return;
    this.#idleTimer = setTimeout(() => {
      if (!this.#running) return;
      this.#stop('The engine was ended after its idle time.');
      this.#setState('stopped', 'Ended after its idle time.');
    }, idleMs);
  }

  async #send<Name extends RequestName<Role>>(
    running: Running,
    name: Name,
    params: ParamsOf<Role, Name>,
    options: RequestOptions<ProgressOf<Role, Name>>,
  ): Promise<ResultOf<Role, Name>> {
    const onAbort = (): void => void this.#endIfStuck(running);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const reply = sendRequest<Role, Name>(running.connection, name, params, options);
      return await Promise.race([reply, running.ended]);
    } finally {
      // A request that was cancelled rejects at once; whether the process stops its work is seen later.
      if (options.signal?.aborted !== true) options.signal?.removeEventListener('abort', onAbort);
    }
  }

  async #endIfStuck(running: Running): Promise<void> {
    const { reactionMs = defaultReactionMs[this.role] } = this.#options;
    if ((await reacts(running.connection, reactionMs)) || this.#running !== running) return;
    running.endedBecause = `did not react for ${reactionMs / 1000} seconds after a request was cancelled and was ended`;
    running.child.kill('SIGKILL');
  }

  /** Ends the process if it runs and forgets its crashes and files; the next request starts a new one. */
  restart(): void {
    this.#strikes = 0;
    this.#stop('The engine was restarted.');
    if (this.#options.notesFolder !== undefined) forgetOpenFiles(this.#options.notesFolder);
    if (!this.#disposed) this.#setState('stopped', 'Restarted.');
  }

  dispose(): void {
    this.#disposed = true;
    clearTimeout(this.#idleTimer);
    this.#stop('The engine was shut down.');
  }

  async #ready(signal: AbortSignal | undefined): Promise<Running> {
    if (signal?.aborted) throw new CancelledError();
    if (this.#restart) await this.#restart;
    if (this.#disposed) throw new EngineStoppedError('The engine was shut down.');
    if (this.#state === 'down') throw new EngineStoppedError(this.#downMessage());
    return this.#running ?? this.#start();
  }

  #start(): Running {
    const { program, programArguments = [], execPath, log } = this.#options;
    // Electron must behave as Node in the child; a debugger's arguments of the host are not for it.
    const child = fork(program, [this.role, ...programArguments], {
      execPath: execPath ?? process.execPath,
      execArgv: ['--disable-warning=ExperimentalWarning'],
      env: { ...process.env, ...this.#options.environment, ELECTRON_RUN_AS_NODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    giveWay(child, priorities[this.role]);
    for (const [stream, level] of [
      [child.stdout, 'info'],
      [child.stderr, 'warn'],
    ] as const) {
      stream?.setEncoding('utf8').on('data', (text: string) => log(level, `${this.role}: ${text.trimEnd()}`));
    }
    const connection = createMessageConnection(new IPCMessageReader(child), new IPCMessageWriter(child));
    const { promise: ended, reject } = Promise.withResolvers<never>();
    ended.catch(() => undefined);
    const running: Running = { child, connection, ended, end: reject, startedAt: Date.now() };
    onNotification(connection, 'log', (params) => this.#options.onNotification?.({ name: 'log', params }));
    onNotification(connection, 'modelChanged', (params) =>
      this.#options.onNotification?.({ name: 'modelChanged', params }),
    );
    // Writing to a dead process fails here; the exit that follows tells all that there is to tell.
    connection.onError(() => undefined);
    connection.listen();
    child.once('error', (error) => this.#onExit(running, `could not be started (${error.message})`));
    child.once('exit', (code, signal) =>
      this.#onExit(running, signal ? `was ended by ${signal}` : `ended with exit code ${String(code)}`),
    );
    this.#running = running;
    this.#setState('running', `Started (process ${String(child.pid)}).`);
    this.#initialised = this.initialise
      ? this.initialise((name, params, options) => this.#send(running, name, params, options ?? {}))
      : Promise.resolve();
    this.#initialised.catch(() => undefined);
    return running;
  }

  #onExit(running: Running, how: string): void {
    if (this.#running !== running) return;
    this.#running = null;
    running.connection.dispose();
    const { notesFolder, settledMs = defaultSettledMs } = this.#options;
    const delays = this.#options.restartDelaysMs ?? defaultRestartDelaysMs;
    const blamed = notesFolder === undefined ? [] : blameOpenFiles(notesFolder, running.child.pid);
    if (Date.now() - running.startedAt > settledMs) this.#strikes = 0;
    // A file's fault is not the engine's: what it may do again is bounded there.
    if (blamed.length === 0) this.#strikes += 1;
    const delay = delays[Math.max(0, this.#strikes - 1)];
    const opening = blamed.length === 0 ? '' : ` while it opened ${blamed.join(', ')}`;
    const what = `The ${this.role} engine ${running.endedBecause ?? how}${opening}`;
    if (delay === undefined) {
      this.#setState('down', this.#downMessage());
      running.end(new EngineStoppedError(`${what}. ${this.#downMessage()}`));
      return;
    }
    this.#setState('restarting', `${what}; it is started again.`);
    running.end(new EngineStoppedError(`${what}; it is being restarted. Nothing else was lost: try again.`));
    this.#restart = new Promise((resolve) => setTimeout(resolve, delay)).then(() => {
      this.#restart = null;
      if (!this.#disposed && !this.#running && this.#state === 'restarting') this.#start();
    });
  }

  #downMessage(): string {
    const crashes = (this.#options.restartDelaysMs ?? defaultRestartDelaysMs).length + 1;
    return `The ${this.role} engine crashed ${crashes} times in a row and stays down. See the log, then restart it.`;
  }

  #stop(message: string): void {
    const running = this.#running;
    this.#running = null;
    if (!running) return;
    running.end(new EngineStoppedError(message));
    running.connection.dispose();
    running.child.kill();
    this.#options.log('info', `${this.role}: ${message}`);
  }

  #setState(state: EngineState, message: string): void {
    this.#state = state;
    this.#options.log(state === 'down' ? 'error' : state === 'restarting' ? 'warn' : 'info', message);
    this.#options.onStateChange?.(state, message);
  }
}

/** Set from outside and at once, so that the threads which the process starts later inherit it. */
function giveWay({ pid }: ChildProcess, priority: number): void {
  if (pid === undefined) return;
  try {
    setPriority(pid, Math.max(priority, getPriority()));
  } catch {
    // It has ended already, which is told elsewhere, or it may not be done here: then all are equal.
  }
}
