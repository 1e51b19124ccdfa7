/**
 * Opens a real VS Code on the sample workspace with this checkout's extension: the `code` on PATH if there is one,
 * else the code-server of the end-to-end tests, in the browser.
 *
 *     npm start [-- FOLDER]
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { install, serverMain } from '../test/e2e/install.mjs';

const root = resolve(import.meta.dirname, '..');
const folder = resolve(process.argv[2] ?? join(root, 'samples/workspace'));
const code = findCode();
if (code) {
  spawn(code, ['--new-window', `--extensionDevelopmentPath=${root}`, folder], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
} else {
  install();
  startServer();
}

/** Path of VS Code's command, or undefined. */
function findCode() {
  const locate = process.platform === 'win32' ? 'where' : 'which';
  try {
    return execFileSync(locate, ['code'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split(
      /\r?\n/,
    )[0];
  } catch {
    return undefined;
  }
}

function startServer() {
  const port = Number(process.env.PORT ?? 8765);
  const data = join(root, '.vscode-test/start');
  mkdirSync(join(data, 'extensions'), { recursive: true });
  const foreign = /^(VSCODE_|ELECTRON_|npm_|NODE_OPTIONS)/;
  const server = spawn(
    process.execPath,
    [
      serverMain,
      ...['--host', '127.0.0.1', '--port', String(port), '--without-connection-token'],
      ...['--accept-server-license-terms', '--disable-telemetry'],
      ...['--server-data-dir', join(data, 'server'), '--user-data-dir', join(data, 'user')],
      ...['--extensions-dir', join(data, 'extensions')],
    ],
    {
      stdio: ['ignore', 'ignore', 'inherit'],
      env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name))),
    },
  );
  server.on('exit', (status) => process.exit(status ?? 1));
  const host = `127.0.0.1:${port}`;
  const payload = JSON.stringify([['extensionDevelopmentPath', `vscode-remote://${host}${root}`]]);
  console.log(`Open http://${host}/?folder=${encodeURI(folder)}&payload=${encodeURIComponent(payload)}`);
  console.log('Ctrl+C ends it.');
}
