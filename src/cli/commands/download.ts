/** `spring download`: gets a model, an embedding file or a retrieval model from the Hub. */
import { setGlobalProxyFromEnv } from 'node:http';
import { Option } from 'commander';
import type { ContentKind } from '../../hub/cache.ts';
import { download } from '../../hub/download.ts';
import { environmentCatalogue } from '../../hub/environmentCatalogue.ts';
import { formatBytes, formatSeconds } from '../../hub/format.ts';
import { requestOf } from '../../hub/request.ts';
import type { NamedRequest } from '../../hub/request.ts';
import type { DownloadEvent, DownloadResult } from '../../hub/types.ts';
import { CancelledError, UserError } from '../../protocol/errors.ts';
import { interruptSignal } from '../options.ts';
import { terminalWidth } from '../terminal.ts';
import type { RegisterCommand } from '../command.ts';

interface DownloadOptions {
  revision?: string;
  file?: string;
  kind?: ContentKind;
  verify?: boolean;
  json?: boolean;
}

/** A pipe gets a line so often, a terminal one line that changes. */
const pipeIntervalMs = 5000;

export const registerDownload: RegisterCommand = (program) => {
  program
    .command('download')
    .description('get a model, embedding file or retrieval model from the Hub (resumes, verifies)')
    .argument(
      '<name>',
      'a name from `spring models`, or a Hub repository owner/name[@revision][:quantisation]',
    )
    .option('--revision <revision>', 'branch, tag or commit')
    .option('--file <path>', 'one file of the repository, such as a .gguf, or a .pt of virtual tokens')
    .addOption(
      new Option('--kind <kind>', 'what the repository holds').choices([
        'chat',
        'base',
        'embedding',
        'token-file',
      ]),
    )
    .option('--verify', 'check files that are here already against their hashes')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      '\nHF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_TOKEN and HF_HUB_OFFLINE are honoured; files go to the Hub cache.',
    )
    .action((name: string, options: DownloadOptions) => downloadCommand(name, options));
};

async function downloadCommand(name: string, options: DownloadOptions): Promise<void> {
  const request = requestOf(name, environmentCatalogue(), options);
  // HTTP_PROXY, HTTPS_PROXY and NO_PROXY, which Node's fetch does not look at by itself.
  setGlobalProxyFromEnv();
  const line = new ProgressLine();
  let result: DownloadResult | undefined;
  try {
    const signal = interruptSignal();
    for await (const event of download({ ...request, verify: options.verify ?? false }, { signal })) {
      if (event.type === 'done') ({ result } = event);
      else line.show(event);
    }
  } catch (error) {
    if (!(error instanceof CancelledError)) throw error;
    throw new UserError(`Cancelled. What has come is kept: "spring download ${name}" goes on from there.`);
  } finally {
    line.clear();
  }
  if (result === undefined) throw new Error('The download ended without a result.');
  if (options.json)
    process.stdout.write(`${JSON.stringify({ name, kind: request.kind, ...result }, null, 2)}\n`);
  else process.stdout.write(`${summary(name, request, result)}\n`);
}

function summary(name: string, request: NamedRequest, result: DownloadResult): string {
  const { path } = result;
  const state = result.offline
    ? 'The Hub cannot be reached; this is what the cache has.'
    : result.downloadedBytes === 0
      ? `${name} was here already (${formatBytes(result.totalBytes)}).`
      : `${name}: ${formatBytes(result.totalBytes)}, ${formatBytes(result.downloadedBytes)} downloaded, verified.`;
  const { entry } = request;
  const hint =
    entry?.kind === 'token-file'
      ? `Use it with: --model ${entry.backbone} --tokens ${entry.id}`
      : request.kind === 'token-file'
        ? `Use it with: --tokens ${path}`
        : request.kind === 'embedding'
          ? ''
          : `Use it with: --model ${name}`;
  return [state, `Commit ${result.commit}`, path, hint].filter((text) => text !== '').join('\n');
}

class ProgressLine {
  #lastPipeLine = 0;
  #shown = false;

  show(event: Exclude<DownloadEvent, { type: 'done' }>): void {
    const { isTTY } = process.stderr;
    if (event.type === 'progress' && !isTTY) {
      if (performance.now() - this.#lastPipeLine < pipeIntervalMs) return;
      this.#lastPipeLine = performance.now();
    }
    const text = describe(event);
    if (isTTY) process.stderr.write(`\r\x1b[K${text.slice(0, terminalWidth() - 1)}`);
    else process.stderr.write(`${text}\n`);
    this.#shown = isTTY;
  }

  clear(): void {
    if (this.#shown) process.stderr.write('\r\x1b[K');
  }
}

function describe(event: Exclude<DownloadEvent, { type: 'done' }>): string {
  switch (event.type) {
    case 'plan': {
      const here = event.presentBytes > 0 ? `, ${formatBytes(event.presentBytes)} here already` : '';
      const files = event.files.length === 1 ? '1 file' : `${event.files.length} files`;
      return `${event.repository}: ${files}, ${formatBytes(event.totalBytes)}${here}`;
    }
    case 'waiting':
      return `${event.reason}: again in ${formatSeconds(event.seconds)}`;
    case 'progress': {
      const percent = event.totalBytes === 0 ? 100 : Math.floor((100 * event.doneBytes) / event.totalBytes);
      const amount = `${percent} %  ${formatBytes(event.doneBytes)} of ${formatBytes(event.totalBytes)}`;
      if (event.phase === 'verify') return `${amount}  checking ${event.file}`;
      const left = event.secondsLeft === null ? '' : `  ${formatSeconds(event.secondsLeft)} left`;
      return `${amount}  ${formatBytes(event.bytesPerSecond)}/s${left}  ${event.file}`;
    }
  }
}
