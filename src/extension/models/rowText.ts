/** A row of the overview in words: state, size, licence, memory. The same in quick picks and the side panel. */
import { formatBytes } from '../../hub/format.ts';
import type { LocalModel } from '../../protocol/localModels.ts';
import { leastMemory, type OverviewRow, type RowPrecision } from '../../hub/overview.ts';

const precisionNames: Record<RowPrecision, string> = {
  native: 'the quantisation of its file',
  f32: 'float32',
  f16: 'float16',
  int8: 'int8',
  int4: 'int4',
};

/** Whether all of it is on this machine. */
export function isHere({ state }: OverviewRow): boolean {
  return state === 'built-in' || state === 'downloaded';
}

/** Where it is: `downloaded, 271 MB`, `download, 271 MB`, `unfinished: 12 MB of 271 MB`. */
export function stateText({ state, diskBytes, entry }: OverviewRow): string {
  const size = entry.downloadBytes === undefined ? '' : formatBytes(entry.downloadBytes);
  switch (state) {
    case 'built-in':
      return 'built in';
    case 'downloaded':
      return `${entry.repository === undefined ? 'folder' : 'downloaded'}, ${formatBytes(diskBytes)}`;
    case 'partial':
      return `unfinished: ${formatBytes(diskBytes)}${size === '' ? '' : ` of ${size}`}`;
    case 'absent':
      if (entry.repository === undefined) return 'its folder is missing';
      return size === '' ? 'download' : `download, ${size}`;
  }
}

/** The licence, and whether the Hub asks to accept it. */
export function licenceText({ entry }: OverviewRow): string {
  const licence = entry.licence ?? '';
  if (entry.gated !== true) return licence;
  return licence === '' ? 'gated' : `${licence} (gated: accept it on the Hub)`;
}

/** Whether this machine can hold a model; empty where that is not known. */
export function memoryText({ memory, runsHere }: OverviewRow): string {
  if (memory === null) return '';
  if (runsHere === null) {
    const [precision, bytes] = leastMemory(memory);
    const even = precision === 'native' ? '' : ` even in ${precisionNames[precision]}`;
    return `needs more memory than this machine has: ${formatBytes(bytes)}${even}`;
  }
  const needs = `${precisionNames[runsHere.precision]}, about ${formatBytes(runsHere.bytes)} of memory`;
  return runsHere.fit === 'runs'
    ? `runs here in ${needs}`
    : `runs here if other programs make room: ${needs}`;
}

/** Of a model of another program: whose it is, its size and quantisation. */
export function localText({ store, bytes, quantization, architecture, chat, problem }: LocalModel): string {
  const size = bytes === 0 ? '' : formatBytes(bytes);
  const base = problem === null && architecture !== '' && !chat ? 'base model' : '';
  return joined(store, size, quantization ?? '', base);
}

/** Whether this machine can hold it; empty where that is not known. */
export function localMemoryText({ memoryBytes, fit }: LocalModel): string {
  if (memoryBytes === null || fit === null) return '';
  const bytes = formatBytes(memoryBytes);
  return {
    runs: `runs here, about ${bytes} of memory`,
    tight: `runs here if other programs make room: about ${bytes} of memory`,
    'too-large': `needs more memory than this machine has: ${bytes}`,
  }[fit];
}

/** Joins what is not empty. */
export function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(' · ');
}
