/** The process that holds the index of the workspace's documents and looks at files of models. */
import { realpath } from 'node:fs/promises';
import { sep } from 'node:path';
import { localModels } from '../hub/localModels.ts';
import { AdapterStore, defaultStoreFolder } from '../prag/adapterStore.ts';
import { UserError } from '../protocol/errors.ts';
import type { IndexLocation, IndexProgress as ReportedProgress, IndexSummary } from '../protocol/engine.ts';
import { LocalRetriever } from '../retrieval/localRetriever.ts';
import { extractText } from '../retrieval/reading/extractText.ts';
import { DocumentReader } from '../retrieval/reading/documentReader.ts';
import { type IndexProgress, openIndex, type WorkspaceIndex } from '../retrieval/workspaceIndex.ts';
import type { Handlers } from './channel.ts';
import { PassageFitter } from './passageFit.ts';
import { inspectModel, inspectTokenFile, listInstalled } from './inspection.ts';

/** Progress is not reported more often. */
const progressIntervalMs = 100;

interface OpenedIndex {
  index: WorkspaceIndex;
  location: IndexLocation;
  /** Work that has not ended: the index is not closed before. */
  users: Set<Promise<unknown>>;
}

/** The handlers of the role `index`. `extensionFolder` holds media/demo. */
export function indexRole(extensionFolder: string): Handlers<'index'> {
  let opened: OpenedIndex | undefined;
  /** For texts that are shown: indexing may keep its own busy. */
  const reader = new DocumentReader();
  const fitter = new PassageFitter();
  const current = (): OpenedIndex => {
    if (!opened) throw new UserError('No workspace is open, so there is no index.');
    return opened;
  };

  /** Work on the index that is open now, also if another is opened meanwhile. */
  const using = async <Result>(work: (used: OpenedIndex) => Promise<Result>): Promise<Result> => {
    const used = current();
    const done = work(used);
    used.users.add(done);
    try {
      return await done;
    } finally {
      used.users.delete(done);
    }
  };

  return {
    openIndex: (location) => {
      const previous = opened;
      opened = undefined;
      if (previous) void Promise.allSettled(previous.users).then(() => previous.index.close());
      const { indexFile, options } = location;
      opened = { index: openIndex(indexFile, options), location, users: new Set() };
      return Promise.resolve(summaryOf(opened));
    },
    updateIndex: ({ rebuild, openTexts }, { signal, report }) =>
      using(async (used) => {
        const { index, location } = used;
        index.forgetOpenTexts();
        for (const folder of location.folders) {
          for (const { path, text } of openTexts) await index.setOpenText(folder, path, text);
        }
        await drain(index.update(location.folders, { signal, rebuild }), report);
        return summaryOf(used);
      }),
    updateFiles: ({ paths, openTexts }, { signal, report }) =>
      using(async (used) => {
        const { index, location } = used;
        const texts = new Map(openTexts.map(({ path, text }) => [path, text]));
        for (const folder of location.folders) {
          const inside = paths.filter((path) => path.startsWith(folder + sep));
          for (const path of inside) await index.setOpenText(folder, path, texts.get(path));
          if (inside.length > 0) await drain(index.updateFiles(folder, inside, { signal }), report);
        }
        return summaryOf(used);
      }),
    search: ({ query, count }, { signal }) =>
      using(async ({ index, location }) => {
        const retriever = new LocalRetriever(index, location.folders);
        const { hits } = await retriever.search(query, { limit: count, signal });
        const folders = await namesOfRealFolders(location.folders);
        return hits.map((hit) => ({ ...hit, folder: folders.get(hit.folder) ?? hit.folder }));
      }),
    fitPassages: (request) => fitter.fit(request),
    extractText: ({ folder, path }, { signal }) => extractText(reader, folder, path, signal),
    samplePassages: ({ count }) => Promise.resolve(current().index.samplePassages(count)),
    listAdapters: async ({ storeFolder }) => {
      const stored = await new AdapterStore(storeFolder ?? defaultStoreFolder()).list();
      return stored.map(({ folder, passage, model, bytes, losses, lastUsed }) => ({
        ...{ folder, passage, model, bytes, losses },
        lastUsed: lastUsed.toISOString(),
      }));
    },
    removeAdapters: async ({ storeFolder, folders }) => {
      const store = new AdapterStore(storeFolder ?? defaultStoreFolder());
      for (const stored of await store.list())
        if (folders.includes(stored.folder)) await store.remove(stored);
      return null;
    },
    listInstalled: () => listInstalled(extensionFolder),
    listLocalModels: () => localModels(),
    inspectModels: ({ models }) => Promise.all(models.map((model) => inspectModel(model, extensionFolder))),
    inspectTokenFiles: ({ paths }) =>
      Promise.all(paths.map((path) => inspectTokenFile(path, extensionFolder))),
  };
}

/** The index knows folders by their real paths, the window as the user opened them. */
async function namesOfRealFolders(folders: readonly string[]): Promise<Map<string, string>> {
  const pairs = folders.map(async (folder) => [await realpath(folder).catch(() => folder), folder] as const);
  return new Map(await Promise.all(pairs));
}

async function drain(
  progress: AsyncIterable<IndexProgress>,
  report: (progress: ReportedProgress) => void,
): Promise<void> {
  let reportedAt = -Infinity;
  for await (const { files, chunks } of progress) {
    if (performance.now() - reportedAt < progressIntervalMs) continue;
    reportedAt = performance.now();
    report({ filesDone: files, filesTotal: null, chunks });
  }
}

function summaryOf({ index }: OpenedIndex): IndexSummary {
  const { files, chunks, problems, updatedAt, contentHash, startedAnew } = index.status();
  return {
    ...{ files, chunks, updatedAt, contentHash },
    errors: problems.map(({ path, kind, reason }) => ({ path, kind, message: reason })),
    ...(startedAnew !== undefined && { notice: `The index was started anew: ${startedAnew}.` }),
  };
}
