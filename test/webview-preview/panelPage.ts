/**
 * Opens a webview bundle in Chromium without VS Code: a page with the policy, the theme variables and the script
 * API that VS Code gives, and a host that answers every request. For tests and screenshots.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';
import { chromium, type Browser, type Page } from 'playwright-core';
import { themes, type ThemeName } from './themes.ts';

const root = resolve(import.meta.dirname, '../..');
const origin = 'http://panel.test';

/** The page's own view of what stands in for VS Code. */
declare global {
  interface Window {
    /** Requests that the panel has sent. */
    sent: { id: number; name: string; params: Record<string, unknown> }[];
    /** What the host answers to a request of a name instead of null; `error` makes it an error. */
    replies: Record<string, unknown>;
    /** Sent after `ready`. */
    firstState: unknown;
    hacked?: unknown;
    violations: string[];
  }
}

/** Where Chromium is; undefined if nowhere. */
export function findChromium(): string | undefined {
  return [
    process.env.CHROMIUM,
    '/usr/bin/chromium',
    '/usr/bin/chromium-browser',
    '/usr/bin/google-chrome',
  ].find((path) => path !== undefined && existsSync(path));
}

/** Bundles one entry of webview/ as the build script does, in memory. */
async function bundle(entry: string): Promise<{ script: string; style: string }> {
  const { outputFiles } = await build({
    entryPoints: { [entry]: join(root, 'webview', `${entry}.ts`) },
    bundle: true,
    write: false,
    outdir: join(root, 'dist/webview'),
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    logLevel: 'warning',
  });
  const text = (extension: string) => outputFiles.find(({ path }) => path.endsWith(extension))?.text ?? '';
  return { script: text('.js'), style: text('.css') };
}

const bundles = new Map<string, Promise<{ script: string; style: string }>>();

export interface PanelPageOptions {
  entry?: 'panel' | 'training';
  state: unknown;
  theme?: ThemeName;
  width?: number;
  height?: number;
}

export async function launchBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run'],
  });
}

/** Opens the panel in a page of its own and waits until it has drawn its first state. */
export async function openPanel(browser: Browser, options: PanelPageOptions): Promise<Page> {
  const { entry = 'panel', state, theme = 'dark', width = 1000, height = 900 } = options;
  const page = await browser.newPage({ viewport: { width, height } });
  if (!bundles.has(entry)) bundles.set(entry, bundle(entry));
  const { script, style } = await bundles.get(entry)!;
  await page.route('**/*', (route) => {
    const { pathname, origin: requested } = new URL(route.request().url());
    if (requested !== origin) return route.abort();
    if (pathname === '/panel.js') return route.fulfill({ contentType: 'text/javascript', body: script });
    if (pathname === '/panel.css') return route.fulfill({ contentType: 'text/css', body: style });
    return route.fulfill({ contentType: 'text/html', body: html(entry, theme) });
  });
  await page.addInitScript(standInForVsCode, state);
  await page.goto(origin);
  await page.waitForFunction(() => document.querySelector('main:not(.waiting) *') !== null);
  await settle(page);
  return page;
}

/** Sends a message of the host to the panel. */
export async function sendToPanel(page: Page, message: unknown): Promise<void> {
  await page.evaluate((data) => window.postMessage(data, '*'), message);
  await settle(page);
}

/** Requests that the panel has sent under a name. */
export async function sentRequests(page: Page, name: string): Promise<Record<string, unknown>[]> {
  return page.evaluate(
    (wanted) => window.sent.filter((request) => request.name === wanted).map(({ params }) => params),
    name,
  );
}

/** Waits until messages are delivered and drawn. */
export async function settle(page: Page): Promise<void> {
  await page.evaluate(
    () =>
      new Promise<void>((done) => {
        setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(() => done())), 0);
      }),
  );
}

/** Runs in the page before its script. */
function standInForVsCode(state: unknown): void {
  window.sent = [];
  window.replies = {};
  window.violations = [];
  window.firstState = state;
  document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => {
    window.violations.push(`${violatedDirective} ${blockedURI}`);
  });
  const reply = (message: { id: number; name: string }) => {
    if (message.name === 'ready') window.postMessage({ type: 'state', state: window.firstState }, '*');
    const result = window.replies[message.name] as { error?: unknown } | null | undefined;
    const { id } = message;
    if (result?.error) window.postMessage({ type: 'reply', id, ok: false, error: result.error }, '*');
    else window.postMessage({ type: 'reply', id, ok: true, result: result ?? null }, '*');
  };
  Object.assign(window, {
    acquireVsCodeApi: () => ({
      postMessage: (message: Window['sent'][number]) => {
        window.sent.push(message);
        setTimeout(() => reply(message), 0);
      },
      getState: () => JSON.parse(sessionStorage.getItem('state') ?? 'null') as unknown,
      setState: (stored: unknown) => sessionStorage.setItem('state', JSON.stringify(stored)),
    }),
  });
}

function html(entry: string, theme: ThemeName): string {
  const nonce = 'preview';
  const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src ${origin} 'unsafe-inline'; font-src ${origin}; img-src ${origin}`;
  const variables = Object.entries(themes[theme]).map(([name, value]) => `--vscode-${name}: ${value};`);
  const kind = { dark: 'vscode-dark', light: 'vscode-light', 'high-contrast': 'vscode-high-contrast' }[theme];
  return `<!doctype html>
<html lang="en" style='${variables.join(' ')}'>
<head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${entry}</title><link rel="stylesheet" href="/panel.css"></head>
<body class="${kind}" data-vscode-theme-kind="${kind}"><main id="${entry}"></main>
<script nonce="${nonce}" src="/panel.js"></script></body></html>`;
}
