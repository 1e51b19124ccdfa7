/**
 * Speed and size of the index on a large corpus: real documentation, repeated with changed words until there are
 * enough passages. Prints one JSON document.
 *
 *     node bench/retrievalSpeed.ts [--source /usr/share/doc] [--chunks 100000] [--keep FOLDER]
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomGenerator } from 'pure-rand/types/RandomGenerator';
import { normalised } from '../src/retrieval/embedding/pooling.ts';
import { walkDocuments } from '../src/retrieval/files/walk.ts';
import { openDatabase } from '../src/retrieval/index/openDatabase.ts';
import { IndexStore } from '../src/retrieval/index/store.ts';
import { VectorTable } from '../src/retrieval/index/vectors.ts';
import { searchChunks } from '../src/retrieval/search/search.ts';
import { defaultSettings } from '../src/retrieval/settings.ts';
import { openIndex, type WorkspaceIndex } from '../src/retrieval/workspaceIndex.ts';

interface Original {
  path: string;
  file: string;
}

interface Spent {
  wall: number;
  cpu: number;
}

const dimension = 384;
const filesPerStep = 400;
const targets: string[] = [];
const { values } = parseArgs({
  options: {
    source: { type: 'string', default: '/usr/share/doc' },
    chunks: { type: 'string', default: '100000' },
    keep: { type: 'string' },
  },
});
const wanted = Number(values.chunks);
const work = values.keep ?? mkdtempSync(join(tmpdir(), 'retrieval-speed-'));
const corpus = join(work, 'corpus');
const file = join(work, 'index.sqlite');
const random = xoroshiro128plus(1);
const result: Record<string, unknown> = { cpu: cpus()[0]?.model, cores: cpus().length };
try {
  await main();
} finally {
  if (values.keep === undefined) rmSync(work, { recursive: true });
}
process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);

async function main(): Promise<void> {
  rmSync(file, { force: true });
  rmSync(corpus, { recursive: true, force: true });
  const originals = await sourceFiles();
  const queries: string[] = [];
  {
    using index = openIndex(file);
    await build(index, originals, queries);
    result['updateNothing'] = summary([await timed(() => lastOf(index, corpus))]);
    result['updateOneFile'] = summary(await updateTimes(index));
    const search = (query: string) => index.search(query, { mode: 'bm25', limit: 3 });
    result['bm25'] = summary(await searchTimes(queries, search));
    result['peakRssMegabytes'] = process.resourceUsage().maxRSS / 1000;
  }
  await measureHybrid(queries);
  result['peakRssMegabytesWithVectors'] = process.resourceUsage().maxRSS / 1000;
}

/** Adds files, in the second and further rounds with changed words, until there are enough passages. */
async function build(
  index: WorkspaceIndex,
  originals: readonly Original[],
  queries: string[],
): Promise<void> {
  let textBytes = 0;
  let done = { files: 0, chunks: 0 };
  const spent: Spent = { wall: 0, cpu: 0 };
  for (let first = 0; done.chunks < wanted; first += filesPerStep) {
    for (let place = first; place < first + filesPerStep; place++) {
      const copy = Math.floor(place / originals.length);
      textBytes += writeCopy(originals[place % originals.length]!, copy, queries);
    }
    const step = await timed(async () => (done = await lastOf(index, corpus)));
    spent.wall += step.wall;
    spent.cpu += step.cpu;
  }
  const { files, chunks } = done;
  const bytes = statSync(file).size;
  Object.assign(result, { files, chunks, textMegabytes: textBytes / 1e6 });
  Object.assign(result, { buildSeconds: spent.wall / 1000, buildCpuSeconds: spent.cpu / 1000 });
  Object.assign(result, {
    filesPerSecond: (1000 * files) / spent.wall,
    filesPerCpuSecond: (1000 * files) / spent.cpu,
  });
  Object.assign(result, { indexMegabytes: bytes / 1e6, indexToText: bytes / textBytes });
  result['problems'] = index.status().problems.length;
}

async function sourceFiles(): Promise<Original[]> {
  const found: Original[] = [];
  for await (const entry of walkDocuments(values.source, defaultSettings)) {
    if ('found' in entry && ['.md', '.txt', '.rst', '.html', '.adoc'].includes(extname(entry.found.path))) {
      found.push(entry.found);
    }
  }
  // Every seventh and so on, so that each step has files of many packages.
  const stride = 7;
  return Array.from({ length: stride }, (_, start) =>
    found.filter((_, index) => index % stride === start),
  ).flat();
}

