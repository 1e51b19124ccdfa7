/**
 * The engine program. Forked by the supervisor with a role and its options:
 *
 *     engine.mjs inference|index|training '{"extensionFolder": "..."}'
 */
import { createMessageConnection, IPCMessageReader, IPCMessageWriter } from 'vscode-jsonrpc/node';
import { notify, serve } from './channel.ts';
import { noteOpenFiles } from './openFiles.ts';

interface ProgramOptions {
  /** The folder that holds media/demo. */
  extensionFolder: string;
  /** Where it is noted which files are being opened (openFiles.ts). */
  notesFolder?: string;
}

// A role loads only what it needs: the index process has no use for the inference library.
const [role, json = '{}'] = process.argv.slice(2);
const options = JSON.parse(json) as ProgramOptions;
noteOpenFiles(options.notesFolder);
const connection = createMessageConnection(new IPCMessageReader(process), new IPCMessageWriter(process));
if (role === 'inference') {
  const { inferenceRole } = await import('./inferenceRole.ts');
  serve<'inference'>(
    connection,
    inferenceRole({
      onModelChanged: (loaded, message) => notify(connection, 'modelChanged', { loaded, message }),
    }),
  );
} else if (role === 'training') {
  const { trainingRole } = await import('./trainingRole.ts');
  serve<'training'>(connection, trainingRole());
} else {
  const { indexRole } = await import('./indexRole.ts');
  serve<'index'>(connection, indexRole(options.extensionFolder));
}
// Without the window there is nobody to work for.
process.on('disconnect', () => process.exit());
connection.listen();
