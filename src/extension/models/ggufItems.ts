/** The GGUF files of a Hub repository as the items of a quick pick, and what a user types to name one. */
import { formatBytes } from '../../hub/format.ts';
import { bytesOfChoice, ggufChoices, recommendedGguf, tagOf } from '../../hub/ggufNames.ts';
import { estimateFileMemory, memoryFit, type MachineMemory } from '../../hub/memory.ts';

export interface GgufItem {
  label: string;
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
        label: `$(${fits === 'too-large' ? 'warning' : choice === recommended ? 'star' : 'cloud-download'}) ${tag}`,
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