/** Writes a file of the corpus; from the second copy on every twentieth word is another one. Returns its bytes. */
function writeCopy({ path, file: original }: Original, copy: number, queries: string[]): number {
  const target = join(corpus, `copy${copy}`, path);
  mkdirSync(dirname(target), { recursive: true });
  const text = readFileSync(original, 'utf8');
  const query = copy === 0 && queries.length < 400 ? queryFrom(text) : undefined;
  if (query) queries.push(query);
  const replaced = (word: string) => (below(random, 20) === 0 ? changed(word) : word);
  writeFileSync(target, copy === 0 ? text : text.replace(/\b[a-z]{4,}\b/g, replaced));
  targets.push(target);
  return statSync(target).size;
}

/** Another pronounceable word: letters moved by a random step, vowels to vowels. */
function changed(word: string): string {
  const step = 1 + below(random, 4);
  return word.replace(
    /[aeiou]/g,
    (vowel) => 'aeiou'['aeiou'.indexOf(vowel) + step > 4 ? step - 1 : 'aeiou'.indexOf(vowel) + step]!,
  );
}

/** A question-like query: eight words that stand together in a text, the common ones included. */
function queryFrom(text: string): string | undefined {
  const words = text.replace(/<[^>]*>/g, ' ').match(/\b[a-zA-Z]{2,}\b/g) ?? [];
  if (words.length < 100) return undefined;
  const start = below(random, words.length - 8);
  return `How does ${words.slice(start, start + 8).join(' ')}?`;
}

/** One paragraph is added to one file, forty times. */
async function updateTimes(index: WorkspaceIndex): Promise<Spent[]> {
  const times: Spent[] = [];
  for (let round = 0; round < 40; round++) {
    const path = targets[below(random, targets.length)]!;
    writeFileSync(
      path,
      `${readFileSync(path, 'utf8')}\n\nA new paragraph, number ${round}, of the editor.\n`,
    );
    times.push(await timed(() => drain(index.updateFiles(corpus, [path]))));
  }
  return times;
}

/** Random vectors: search does the same work as with real ones, and no model is needed. */
async function measureHybrid(queries: readonly string[]): Promise<void> {
  const { database } = openDatabase(file);
  const store = new IndexStore(database);
  const vectors = new VectorTable(store);
  vectors.prepare('random', dimension);
  const ids = store
    .prepare('SELECT id FROM chunks')
    .all()
    .map((row) => Number(row['id']));
  const start = performance.now();
  for (let first = 0; first < ids.length; first += 1000) {
    store.transaction(() =>
      ids.slice(first, first + 1000).forEach((id) => vectors.insert(id, randomVector())),
    );
  }
  result['insertVectorsSeconds'] = (performance.now() - start) / 1000;
  result['indexWithVectorsMegabytes'] = statSync(file).size / 1e6;
  const byVector = (_query: string, limit: number, documents: readonly number[] | undefined) =>
    Promise.resolve(vectors.search(randomVector(), limit, documents));
  const search = (query: string) => searchChunks(store, byVector, [], query, { limit: 3 });
  result['hybridMs'] = summary(await searchTimes(queries, search));
  database.close();
}

async function searchTimes(
  queries: readonly string[],
  search: (query: string) => Promise<unknown>,
): Promise<Spent[]> {
  const times: Spent[] = [];
  for (const query of queries.slice(0, 20)) await search(query); // The first ones load pages of the index.
  for (const query of queries) times.push(await timed(() => search(query)));
  return times;
}

function randomVector(): Float32Array {
  return normalised(Float32Array.from({ length: dimension }, () => below(random, 2001) / 1000 - 1));
}

async function lastOf(index: WorkspaceIndex, folder: string): Promise<{ files: number; chunks: number }> {
  let last = { files: 0, chunks: 0 };
  for await (const progress of index.update([folder])) last = progress;
  return last;
}

async function drain(updates: AsyncIterable<unknown>): Promise<void> {
  const iterator = updates[Symbol.asyncIterator]();
  while (!(await iterator.next()).done);
}

async function timed(work: () => Promise<unknown>): Promise<Spent> {
  const start = performance.now();
  const before = process.cpuUsage();
  await work();
  const { user, system } = process.cpuUsage(before);
  return { wall: performance.now() - start, cpu: (user + system) / 1000 };
}

/** Milliseconds. On a machine that does other work too, the processor's time is what can be compared. */
function summary(times: readonly Spent[]): object {
  const percentiles = (values: number[]) => {
    const sorted = values.sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
    return { p50: at(0.5), p95: at(0.95), max: sorted.at(-1)! };
  };
  return {
    count: times.length,
    wallMs: percentiles(times.map(({ wall }) => wall)),
    cpuMs: percentiles(times.map(({ cpu }) => cpu)),
  };
}

function below(generator: RandomGenerator, limit: number): number {
  return (generator.next() >>> 1) % limit;
}
