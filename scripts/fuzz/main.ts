/**
 * Feeds the readers of files with damaged ones and reports what must not be: a process that ends, more than five seconds,
 * more than 500 MB, and errors that are not for people.
 *
 *     node scripts/fuzz/main.ts [--inputs 2000] [--seed 1] [READER ...]      default: every reader
 *
 * Prints a line for each reader and one for each finding, whose damaged file is kept. A finding is repeated with
 * `--seed ITS_SEED --inputs 1`. Exit code 1 if there is one.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readers } from './readers/index.ts';
import type { Outcome } from './child.ts';

const mostMs = 5000;
const mostGrowth = 500 * 1024 ** 2;
/** A fresh process now and then: what leaks does not add up to a finding of another input. */
const inputsPerProcess = 500;

interface Finding {
  reader: string;
  seed: number;
  what: string;
  file: string;
}

class Runner {
  readonly #reader: string;
  #child: ChildProcess | undefined;
  #inputs = 0;
  readonly folder: string;

  constructor(reader: string, folder: string) {
    this.#reader = reader;
    this.folder = folder;
  }

  /** What is wrong with an input, if anything. */
  async run(seed: number): Promise<{ what?: string; refused?: boolean }> {
    if (this.#inputs++ % inputsPerProcess === 0) this.stop();
    const child = (this.#child ??= await this.#start());
    const { promise, resolve } = Promise.withResolvers<{ what?: string; refused?: boolean }>();
    const timer = setTimeout(() => {
      resolve({ what: `takes more than ${mostMs / 1000} s` });
      this.stop();
    }, mostMs);
    const onExit = (code: number | null, signal: string | null): void => {
      this.#child = undefined;
      resolve({ what: `ends the process (${signal ?? `exit code ${String(code)}`})` });
    };
    const onMessage = ({ refused, problem, grownBytes }: Outcome): void => {
      if (problem === undefined && grownBytes > mostGrowth) {
        this.stop();
        resolve({ what: `takes ${Math.round(grownBytes / 1024 ** 2)} MB` });
      } else resolve({ ...(problem !== undefined && { what: problem }), refused });
    };
    child.once('exit', onExit).once('message', onMessage);
    child.send(seed);
    const outcome = await promise;
    clearTimeout(timer);
    child.off('exit', onExit).off('message', onMessage);
    return outcome;
  }

  async #start(): Promise<ChildProcess> {
    const child = fork(join(import.meta.dirname, 'child.ts'), [this.#reader, this.folder], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--max-old-space-size=1500'],
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    await new Promise((resolve) => child.once('message', resolve));
    return child;
  }

  stop(): void {
    this.#child?.removeAllListeners('exit');
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}

const { values, positionals } = parseArgs({
  options: { inputs: { type: 'string', default: '2000' }, seed: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const chosen = readers.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
if (chosen.length === 0) throw new Error(`Readers: ${readers.map(({ name }) => name).join(', ')}`);
const kept = mkdtempSync(join(tmpdir(), 'fuzz-findings-'));
const findings: Finding[] = [];
for (const { name } of chosen) {
  const folder = mkdtempSync(join(tmpdir(), `fuzz-${name}-`));
  const runner = new Runner(name, folder);
  const started = performance.now();
  let refused = 0;
  let found = 0;
  for (let index = 0; index < Number(values.inputs); index++) {
    const seed = Number(values.seed) + index;
    const outcome = await runner.run(seed);
    if (outcome.refused) refused++;
    if (outcome.what === undefined) continue;
    found++;
    const file = join(kept, `${name}-${String(seed)}`);
    mkdirSync(file);
    cpSync(join(folder, 'input'), file, { recursive: true });
    findings.push({ reader: name, seed, what: outcome.what, file });
    process.stdout.write(`  ${name}, seed ${String(seed)}: ${outcome.what} (${file})\n`);
  }
  runner.stop();
  rmSync(folder, { recursive: true, force: true });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  process.stdout.write(
    `${name}: ${values.inputs} inputs, ${refused} refused, ${found} findings, ${seconds} s\n`,
  );
}
if (findings.length === 0) rmSync(kept, { recursive: true });
process.exitCode = findings.length === 0 ? 0 : 1;
