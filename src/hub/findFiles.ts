/** Finding files below a folder that other programs fill: bounded, and never failing for one bad name. */
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** Names looked at below one folder at most. */
const mostNames = 50_000;

/** A file below a folder. */
export interface FoundFile {
  /** Below the folder, with `/`. */
  path: string;
  size: number;
}

/**
 * The files below a folder whose names pass, links followed, at most `depth` folders deep. What cannot be read,
 * dangling links, loops and everything that is no file are left out.
 */
export async function findFiles(
  folder: string,
  depth: number,
  passes: (name: string) => boolean,
): Promise<FoundFile[]> {
  const found: FoundFile[] = [];
  const seen = new Set<string>();
  let names = 0;
  const visit = async (relative: string, left: number): Promise<void> => {
    const here = join(folder, relative);
    const real = await realpath(here).catch(() => undefined);
    if (real === undefined || seen.has(real)) return;
    seen.add(real);
    const entries = await readdir(here, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (++names > mostNames) return;
      const path = relative === '' ? entry.name : `${relative}/${entry.name}`;
      const mayBeFolder = entry.isDirectory() || entry.isSymbolicLink();
      if (!passes(entry.name) && !(mayBeFolder && left > 0)) continue;
      const stats = await stat(join(folder, path)).catch(() => undefined);
      if (stats?.isDirectory() === true && left > 0) await visit(path, left - 1);
      else if (stats?.isFile() === true && passes(entry.name)) found.push({ path, size: stats.size });
    }
  };
  await visit('', depth);
  return found;
}
