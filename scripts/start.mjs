/**
 * Opens a real VS Code on the sample workspace with this checkout's extension: the `code` on PATH if there is one,
 * else the code-server of the end-to-end tests, in the browser.
 *
 *     npm start [-- FOLDER]
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { install, serverMain } from '../test/e2e/install.mjs';

const root = resolve(import.meta.dirname, '..');
const folder = resolve(process.argv[2] ?? join(root, 'samples/workspace'));
const code = findCode();
if (code) {
  const values = ['--new-window', `--extensionDevelopmentPath=${root}`, folder];
  // On Windows it is a batch file: a shell must run it, which wants what may have spaces in quotes.
  const child =
    process.platform === 'win32'
      ? spawn([code, ...values].map((value) => `"${value}"`).join(' '), { stdio: 'inherit', shell: true })
      : spawn(code, values, { stdio: 'inherit' });
  child.on('exit', (status) => process.exit(status ?? 1));
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

/** The packed extension in a VS Code of its own, in the browser. */
function startServer() {
  const port = Number(process.env.PORT ?? 8765);
  const data = join(root, '.vscode-test/start');
  const extensions = join(data, 'extensions');
  mkdirSync(join(data, 'user/User'), { recursive: true });
  const settings = join(data, 'user/User/settings.json');
  if (!existsSync(settings)) writeFileSync(settings, JSON.stringify({ 'workbench.startupEditor': 'none' }));
  execFileSync(process.execPath, [join(root, 'scripts/package.mjs')], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const vsix = join(root, `spring-rag-${process.platform}-${process.arch}-${version}.vsix`);
  const common = ['--accept-server-license-terms', '--extensions-dir', extensions];
  const foreign = /^(VSCODE_|ELECTRON_|npm_|NODE_OPTIONS)/;
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)));
  // What these programs say is about native modules that are left out; it would hide the address below.
  const quiet = { stdio: 'ignore', env };
  const installation = [
    ...common,
    '--install-extension',
    vsix,
    '--force',
    '--server-data-dir',
    join(data, 'server'),
  ];
  execFileSync(process.execPath, [serverMain, ...installation], quiet);
  const server = spawn(
    process.execPath,
    [
      serverMain,
      ...common,
      ...['--host', '127.0.0.1', '--port', String(port), '--without-connection-token'],
      ...['--disable-telemetry', '--disable-workspace-trust'],
      ...['--server-data-dir', join(data, 'server'), '--user-data-dir', join(data, 'user')],
    ],
    quiet,
  );
  server.on('exit', (status) => process.exit(status ?? 1));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.kill());
  console.log(`Open http://127.0.0.1:${port}/?folder=${encodeURI(folder)}`);
  console.log('Ctrl+C ends it.');
}
