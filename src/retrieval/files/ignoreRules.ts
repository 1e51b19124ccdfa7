/** Which files the user does not want: .gitignore, .springignore and exclude globs. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { platform } from 'node:process';
import { globMatcher, pathMatcher, type PathMatcher } from './glob.ts';

/** Never documents of the user, even where no ignore file says so. */
const alwaysExcluded = ['git', 'svn', 'hg', 'venv'].map((name) => `**/.${name}`).concat('**/node_modules');

/** One line of an ignore file. */
interface Rule {
  matches: PathMatcher;
  foldersOnly: boolean;
  /** `!pattern`: brings back what a rule before left out. */
  bringsBack: boolean;
}

/** The rules of one ignore file; they speak of paths below its folder. */
interface RuleFile {
  /** Absolute. */
  folder: string;
  rules: readonly Rule[];
}

/** More rules, or longer ones, than anybody writes are not read. */
const longestFile = 1024 * 1024;
const longestRule = 4096;

/**
 * The ignore rules that hold in one folder, those of the folders above included. Immutable: `enter` gives the rules
 * of a folder below.
 */
export class IgnoreRules {
  readonly #files: readonly RuleFile[];
  readonly #excluded: (path: string) => boolean;
  readonly #root: string;
  readonly #names: readonly string[];
  readonly #ignoreCase: boolean;

  private constructor(
    root: string,
    names: readonly string[],
    ignoreCase: boolean,
    excluded: (path: string) => boolean,
    files: readonly RuleFile[],
  ) {
    this.#root = root;
    this.#names = names;
    this.#ignoreCase = ignoreCase;
    this.#excluded = excluded;
    this.#files = files;
  }

  /** The rules at the top of a workspace folder: also those of the git repository that it lies in. */
  static async forRoot(
    root: string,
    settings: { useGitignore: boolean; exclude: readonly string[] },
  ): Promise<IgnoreRules> {
    const names = [...(settings.useGitignore ? ['.gitignore'] : []), '.springignore'];
    const excluded = globMatcher([...alwaysExcluded, ...settings.exclude]);
    let files: readonly RuleFile[] = [];
    const repository = settings.useGitignore ? await repositoryAbove(root) : undefined;
    const ignoreCase = await ignoresCase(repository);
    if (repository !== undefined) {
      files = await withFile(files, repository, join(repository, '.git', 'info', 'exclude'), ignoreCase);
      for (const folder of foldersBetween(repository, root)) {
        files = await withFile(files, folder, join(folder, '.gitignore'), ignoreCase);
      }
    }
    return new IgnoreRules(root, names, ignoreCase, excluded, files).enter(root);
  }

  /** The rules inside `folder` (absolute), which is the root or lies in the folder of these rules. */
  async enter(folder: string): Promise<IgnoreRules> {
    let files = this.#files;
    for (const name of this.#names) {
      files = await withFile(files, folder, join(folder, name), this.#ignoreCase);
    }
    if (files === this.#files) return this;
    return new IgnoreRules(this.#root, this.#names, this.#ignoreCase, this.#excluded, files);
  }

  /**
   * Whether the file or folder at an absolute path is left out, in a folder that is not. A later, deeper rule wins, as
   * in git.
   */
  ignores(path: string, isFolder: boolean): boolean {
    if (this.#excluded(toSlashes(relative(this.#root, path)))) return true;
    for (const { folder, rules } of this.#files.toReversed()) {
      const names = toSlashes(relative(folder, path)).split('/');
      const last = rules.findLast((rule) => (isFolder || !rule.foldersOnly) && rule.matches(names));
      if (last) return !last.bringsBack;
    }
    return false;
  }
}

/** The rules of an ignore file's text, in its order. */
export function parseIgnoreFile(text: string, ignoreCase: boolean): Rule[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .flatMap((line) => ruleOf(line, ignoreCase) ?? []);
}

function ruleOf(line: string, ignoreCase: boolean): Rule | undefined {
  if (line.startsWith('#') || line.length > longestRule) return undefined;
  const bringsBack = line.startsWith('!');
  let pattern = withoutTrailingSpaces(bringsBack ? line.slice(1) : line);
  const foldersOnly = pattern.endsWith('/');
  if (foldersOnly) pattern = pattern.slice(0, -1);
  if (pattern === '') return undefined;
  const isAnchored = pattern.includes('/');
  const names = (pattern.startsWith('/') ? pattern.slice(1) : pattern).split('/');
  if (!isAnchored) names.unshift('**');
  // a/** is what lies in a, not a itself.
  if (names.length > 1 && names.at(-1) === '**') names.push('*');
  return { matches: pathMatcher(names, ignoreCase), foldersOnly, bringsBack };
}

/** A space at the end counts only behind a backslash. */
function withoutTrailingSpaces(pattern: string): string {
  const trimmed = pattern.trimEnd();
  return trimmed.endsWith('\\') && trimmed.length < pattern.length ? `${trimmed} ` : trimmed;
}

/** Whether git takes `Build` for `build` here: what the repository says, else what file systems of the platform do. */
async function ignoresCase(repository: string | undefined): Promise<boolean> {
  const config =
    repository === undefined
      ? ''
      : await readFile(join(repository, '.git', 'config'), 'utf8').catch(() => '');
  const said = /^\s*ignorecase\s*(?:=\s*(\w+))?\s*$/im.exec(config);
  if (said) return !/^(?:false|no|off|0)$/i.test(said[1] ?? 'true');
  return repository === undefined && (platform === 'win32' || platform === 'darwin');
}

/** `files` and, if it is there, the ignore file `file`, whose rules speak of `folder`. */
async function withFile(
  files: readonly RuleFile[],
  folder: string,
  file: string,
  ignoreCase: boolean,
): Promise<readonly RuleFile[]> {
  try {
    if ((await stat(file)).size > longestFile) return files;
    return [...files, { folder, rules: parseIgnoreFile(await readFile(file, 'utf8'), ignoreCase) }];
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
