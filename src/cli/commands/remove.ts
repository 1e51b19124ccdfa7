/** `spring remove`: deletes a downloaded model or file from the Hub cache, and what was prepared from it. */
import { realpath } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { defaultQuantizedFolder } from '../../checkpoint/quantized/folders.ts';
import { removeOrphans } from '../../checkpoint/quantized/kept.ts';
import { environmentCacheDir } from '../../hub/environment.ts';
import { environmentCatalogue } from '../../hub/environmentCatalogue.ts';
import { formatBytes } from '../../hub/format.ts';
import { planRemoval, remove } from '../../hub/remove.ts';
import type { RemovalPlan } from '../../hub/remove.ts';
import { requestOf } from '../../hub/request.ts';
import { UserError } from '../../protocol/errors.ts';
import type { RegisterCommand } from '../command.ts';

interface RemoveOptions {
  revision?: string;
  file?: string;
  yes?: boolean;
  json?: boolean;
}

export const registerRemove: RegisterCommand = (program) => {
  program
    .command('remove')
    .description('delete a downloaded model or file from the Hub cache')
    .argument(
      '<name>',
      'a name from `spring models`, or a Hub repository owner/name[@revision][:quantisation]',
    )
    .option('--revision <revision>', 'only this branch, tag or commit')
    .option('--file <path>', 'only this file of the repository')
    .option('--yes', 'do not ask')
    .option('--json', 'print one JSON document')
    .action((name: string, options: RemoveOptions) => removeCommand(name, options));
};

async function removeCommand(name: string, options: RemoveOptions): Promise<void> {
  const cacheDir = environmentCacheDir();
  const request = requestOf(name, environmentCatalogue(), options);
  // The catalogue's pinned revision says what to download; removal takes all unless the user names one.
  const pinned =
    request.entry?.revision !== undefined && options.revision === undefined && !name.includes('@');
  const plan = await planRemoval({ ...request, ...(pinned ? { revision: undefined } : {}) }, cacheDir);
  if (!options.yes && !(await confirmed(plan))) {
    throw new UserError(`Nothing was removed. To remove ${describe(plan)}, add --yes.`);
  }
  // prepared weights know their sources by real paths
  const root = await realpath(plan.root);
  await remove(plan, cacheDir);
  const preparedBytes = await removeOrphans(root, defaultQuantizedFolder());
  const { repository, commits } = plan;
  const freedBytes = plan.freedBytes + preparedBytes;
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ name, repository, commits, freedBytes }, null, 2)}\n`);
  } else {
    const prepared =
      preparedBytes > 0 ? `, and ${formatBytes(preparedBytes)} that were prepared from it` : '';
    process.stdout.write(`Removed ${describe(plan)}${prepared}.\n`);
  }
}

async function confirmed(plan: RemovalPlan): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  const prompt = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await prompt.question(
      `Remove ${describe(plan)}? Other programs that use the Hub cache lose it too. [y/N] `,
    );
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    prompt.close();
  }
}

function describe({ repository, commits, freedBytes, pointers }: RemovalPlan): string {
  const files = pointers.length === 1 ? '1 file' : `${pointers.length} files`;
  const snapshots = commits.length > 1 ? ` in ${commits.length} versions` : '';
  return `${repository} (${files}${snapshots}, frees ${formatBytes(freedBytes)})`;
}
