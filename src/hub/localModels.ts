/**
 * What lies on this machine: models in GGUF files that other programs have put there. They are used where they lie.
 * Listing reads headers alone, and never fails for one bad file, folder or record.
 */
import { realpath, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { UserError } from '../protocol/errors.ts';
import type { LocalModel } from '../protocol/localModels.ts';
import { repositoryOf } from './catalogue.ts';
import { ggufFacts, unknownFacts } from './ggufFacts.ts';
import type { GgufFacts } from './ggufFacts.ts';
import { stemOf } from './ggufNames.ts';
import { machineMemory, memoryFit } from './memory.ts';
import type { MachineMemory } from './memory.ts';
import { hubCache } from './stores/hubCache.ts';
import { llamaCpp } from './stores/llamaCpp.ts';
import { lmStudio } from './stores/lmStudio.ts';
import { ollama } from './stores/ollama.ts';
import { storeEnvironment } from './stores/store.ts';
import type { ModelStore, StoredModel, StoreEnvironment } from './stores/store.ts';

/** A store is one file and one line. Of a file that several have, the first names it. */
const stores: readonly ModelStore[] = [ollama, lmStudio, llamaCpp, hubCache];

/** Reading headers ends after so long; what was not read yet is listed without facts, and known the next time. */
const headerBudgetMs = 5000;
const headersAtOnce = 4;

/** By path, size and time of the last change. */
const knownFacts = new LRUCache<string, Promise<GgufFacts>>({ max: 5000 });

export interface LocalModelOptions {
  environment?: StoreEnvironment;
  memory?: MachineMemory;
  budgetMs?: number;
}

/** A model of a store, with the other names of its file. */
interface NamedFile extends StoredModel {
  store: ModelStore;
  otherNames: string[];
  /** Links followed; null: no file. */
  real: string | null;
}

/**
 * All models that are found, those that run first, then by name. Models of other formats and damaged files have a
 * `problem`; vision parts of models are left out where their names tell.
 */
export async function localModels(options: LocalModelOptions = {}): Promise<LocalModel[]> {
  const memory = options.memory ?? machineMemory();
  const files = await namedFiles(options.environment ?? storeEnvironment());
  const facts = new Map<NamedFile, GgufFacts>();
  const pending = [...files];
  const reader = async (): Promise<void> => {
    for (let file = pending.shift(); file !== undefined; file = pending.shift()) {
      facts.set(file, await factsOf(file));
    }
  };
  const stop = new AbortController();
  const late = delay(options.budgetMs ?? headerBudgetMs, undefined, { signal: stop.signal }).catch(
    () => undefined,
  );
  await Promise.race([Promise.all(Array.from({ length: headersAtOnce }, reader)), late]);
  stop.abort();
  pending.length = 0;
  return files
    .map((file) => localModel(file, facts.get(file) ?? unknownFacts(0, null), memory))
    .sort(
      (a, b) =>
        Number(a.problem !== null) - Number(b.problem !== null) ||
        a.name.localeCompare(b.name, 'en', { numeric: true }),
    );
}

/**
 * The file of a model that a store has, by its name as listed, without the store's part (`smollm2:135m`), or by its
 * file's name. Undefined if no store has one.
 *
 * @throws UserError if the name fits several files, or the one that it fits cannot be opened
 */
export async function findLocalModel(
  name: string,
  environment: StoreEnvironment = storeEnvironment(),
): Promise<string | undefined> {
  const wanted = name.toLowerCase();
  // A full name says where to look.
  const store = stores.find(({ id }) => wanted.startsWith(`${id}:`));
  const files = await namedFiles(environment, store === undefined ? stores : [store]);
  const exact = files.filter((file) => namesOf(file).some((own) => own.toLowerCase() === wanted));
  const found = exact.length > 0 ? exact : files.filter((file) => shortNamesOf(file).includes(wanted));
  const [file] = found;
  if (file === undefined) return undefined;
  if (found.length > 1) {
    throw new UserError(
      `"${name}" is the name of several models on this machine: ${found.map((other) => other.name).join(', ')}. Give one of these.`,
    );
  }
  if (file.problem !== undefined || file.path === null) {
    throw new UserError(`${file.name} cannot be used. ${file.problem ?? ''}`.trim());
  }
  return file.path;
}

/** The models of stores, each file once. */
async function namedFiles(environment: StoreEnvironment, among = stores): Promise<NamedFile[]> {
  const lists = await Promise.all(
    among.map(async (store) => {
      const models = await store.list(environment).catch(() => []);
      return models.map((model) => ({ model, store }));
    }),
  );
  const byFile = new Map<string, NamedFile>();
  for (const { model, store } of lists.flat()) {
    const real = model.path === null ? null : await realpath(model.path).catch(() => null);
    // A model that adds something to another's file is not that one.
    const key = real === null || model.problem !== undefined ? model.name : real;
    const first = byFile.get(key);
    if (first === undefined) byFile.set(key, { ...model, store, real, otherNames: [] });
    else if (first.name !== model.name) first.otherNames.push(model.name);
  }
  return uniqueNames([...byFile.values()]);
}

/** Two folders of a store may have files of one path: the first has the name. */
function uniqueNames(files: readonly NamedFile[]): NamedFile[] {
  const names = new Set<string>();
  return files.filter(({ name }) => !names.has(name) && names.add(name));
}

function namesOf({ name, otherNames }: NamedFile): string[] {
  return [name, ...otherNames];
}

function shortNamesOf(file: NamedFile): string[] {
  return namesOf(file).flatMap((name) => {
    const prefix = `${file.store.id}:`;
    const short = name.startsWith(prefix) ? name.slice(prefix.length) : name;
    // Of the Hub the repository alone, where only one of its files is here.
    const { repository = short } = repositoryOf(short);
    return [short, repository, short.replace(/:latest$/, ''), stemOf(short), `${stemOf(short)}.gguf`].map(
      (text) => text.toLowerCase(),
    );
  });
}

async function factsOf({ path, real, problem }: NamedFile): Promise<GgufFacts> {
  const stats = real === null ? undefined : await stat(real).catch(() => undefined);
  if (path === null || real === null || stats?.isFile() !== true)
    return unknownFacts(0, problem ?? 'It is not there.');
  if (problem !== undefined) return unknownFacts(stats.size, problem);
  const key = JSON.stringify([real, stats.size, stats.mtimeMs]);
  let facts = knownFacts.get(key);
  if (facts === undefined) {
    facts = ggufFacts(path, stats.size);
    knownFacts.set(key, facts);
  }
  return facts;
}

function localModel(
  { name, otherNames, store, path }: NamedFile,
  facts: GgufFacts,
  memory: MachineMemory,
): LocalModel {
  const { memoryBytes } = facts;
  return {
    ...{ name, otherNames, store: store.title, path, ...facts },
    fit: memoryBytes === null ? null : memoryFit(memoryBytes, memory),
  };
}
