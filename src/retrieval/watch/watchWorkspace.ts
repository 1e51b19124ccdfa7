import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { watch } from 'chokidar';
import { CancelledError, messageOf } from '../../protocol/errors.ts';
import { ignoreFileNames, IgnoreRules, toSlashes } from '../files/ignoreRules.ts';
import type { IndexProgress } from '../types.ts';
import type { WorkspaceIndex } from '../workspaceIndex.ts';
import { ChangeQueue } from './changeQueue.ts';

export interface WatchOptions {
  /** Ends the watching. */
  signal: AbortSignal;
  onProgress?: (progress: IndexProgress) => void;
  /** An update that failed; the watching goes on. */
  onError?: (message: string) => void;
  /** Called when changes from now on are seen. */
  onReady?: () => void;
  /** Milliseconds; see ChangeQueue. */
  quiet?: number;
  atMost?: number;
  many?: number;
}

/**
 * Follows the changes in folders and keeps the index up to date, until the signal fires. Events come from the file
 * system; an editor that has a watcher of its own uses ChangeQueue with WorkspaceIndex.updateFiles instead.
 */
export async function watchWorkspace(
  index: WorkspaceIndex,
  folders: readonly string[],
  options: WatchOptions,
): Promise<void> {
  const { signal, onProgress, onError, onReady, quiet = 500, atMost = 5000, many = 200 } = options;
  const roots = await Promise.all(folders.map((folder) => realpath(folder)));
  const drain = async (updates: AsyncIterable<IndexProgress>) => {
    for await (const progress of updates) onProgress?.(progress);
  };
  const queue = new ChangeQueue({
    ...{ quiet, atMost, many },
    update: async (files) => {
      try {
        if (!files) await drain(index.update(roots, { signal }));
        for (const root of files ? roots : []) {
          const inside = files!.filter((file) => file.startsWith(join(root, '/')));
          if (inside.length > 0) await drain(index.updateFiles(root, inside, { signal }));
        }
      } catch (error) {
        if (!(error instanceof CancelledError)) onError?.(messageOf(error));
      }
    },
  });
  const rules = await Promise.all(roots.map((root) => IgnoreRules.forRoot(root, index.settings)));
  const watcher = watch(roots, {
    ignoreInitial: true,
    // Only the rules at the top: they keep the large folders (node_modules, build output) from being watched. What
    // deeper rules leave out is sorted out by the update.
    ignored: (path) => isIgnoredAtTop(path, roots, rules),
  });
  watcher.on('all', (_event, path) => queue.add(path));
  watcher.on('error', (error) => onError?.(messageOf(error)));
  if (onReady) watcher.on('ready', onReady);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await watcher.close();
  await queue.close();
}

function isIgnoredAtTop(path: string, roots: readonly string[], rules: readonly IgnoreRules[]): boolean {
  const index = roots.findIndex((root) => path.startsWith(join(root, '/')));
  if (index === -1 || ignoreFileNames.some((name) => path.endsWith(name))) return false;
  const names = toSlashes(path.slice(roots[index]!.length + 1)).split('/');
  const above = names.slice(0, -1).map((_, place) => join(roots[index]!, ...names.slice(0, place + 1)));
  const isIgnored = (each: string, isFolder: boolean) => rules[index]!.ignores(each, isFolder);
  return above.some((folder) => isIgnored(folder, true)) || isIgnored(path, false) || isIgnored(path, true);
}
