/** An engine program for the supervisor's tests: does what the search query says. */
import { readFile } from 'node:fs/promises';
import { createMessageConnection, IPCMessageReader, IPCMessageWriter } from 'vscode-jsonrpc/node';
import { type Handlers, serve } from '../../../src/engine/channel.ts';
import { noteOpenFiles, whileOpening } from '../../../src/engine/openFiles.ts';
import type { IndexSummary } from '../../../src/protocol/engine.ts';
import { CancelledError, messageOf, UserError } from '../../../src/protocol/errors.ts';

const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));
let opened = 'nothing';
noteOpenFiles(process.argv[3]);
const summary: IndexSummary = { files: 0, chunks: 0, updatedAt: null, contentHash: null, errors: [] };

const unused = (): Promise<never> => Promise.reject(new Error('not used here'));
const handlers: Handlers<'index'> = {
  openIndex: (params) => {
    opened = params.indexFile;
    return Promise.resolve(summary);
  },
  updateIndex: unused,
  updateFiles: (params, { report }) => {
    params.paths.forEach((currentFile, filesDone) =>
      report({ filesDone, filesTotal: 3, chunks: 0, currentFile }),
    );
    return Promise.resolve(summary);
  },
  search: ({ query }, { signal }) => {
    if (query === 'crash') process.exit(3);
    if (query === 'stick') for (;;);
    if (query === 'hang') {
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          opened = 'hang was cancelled';
          reject(new CancelledError());
        });
      });
    }
    if (query === 'user error') return Promise.reject(new UserError('There is no such thing.'));
    if (query === 'bug') return Promise.reject(new TypeError('x is not a function'));
    return Promise.resolve([
      {
        text: opened,
        path: String(process.pid),
        folder: '/',
        rank: 1,
        ...{ startLine: 1, endLine: 1, score: 1, headings: [], headingLines: 0, duplicates: [] },
        bm25Rank: null,
        vectorRank: null,
      },
    ]);
  },
  fitPassages: () => Promise.reject(new Error('not used here')),
  extractText: () => Promise.resolve({ lines: [] }),
  samplePassages: unused,
  listAdapters: unused,
  removeAdapters: unused,
  listInstalled: unused,
  listLocalModels: unused,
  inspectModels: unused,
  // Files whose content is "crash" end the process.
  inspectTokenFiles: ({ paths }) =>
    Promise.all(
      paths.map(async (path) => {
        const nothing = {
          path,
          name: '',
          source: 'folder',
          rows: 0,
          hiddenSize: 0,
          dtype: '',
          sha256: '',
        } as const;
        try {
          const text = await whileOpening(path, async () => {
            const content = await readFile(path, 'utf8');
            if (content === 'crash') process.exit(4);
            return content;
          });
          return { ...nothing, name: text };
        } catch (error) {
          return { ...nothing, problem: messageOf(error) };
        }
      }),
    ),
};
serve<'index'>(connection, handlers);
connection.listen();
process.on('disconnect', () => process.exit());
