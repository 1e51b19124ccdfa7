/** Files of scored answers, one JSON object per line: predictions of `spring eval`, or what other programs write so. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { messageOf, UserError } from '../../protocol/errors.ts';
import { readDataLines, type DataLine } from '../../spring/dataFile.ts';
import type { ScoredAnswer, ScoreSource } from './scoreTable.ts';

/** Numbers of a line that are no scores: what was asked for, and the prompt. */
const notScores: ReadonlySet<string> = new Set(['k', 'passages', 'promptTokens', 'truncatedTokens']);

/**
 * Reads lines `{item, variant, …}`; every other number of a line is a score.
 * @param paths files, or folders of runs that hold a `predictions.jsonl`
 * @returns a source for each path, named after its folder or file, or by the path where that is not unique
 * @throws UserError that names the file, and the line that is wrong
 */
export async function readScoreFiles(paths: readonly string[]): Promise<ScoreSource[]> {
  const names = paths.map(shortName);
  const isUnique = new Set(names).size === names.length;
  const sources: ScoreSource[] = [];
  for (const [index, path] of paths.entries()) {
    const { lines } = await readDataLines(await predictionFile(path));
    sources.push({ name: isUnique ? names[index]! : path, answers: lines.map(readAnswer) });
  }
  return sources;
}

function readAnswer({ record, where }: DataLine): ScoredAnswer {
  const { item, variant, passages } = record;
  if (typeof item !== 'string' && typeof item !== 'number') {
    throw new UserError(`${where} has no "item": expected the id of the question that is answered.`);
  }
  if (typeof variant !== 'string' || variant === '') {
    throw new UserError(`${where} has no "variant": expected the name of what answered.`);
  }
  const scores = Object.fromEntries(
    Object.entries(record).filter(
      (entry): entry is [string, number] =>
        typeof entry[1] === 'number' && entry[0] !== 'item' && !notScores.has(entry[0]),
    ),
  );
  const infinite = Object.keys(scores).find((metric) => !Number.isFinite(scores[metric]));
  if (infinite !== undefined) throw new UserError(`${where}: "${infinite}" is out of the range of numbers.`);
  return {
    item: String(item),
    variant,
    passages: typeof passages === 'number' ? passages : undefined,
    scores,
    where,
  };
}

async function predictionFile(path: string): Promise<string> {
  const found = await stat(path).catch((error: unknown) => {
    throw new UserError(`${path} cannot be read: ${messageOf(error)}`);
  });
  return found.isDirectory() ? join(path, 'predictions.jsonl') : path;
}

/** A run's folder, or a file's name. */
function shortName(path: string): string {
  const absolute = resolve(path);
  const name = basename(absolute);
  return name === 'predictions.jsonl' ? basename(dirname(absolute)) : name.replace(/\.jsonl$/, '');
}
