/** Which variants a list such as `no-rag,baseline,spring:10@tokens` asks for. */
import { basename } from 'node:path';
import { readVirtualTokens, type VirtualTokens } from '../checkpoint/virtualTokens.ts';
import { resolveTokenFile } from '../hub/resolve.ts';
import { UserError } from '../protocol/errors.ts';
import {
  expandVariants,
  formatVariant,
  methodOf,
  parseVariant,
  variantHelp,
  type RowsAxis,
  type Variant,
  type VariantId,
} from '../protocol/methods.ts';
import { fileOfLabel, tokenFileLabels } from '../protocol/tokenFileLabels.ts';

/** An embedding file of a comparison. */
export interface ChosenTokenFile {
  /** In ids of variants. */
  label: string;
  /** As the user named it. */
  given: string;
  /** Absolute path. */
  path: string;
  sha256: string;
  tokens: VirtualTokens;
}

/**
 * Reads embedding files; one that is given twice counts once.
 * @throws UserError if one is missing or cannot be used
 */
export async function openTokenFiles(given: readonly string[]): Promise<ChosenTokenFile[]> {
  const files = new Map<string, Omit<ChosenTokenFile, 'label'>>();
  for (const name of given) {
    const path = await resolveTokenFile(name);
    if (files.has(path)) continue;
    const tokens = await readVirtualTokens(path);
    files.set(path, { given: name, path, sha256: tokens.sha256, tokens });
  }
  const labels = tokenFileLabels([...files.values()]);
  return [...files.values()].map((file, index) => ({ ...file, label: labels[index]! }));
}

export interface VariantChoices {
  /** Those of the comparison. With one, variants that name none mean it; with several, they mean each. */
  files?: readonly ChosenTokenFile[];
  /** The k that variants without a number stand for; default: all rows of their file. */
  k?: readonly number[] | undefined;
}

/**
 * Reads a list of variants, written out and each once.
 * @throws UserError for a name that is none, an embedding file that is not among those given, or virtual tokens without
 *   their number where there is no file to take it from, or more than their file has
 */
export function parseVariants(list: string, choices: VariantChoices = {}): VariantId[] {
  const { files = [], k } = choices;
  const wanted = list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
    .map((name) => readVariant(name, files));
  return writeOut(wanted, files, k);
}

/** The variants of some methods, as parseVariants reads them. */
export function writeOut(
  wanted: readonly Variant[],
  files: readonly ChosenTokenFile[],
  k?: readonly number[],
): VariantId[] {
  const several = files.length > 1;
  const axes = files.map((file): RowsAxis => ({
    tokenFile: several ? file.label : undefined,
    k: k ?? [file.tokens.count],
  }));
  const ids = wanted.flatMap((variant) => {
    const expanded = expandVariants([variant], axes.length > 0 ? axes : [{ k: k ?? [] }]);
    for (const written of expanded) checkCount(written, files);
    if (expanded.length > 0) return expanded.map(formatVariant);
    throw new UserError(
      `The variant ${formatVariant(variant)} needs virtual tokens: give their file with --tokens.`,
    );
  });
  return [...new Set(ids)];
}

function checkCount(variant: Variant, files: readonly ChosenTokenFile[]): void {
  const file = tokenFileOf(variant, files);
  const { k = 0 } = variant;
  if (!file || k <= file.tokens.count) return;
  throw new UserError(
    `${k} virtual tokens are asked for (${formatVariant(variant)}), but ${file.path} has ${file.tokens.count}.`,
  );
}

function readVariant(name: string, files: readonly ChosenTokenFile[]): Variant {
  const variant = parseVariant(name);
  if (!variant) {
    throw new UserError(
      `"${name}" is no variant: expected one of ${variantHelp()}; K is a number of virtual tokens, such as 10, X a ` +
        'strength, such as 0.5, FILE the name of an embedding file.',
    );
  }
  const { tokenFile } = variant;
  if (tokenFile === undefined || !methodOf(variant).rows) return variant;
  const file =
    fileOfLabel(files, tokenFile) ??
    files.find(({ given, path }) => [given, path, basename(path)].includes(tokenFile));
  if (file) return { ...variant, tokenFile: file.label };
  const known = files.map(({ label }) => label).join(', ');
  throw new UserError(
    `"${name}" names the embedding file ${tokenFile}, but ` +
      (known === '' ? 'none is given: give it with --tokens.' : `those given with --tokens are ${known}.`),
  );
}

/**
 * The embedding file that a variant takes its rows from.
 * @param files those of the comparison
 */
export function tokenFileOf<File extends { path: string; sha256: string }>(
  { tokenFile }: Variant,
  files: readonly File[],
): File | undefined {
  return tokenFile === undefined ? files[0] : fileOfLabel(files, tokenFile);
}
