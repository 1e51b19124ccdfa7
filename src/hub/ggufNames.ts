/** What the names of GGUF files tell: quantisation, parts of a split file, and which one a user means. */
import { posix } from 'node:path';
import { formatBytes } from './format.ts';
import { memoryFit, estimateFileMemory, type MachineMemory } from './memory.ts';

/** A model in one GGUF file, or in several parts. */
export interface GgufChoice<File extends { path: string }> {
  /** Of the first part; of the first that is there if that one is missing. With `/` between folders. */
  path: string;
  files: File[];
  /** The numbers of the parts that are not among the files. */
  missingParts: number[];
  /** As the name has it, upper case: `Q4_K_M`, `UD-Q4_K_XL`, `F16`; null where the name has none. */
  quantization: string | null;
}

const part = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;
const quantization =
  /(?<=^|[-._/])(?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|BF16|FP?16|FP?32|MXFP4(?:_MOE)?|NVFP4)(?=$|[-._/])/gi;
/** The vision part of a model, statistics of a quantisation, a tokenizer alone. */
const otherContent = /(^|[-._])(mmproj|imatrix|ggml-vocab)/i;
/** A split file has at most so many parts; a name that claims more is no part. */
const mostParts = 1000;

/** The quantisation in a file's name (or its folder's); null if there is none. */
export function quantizationInName(path: string): string | null {
  const { dir, name } = posix.parse(path.replace(part, '$1.gguf'));
  const found = name.match(quantization) ?? dir.match(quantization);
  return found?.at(-1)?.toUpperCase().replace(/^FP/, 'F') ?? null;
}

/** The name of a file without its folder, its ending and the number of its part. */
export function stemOf(path: string): string {
  return posix.basename(pathWithoutEnding(path));
}

/** A file's path without its ending and the number of its part. */
export function pathWithoutEnding(path: string): string {
  return path.replace(part, '$1').replace(/\.gguf$/i, '');
}

/** Whether the name is that of a GGUF file that may hold a language model. */
export function isGgufName(path: string): boolean {
  return /\.gguf$/i.test(path) && !otherContent.test(posix.basename(path));
}

/** The language models among files, parts put together, by path. */
export function ggufChoices<File extends { path: string }>(files: readonly File[]): GgufChoice<File>[] {
  const choices = new Map<string, { files: Map<number, File>; count: number }>();
  for (const file of files) {
    if (!isGgufName(file.path)) continue;
    const [, base = file.path, number = '1', count = '1'] = part.exec(file.path) ?? [];
    const isPart = base !== file.path && Number(number) >= 1 && Number(number) <= Number(count);
    const key = isPart && Number(count) <= mostParts ? `${base}-of-${count}` : file.path;
    const choice = choices.get(key) ?? { files: new Map(), count: key === file.path ? 1 : Number(count) };
    choice.files.set(key === file.path ? 1 : Number(number), file);
    choices.set(key, choice);
  }
  return [...choices.values()]
    .map(({ files: parts, count }) => {
      const numbers = Array.from({ length: count }, (_, index) => index + 1);
      const present = numbers.flatMap((number) => parts.get(number) ?? []);
      const { path } = present[0]!;
      const missingParts = numbers.filter((number) => !parts.has(number));
      return { path, files: present, missingParts, quantization: quantizationInName(path) };
    })
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** What to call a choice among the others of its repository: its quantisation, or its path if that is not its own. */
export function tagOf(
  choice: GgufChoice<{ path: string }>,
  all: readonly GgufChoice<{ path: string }>[],
): string {
  const { quantization: own, path } = choice;
  const shared = all.filter((other) => other.quantization === own).length > 1;
  return own === null || shared ? pathWithoutEnding(path) : own;
}

/** The choices that a tag means: a quantisation (`Q4_K_M`), a file's name or its path, whatever the case. */
export function matchingGgufs<File extends { path: string }>(
  choices: readonly GgufChoice<File>[],
  tag: string,
): GgufChoice<File>[] {
  const wanted = tag.toLowerCase().replace(/\.gguf$/, '');
  const of = (name: (choice: GgufChoice<File>) => string | null): GgufChoice<File>[] =>
    choices.filter(
      (choice) =>
        name(choice)
          ?.toLowerCase()
          .replace(/\.gguf$/, '') === wanted,
    );
  // A path means one file alone; a name, and a quantisation, perhaps several.
  for (const name of [
    ({ path }: GgufChoice<File>) => path,
    ({ path }: GgufChoice<File>) => pathWithoutEnding(path),
    ({ path }: GgufChoice<File>) => stemOf(path),
    ({ quantization: own }: GgufChoice<File>) => own,
  ]) {
    const found = of(name);
    if (found.length > 0) return found;
  }
  return [];
}

/** The largest choice that fits the machine's memory (with all its parts); undefined if none does. */
export function recommendedGguf<File extends { path: string; size: number }>(
  choices: readonly GgufChoice<File>[],
  memory: MachineMemory,
): GgufChoice<File> | undefined {
  return choices
    .filter(({ missingParts }) => missingParts.length === 0)
    .toSorted((a, b) => bytesOfChoice(b) - bytesOfChoice(a))
    .find((choice) => memoryFit(estimateFileMemory(bytesOfChoice(choice)), memory) === 'runs');
}

/** Bytes of all parts. */
export function bytesOfChoice({ files }: GgufChoice<{ path: string; size: number }>): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

/** One line for each choice: `owner/name:Q4_K_M, 105 MB (recommended)`. */
export function describeChoices(
  repository: string,
  choices: readonly GgufChoice<{ path: string; size: number }>[],
  memory: MachineMemory,
): string[] {
  const recommended = recommendedGguf(choices, memory);
  return choices.map((choice) => {
    const size = formatBytes(bytesOfChoice(choice));
    return `${repository}:${tagOf(choice, choices)}, ${size}${choice === recommended ? ' (recommended)' : ''}`;
  });
}
