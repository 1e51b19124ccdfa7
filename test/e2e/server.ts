/** VS Code's own server from the npm package code-server: install the VSIX into it, start it, end it. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

export const root = resolve(import.meta.dirname, '../..');
export const chromiumPath = process.env['CHROMIUM'] ?? '/usr/bin/chromium';
const serverMain = join(
  root,
  '.vscode-test/code-server/node_modules/code-server/lib/vscode/out/server-main.js',
);
/** Outside the checkout, so that the installed extension cannot lean on it. */
const home = join(tmpdir(), 'spring-rag-e2e');
export const extensionsFolder = join(home, 'extensions');

/** Without what a surrounding VS Code or test runner would pass on. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const foreign = /^(VSCODE_|ELECTRON_|npm_|NODE_OPTIONS)/;
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
}

/** Installs the VSIX of this machine's platform into a fresh extensions folder. */
export async function installExtension(): Promise<void> {
  rmSync(extensionsFolder, { recursive: true, force: true });
  mkdirSync(extensionsFolder, { recursive: true });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const vsix = join(root, `spring-rag-${process.platform}-${process.arch}-${version}.vsix`);
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      serverMain,
      ...['--install-extension', vsix, '--force', '--accept-server-license-terms'],
      ...['--extensions-dir', extensionsFolder, '--server-data-dir', join(home, 'install-data')],
    ],
    { env: cleanEnvironment() },
  );
  if (!stdout.includes('successfully installed')) throw new Error(`The VSIX was not installed: ${stdout}`);
}

export interface ServerOptions {
  /** User settings of the profile. */
  settings?: Record<string, unknown>;
  /** Ask whether a folder is trusted, as VS Code does by default; tests usually do not. */
  workspaceTrust?: boolean;
  /** Variables for the server and the extension host. */
  environment?: Record<string, string>;
}

export class VSCodeServer {
  readonly url: string;
  readonly dataFolder: string;
  readonly #process: ChildProcess;
  #output = '';

  private constructor(process: ChildProcess, url: string, dataFolder: string) {
    this.#process = process;
    this.url = url;
    this.dataFolder = dataFolder;
    for (const stream of [process.stdout, process.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
  }

  /** Starts a server with an empty profile. */
  static async start({
    settings = {},
    workspaceTrust = false,
    environment = {},
  }: ServerOptions = {}): Promise<VSCodeServer> {
    const port = await freePort();
    mkdirSync(home, { recursive: true });
    const dataFolder = mkdtempSync(join(home, 'profile-'));
    mkdirSync(join(dataFolder, 'user/User'), { recursive: true });
    const quiet = {
      'workbench.startupEditor': 'none',
      'security.workspace.trust.startupPrompt': 'never',
      'telemetry.telemetryLevel': 'off',
      'extensions.ignoreRecommendations': true,
      'files.simpleDialog.enable': true,
      'window.commandCenter': false,
      'workbench.secondarySideBar.defaultVisibility': 'hidden',
    };
    writeFileSync(join(dataFolder, 'user/User/settings.json'), JSON.stringify({ ...quiet, ...settings }));
    const child = spawn(
      process.execPath,
      [
        serverMain,
        ...['--host', '127.0.0.1', '--port', String(port), '--without-connection-token'],
        ...['--accept-server-license-terms', '--disable-telemetry', '--disable-experiments'],
        ...(workspaceTrust ? [] : ['--disable-workspace-trust']),
        ...['--enable-smoke-test-driver', '--extensions-dir', extensionsFolder],
        ...['--server-data-dir', join(dataFolder, 'server'), '--user-data-dir', join(dataFolder, 'user')],
      ],
      { env: { ...cleanEnvironment(), ...environment }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const server = new VSCodeServer(child, `http://127.0.0.1:${String(port)}`, dataFolder);
    await server.#isUp();
    return server;
  }

  async #isUp(): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const answered = await fetch(`${this.url}/version`).then(
        (response) => response.ok,
        () => false,
      );
      if (answered) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`VS Code's server did not start:\n${this.#output}`);
  }

  get processId(): number {
    return this.#process.pid ?? -1;
  }

  /** Ends the server and everything that it started, and removes its profile. */
  stop(): void {
    if (this.#process.pid !== undefined && this.#process.exitCode === null)
      process.kill(-this.#process.pid, 'SIGKILL');
    rmSync(this.dataFolder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}

function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      probe.close(() => resolvePort(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
