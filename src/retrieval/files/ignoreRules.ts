/** Which files the user does not want: .gitignore, .springignore and exclude globs. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import ignore, { type Ignore } from 'ignore';
import picomatch from 'picomatch';

/** Never documents of the user, even where no ignore file says so. */
const alwaysExcluded = ['git', 'svn', 'hg', 'venv'].map((name) => `**/.${name}`).concat('**/node_modules');

/** The rules of one ignore file; they speak of paths below its folder. */
interface RuleFile {
  /** Absolute. */
  folder: string;
  rules: Ignore;
}

/**
 * The ignore rules that hold in one folder, those of the folders above included. Immutable: `enter` gives the rules
 * of a folder below.
 */
export class IgnoreRules {
  readonly #files: readonly RuleFile[];
  readonly #excluded: (path: string) => boolean;
  readonly #root: string;
  readonly #names: readonly string[];

  private constructor(
    root: string,
    names: readonly string[],
    excluded: (path: string) => boolean,
    files: readonly RuleFile[],
  ) {
    this.#root = root;
    this.#names = names;
    this.#excluded = excluded;
    this.#files = files;
  }

  /** The rules at the top of a workspace folder: also those of the git repository that it lies in. */
  static async forRoot(
    root: string,
    settings: { useGitignore: boolean; exclude: readonly string[] },
  ): Promise<IgnoreRules> {
    const names = [...(settings.useGitignore ? ['.gitignore'] : []), '.springignore'];
    const excluded = picomatch([...alwaysExcluded, ...settings.exclude], { dot: true });
    let files: readonly RuleFile[] = [];
    const repository = settings.useGitignore ? await repositoryAbove(root) : undefined;
    if (repository !== undefined) {
      files = await withFile(files, repository, join(repository, '.git', 'info', 'exclude'));
      for (const folder of foldersBetween(repository, root)) {
        files = await withFile(files, folder, join(folder, '.gitignore'));
      }
    }
    return new IgnoreRules(root, names, excluded, files).enter(root);
  }

  /** The rules inside `folder` (absolute), which is the root or lies in the folder of these rules. */
  async enter(folder: string): Promise<IgnoreRules> {
    let files = this.#files;
    for (const name of this.#names) files = await withFile(files, folder, join(folder, name));
    return files === this.#files ? this : new IgnoreRules(this.#root, this.#names, this.#excluded, files);
  }

  /** Whether the file or folder at an absolute path is left out. A later, deeper rule wins, as in git. */
  ignores(path: string, isFolder: boolean): boolean {
    if (this.#excluded(toSlashes(relative(this.#root, path)))) return true;
    let ignored = false;
    for (const { folder, rules } of this.#files) {
      const inside = toSlashes(relative(folder, path));
      const verdict = rules.test(isFolder ? `${inside}/` : inside);
      if (verdict.ignored) ignored = true;
      else if (verdict.unignored) ignored = false;
    }
    return ignored;
  }
}

/** `files` and, if it is there, the ignore file `file`, whose rules speak of `folder`. */
async function withFile(
  files: readonly RuleFile[],
  folder: string,
  file: string,
): Promise<readonly RuleFile[]> {
  try {
    return [...files, { folder, rules: ignore().add(await readFile(file, 'utf8')) }];
  } catch {
    return files; // None here, or not readable: then there are no rules to follow.
  }
}

/** Names of the files that hold rules; a change of one means a new look at everything. */
export const ignoreFileNames: readonly string[] = ['.gitignore', '.springignore'];

async function repositoryAbove(folder: string): Promise<string | undefined> {
  for (let current = folder; ; current = dirname(current)) {
    try {
      await stat(join(current, '.git'));
      return current;
    } catch {
      if (dirname(current) === current) return undefined;
    }
  }
}

/** `top` and the folders below it on the way to `bottom`, `bottom` left out. */
function foldersBetween(top: string, bottom: string): string[] {
  const folders: string[] = [];
  for (let folder = bottom; folder !== top; folder = dirname(folder)) folders.unshift(dirname(folder));
  return folders;
}

export function toSlashes(path: string): string {
  return sep === '/' ? path : path.replaceAll(sep, '/');
}
