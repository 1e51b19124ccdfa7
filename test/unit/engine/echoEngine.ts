/** An engine program for the supervisor's tests: does what the search query says. */
import { createMessageConnection, IPCMessageReader, IPCMessageWriter } from 'vscode-jsonrpc/node';
import { type Handlers, serve } from '../../../src/engine/channel.ts';
import type { IndexSummary } from '../../../src/protocol/engine.ts';
import { CancelledError, UserError } from '../../../src/protocol/errors.ts';

const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));
let opened = 'nothing';
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
        titlePath: [],
        bm25Rank: null,
        vectorRank: null,
      },
    ]);
  },
  samplePassages: unused,
  listAdapters: unused,
  removeAdapters: unused,
  listInstalled: unused,
  listLocalModels: unused,
  inspectModels: unused,
  inspectTokenFiles: unused,
};
serve<'index'>(connection, handlers);
connection.listen();
process.on('disconnect', () => process.exit());
