/** How an embedding file is called in the id of a variant: `tokens` in `spring:50@tokens`. */

interface LabelledFile {
  path: string;
  sha256: string;
}

/** The files' labels: their names without extension, and for files of one name the beginning of their hashes too. */
export function tokenFileLabels(files: readonly LabelledFile[]): string[] {
  return files.map((file) => {
    const name = nameOf(file);
    const isTaken = files.some((other) => nameOf(other) === name && other.sha256 !== file.sha256);
    return isTaken ? hashedName(file) : name;
  });
}

/** The file that a label means. A label with a hash means its file also where no other has the name. */
export function fileOfLabel<File extends LabelledFile>(
  files: readonly File[],
  label: string,
): File | undefined {
  const labels = tokenFileLabels(files);
  return files.find((file, index) => labels[index] === label || hashedName(file) === label);
}

function hashedName(file: LabelledFile): string {
  return `${nameOf(file)}~${file.sha256.slice(0, 8)}`;
}

/** What stands in ids and lists of them: no commas, no `@`, no spaces. */
function nameOf({ path }: LabelledFile): string {
  const name = path.split(/[\\/]/).findLast((part) => part !== '') ?? path;
  return name
    .replace(/\.(pt|bin|safetensors)$/, '')
    .replaceAll(/[^\p{L}\p{N}._-]/gu, '-')
    .slice(0, 100);
}
