/** The process that reads damaged files for main.ts, one after the other: it may end. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CancelledError, UserError } from '../../src/protocol/errors.ts';
import { mutate } from './mutate.ts';
import { readers } from './readers/index.ts';

/** What came of an input. */
export interface Outcome {
  refused: boolean;
  /** An error that is none for people. */
  problem?: string;
  /** Of the memory that the process took at most, since it started with its inputs. */
  grownBytes: number;
}

const [name, folder] = process.argv.slice(2) as [string, string];
const reader = readers.find((candidate) => candidate.name === name)!;
mkdirSync(join(folder, 'seeds'), { recursive: true });
const seeds = await reader.seeds(join(folder, 'seeds'));
const most = (): number => process.resourceUsage().maxRSS * 1024;
const before = most();

process.on('message', (seed: number) => {
  void readDamaged(seed).then((outcome) => process.send!(outcome));
});
process.on('disconnect', () => process.exit());
process.send!('ready');

async function readDamaged(seed: number): Promise<Outcome> {
  const files = seeds[seed % seeds.length]!;
  const names = Object.keys(files).filter((file) => reader.damaged?.includes(file) ?? true);
  const damaged = names[Math.floor(seed / seeds.length) % names.length]!;
  const input = join(folder, 'input');
  rmSync(input, { recursive: true, force: true });
  mkdirSync(input);
  for (const [file, bytes] of Object.entries(files)) {
    writeFileSync(join(input, file), file === damaged ? mutate(bytes, seed) : bytes);
  }
  try {
    await reader.read(input);
    return { refused: false, grownBytes: most() - before };
  } catch (error) {
    const known = error instanceof UserError || error instanceof CancelledError;
    // A library's or engine's own words in an error for people are as bad.
    const raw = rawWords.exec(error instanceof Error ? error.message : String(error))?.[0];
    const problem = !known
      ? `throws ${error instanceof Error ? `${error.name}: ${error.message}` : String(error)}`
      : raw !== undefined
        ? `says "${raw}"`
        : undefined;
    return {
      refused: true,
      grownBytes: most() - before,
      ...(problem !== undefined && { problem: problem.slice(0, 200) }),
    };
  }
}

/** Messages of JavaScript itself, which help nobody. */
const rawWords =
  /[\w.]+ is not (a function|iterable|defined)|Cannot (read|set|convert|destructure)[^.]{0,60}|Maximum call stack[^.]*|Invalid (array|string|typed array) length|undefined \(reading|out of range|\[object Object\]/;
