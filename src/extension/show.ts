/**
 * Everything that VS Code's window shows goes through here: messages, progress, pickers, input boxes, the log. Texts may
 * hold names and contents of files, so none of them can be a link, a command or an icon (harmless.ts). eslint.config.js
 * keeps all other files from calling these functions of `vscode.window` themselves.
 */
import * as vscode from 'vscode';
import { escapeMarkdown, logText, plain } from './harmless.ts';

type Show = typeof vscode.window.showErrorMessage;

/** The function of VS Code with its text, and the details of a dialog, as they stand; buttons are our own texts. */
function harmless(show: Show): Show {
  return ((text: string, ...rest: unknown[]) =>
    (show as (...all: unknown[]) => unknown)(plain(text), ...rest.map(shownOptions))) as Show;
}

function shownOptions(value: unknown): unknown {
  const { detail } = (typeof value === 'object' && value !== null ? value : {}) as vscode.MessageOptions;
  return detail === undefined ? value : { ...(value as vscode.MessageOptions), detail: plain(detail) };
}

export const showInformation = harmless(vscode.window.showInformationMessage);
export const showWarning = harmless(vscode.window.showWarningMessage);
export const showError = harmless(vscode.window.showErrorMessage);

/** A notification (or a progress bar) while `work` goes on. */
export function withProgress<Result>(
  options: vscode.ProgressOptions,
  work: (
    progress: vscode.Progress<{ message?: string; increment?: number }>,
    token: vscode.CancellationToken,
  ) => Thenable<Result>,
): Thenable<Result> {
  const { title } = options;
  return vscode.window.withProgress(
    { ...options, ...(title !== undefined && { title: plain(title) }) },
    (progress, token) =>
      work(
        {
          report: ({ message: text, ...rest }) =>
            progress.report({ ...rest, ...(text !== undefined && { message: plain(text) }) }),
        },
        token,
      ),
  );
}

export function showStatus(text: string, milliseconds: number): void {
  vscode.window.setStatusBarMessage(plain(text), milliseconds);
}

/** An item as it is shown; icons are given as `iconPath`. Other fields stay what they are. */
export function shownItem<Item extends vscode.QuickPickItem>(item: Item): Item {
  const { label, description, detail } = item;
  return {
    ...item,
    label: plain(label),
    ...(description !== undefined && { description: plain(description) }),
    ...(detail !== undefined && { detail: plain(detail) }),
  };
}

/** A list to choose from; the item as it was given, or undefined if the user closed it. */
export function pickOne<Item extends vscode.QuickPickItem>(
  items: readonly Item[],
  options: vscode.QuickPickOptions,
): Promise<Item | undefined> {
  return pick(items, (shown) => vscode.window.showQuickPick(shown, texts(options)));
}

/** Like pickOne, for several. */
export async function pickMany<Item extends vscode.QuickPickItem>(
  items: readonly Item[],
  options: vscode.QuickPickOptions,
): Promise<Item[] | undefined> {
  const shown = items.map((given) => ({ ...shownItem(given), given }));
  const picked = await vscode.window.showQuickPick(shown, { ...texts(options), canPickMany: true });
  return picked?.map(({ given }) => given);
}

async function pick<Item extends vscode.QuickPickItem>(
  items: readonly Item[],
  show: (shown: (Item & { given: Item })[]) => Thenable<{ given: Item } | undefined>,
): Promise<Item | undefined> {
  return (await show(items.map((given) => ({ ...shownItem(given), given }))))?.given;
}

/** A picker whose items change; they must have gone through `shownItem`. */
export function makePick<Item extends vscode.QuickPickItem>(
  title: string,
  placeholder: string,
): vscode.QuickPick<Item> {
  const made = vscode.window.createQuickPick<Item>();
  made.title = plain(title);
  made.placeholder = plain(placeholder);
  return made;
}

export function askForText(options: vscode.InputBoxOptions): Thenable<string | undefined> {
  const { prompt, ...rest } = options;
  return vscode.window.showInputBox({
    ...texts(rest),
    ...(prompt !== undefined && { prompt: plain(prompt) }),
  });
}

function texts<Options extends { title?: string; placeHolder?: string }>(options: Options): Options {
  const { title, placeHolder } = options;
  return {
    ...options,
    ...(title !== undefined && { title: plain(title) }),
    ...(placeHolder !== undefined && { placeHolder: plain(placeHolder) }),
  };
}

/** Text as it stands, where VS Code reads a text as Markdown. */
export function markdownText(text: string): vscode.MarkdownString {
  return new vscode.MarkdownString(escapeMarkdown(text));
}

/** What is written by the extension and its engines. */
export type Log = Record<'info' | 'warn' | 'error', (text: string | Error) => void> &
  Record<'show' | 'dispose', () => void>;

export function makeLog(name: string): Log {
  const channel = vscode.window.createOutputChannel(name, { log: true });
  const written = (text: string | Error): string =>
    logText(typeof text === 'string' ? text : (text.stack ?? text.message));
  return {
    info: (text) => channel.info(written(text)),
    warn: (text) => channel.warn(written(text)),
    error: (text) => channel.error(written(text)),
    show: () => channel.show(),
    dispose: () => channel.dispose(),
  };
}
