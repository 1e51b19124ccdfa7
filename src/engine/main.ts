/**
 * The engine program. Forked by the supervisor with a role and its options:
 *
 *     engine.mjs inference|index|training '{"extensionFolder": "..."}'
 */
import {
  createMessageConnection,
  IPCMessageReader,
  IPCMessageWriter,
  type MessageConnection,
} from 'vscode-jsonrpc/node';
import type { EngineRole } from '../protocol/engine.ts';
import { notify, serve } from './channel.ts';
import { noteOpenFiles } from './openFiles.ts';

interface ProgramOptions {
  /** The folder that holds media/demo. */
  extensionFolder: string;
  /** Where it is noted which files are being opened (openFiles.ts). */
  notesFolder?: string;
}

// A role loads only what it needs: the index process has no use for the inference library.
const roles: Record<EngineRole, (connection: MessageConnection, options: ProgramOptions) => Promise<void>> = {
  inference: async (connection) => {
    const { inferenceRole } = await import('./inferenceRole.ts');
    serve<'inference'>(
      connection,
      inferenceRole({
        onModelChanged: (loaded, message) => notify(connection, 'modelChanged', { loaded, message }),
      }),
    );
  },
  index: async (connection, { extensionFolder }) => {
    const { indexRole } = await import('./indexRole.ts');
    serve<'index'>(connection, indexRole(extensionFolder));
  },
  training: async (connection) => {
    const { trainingRole } = await import('./trainingRole.ts');
    serve<'training'>(connection, trainingRole());
  },
};

const [role = '', json = '{}'] = process.argv.slice(2);
if (!Object.hasOwn(roles, role)) {
  process.stderr.write(`"${role}" is no engine role: expected ${Object.keys(roles).join(', ')}.\n`);
  process.exit(2);
}
const options = JSON.parse(json) as ProgramOptions;
noteOpenFiles(options.notesFolder);
const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));
await roles[role as EngineRole](connection, options);
// Without the window there is nobody to work for.
process.on('disconnect', () => process.exit());
connection.listen();
