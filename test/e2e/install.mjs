/**
 * Puts a complete VS Code (server and workbench, from the npm package code-server) into .vscode-test/code-server.
 * Does nothing when it is there already. No compiler is needed: native modules are left out, which costs log
 * noise alone.
 *
 *     node test/e2e/install.mjs
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const version = '4.139.1';
const root = resolve(import.meta.dirname, '../../.vscode-test/code-server');
const vscode = join(root, 'node_modules/code-server/lib/vscode');
const stamp = join(root, 'installed');

/** Path of VS Code's server program. */
export const serverMain = join(vscode, 'out/server-main.js');

/** Installs once; throws if npm fails. */
export function install() {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === version) return;
  console.log(`Installing code-server ${version} into .vscode-test/code-server (once, about 800 MB) ...`);
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  writeFileSync(
    join(root, 'package.json'),
    JSON.stringify({ private: true, dependencies: { 'code-server': version } }),
  );
  npm(['install', '--ignore-scripts'], root);
  // Its shrinkwrap files are out of step with its package.json files, so `npm ci` would fail here.
  npm(['install', '--omit=dev', '--ignore-scripts'], vscode);
  npm(['install', '--omit=dev', '--ignore-scripts'], join(vscode, 'extensions'));
  writeFileSync(stamp, version);
}

function npm(args, cwd) {
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    stdio: ['ignore', 'inherit', 'inherit'],
    // The configuration of the calling npm run (its --prefix among it) must not reach these.
    env: Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('npm_'))),
  });
}

if (process.argv[1] === import.meta.filename) install();
