/** Where entries of the list lie that are folders and no repositories. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { expandHome } from './environment.ts';
import type { CatalogueEntry } from './types.ts';

/** The folder of an entry that lies in a folder: relative ones in the extension (or repository). */
export function entryFolder(entry: CatalogueEntry, options: { extensionFolder?: string }): string {
  const folder = expandHome(entry.folder ?? '');
  if (isAbsolute(folder)) return folder;
  return join(options.extensionFolder ?? nearestFolderWith(folder), folder);
}

/** The bundle lies in dist/, the source in src/hub/: both have media/ in a folder above. */
function nearestFolderWith(relative: string): string {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, relative)) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}
