/** GGUF files of the Hub: a repository's as the items of a quick pick, what a user types to name one, and downloaded ones. */
import { sep } from 'node:path';
import { repositoryOf } from '../../hub/catalogue.ts';
import { formatBytes } from '../../hub/format.ts';
import { bytesOfChoice, ggufChoices, recommendedGguf, tagOf } from '../../hub/ggufNames.ts';
import { estimateFileMemory, memoryFit, type MachineMemory } from '../../hub/memory.ts';
import type { OverviewRow } from '../../hub/overview.ts';

export interface GgufItem {
  label: string;
  /** Of VS Code's icons. */
  icon: string;
  description: string;
  detail: string;
  /** What names it: `owner/name:TAG`. */
  tag: string;
}

/** By size, the recommended one (the largest that fits this machine's memory) first. */
export function ggufItems(
  files: readonly { path: string; size: number }[],
  memory: MachineMemory,
): GgufItem[] {
  const choices = ggufChoices(files).filter(({ missingParts }) => missingParts.length === 0);
  const recommended = recommendedGguf(choices, memory);
  return choices
    .toSorted((a, b) => bytesOfChoice(a) - bytesOfChoice(b))
    .toSorted((a, b) => Number(b === recommended) - Number(a === recommended))
    .map((choice) => {
      const bytes = bytesOfChoice(choice);
      const needed = estimateFileMemory(bytes);
      const fits = memoryFit(needed, memory);
      const tag = tagOf(choice, choices);
      return {
        label: tag,
        icon: fits === 'too-large' ? 'warning' : choice === recommended ? 'star' : 'cloud-download',
        description: choice === recommended ? `${formatBytes(bytes)}, recommended` : formatBytes(bytes),
        detail: {
          runs: `runs here, about ${formatBytes(needed)} of memory`,
          tight: `runs here if other programs make room: about ${formatBytes(needed)} of memory`,
          'too-large': `needs more memory than this machine has: ${formatBytes(needed)}`,
        }[fits],
        tag,
      };
    });
}

/** What was typed as `owner/name…`: the address of a repository's page, or of a GGUF file's, names it too. */
export function repositoryText(typed: string): string {
  const page = /^https?:\/\/[^/]+\/([^/]+\/[^/?#]+)(?:\/(?:blob|resolve)\/([^/?#]+)\/([^?#]+\.gguf))?/.exec(
    typed.trim(),
  );
  if (!page) return typed.trim();
  const [, repository = '', revision = 'main', file] = page;
  if (file === undefined) return repository;
  return `${repository}${revision === 'main' ? '' : `@${revision}`}:${file}`;
}

/**
 * A GGUF file of the Hub's cache as a row of the list, which has it only if somebody listed it. Undefined for files that
 * lie elsewhere: those belong to other programs.
 *
 * @param name `owner/name:TAG`
 */
export function downloadedGguf(
  name: string,
  path: string | null,
  bytes: number,
  cacheDir: string,
): OverviewRow | undefined {
  const { repository, file } = repositoryOf(name);
  if (repository === undefined || file === undefined || path === null) return undefined;
  if (!path.startsWith(cacheDir + sep)) return undefined;
  return {
    entry: { id: name, title: name, kind: 'chat', repository, file, gated: null, source: 'cache' },
    ...{ state: 'downloaded', path, commit: null, diskBytes: bytes, memory: null, runsHere: null },
  };
}
