/** The items of the quick pick of models, as data. */
import { tokenFilesFor } from '../../hub/fit.ts';
import { formatBytes } from '../../hub/format.ts';
import type { OverviewRow } from '../../hub/overview.ts';
import type { Catalogue } from '../../hub/types.ts';
import type { ModelInfo } from '../../protocol/comparison.ts';
import type { LocalModel } from '../../protocol/localModels.ts';
import { downloadedGguf } from './ggufItems.ts';
import { isHere, joined, licenceText, localMemoryText, localText, memoryText, stateText } from './rowText.ts';

export interface PickItem<Choice> {
  /** A codicon's name. */
  icon: string;
  label: string;
  description: string;
  detail: string;
  choice: Choice;
  /** Can be removed from the disk. */
  removable?: boolean;
}

export interface PickSection<Choice> {
  title: string;
  items: PickItem<Choice>[];
}

export type ModelChoice =
  /** On this machine: ready to be used. */
  | { kind: 'here'; model: string; row?: OverviewRow; local?: LocalModel }
  /** Has to be downloaded, or the rest of it. */
  | { kind: 'download'; row: OverviewRow }
  /** Of another program, and not to be run here. */
  | { kind: 'misfit'; message: string; row?: OverviewRow }
  | { kind: 'repository' }
  | { kind: 'browse'; what: 'file' | 'folder' };

export interface ModelPickInput {
  rows: readonly OverviewRow[];
  /** Models of other programs on this machine. */
  local: readonly LocalModel[];
  /** The models that the window knows already: folders of the settings among them. */
  known: readonly ModelInfo[];
  current: string | null;
  catalogue: Catalogue;
  /** The Hub's: what lies in it can be removed. */
  cacheDir: string;
}

/**
 * The sections, empty ones left out: what is here, whichever program put it there; a file or folder of the user's;
 * unfinished downloads; what can be had; what is too large; what cannot run.
 */
export function modelSections(input: ModelPickInput): PickSection<ModelChoice>[] {
  const rows = input.rows
    .filter(({ entry }) => entry.kind === 'chat' || entry.kind === 'base')
    // What the user has listed is what the user looks for.
    .toSorted((a, b) => Number(b.entry.source === 'user') - Number(a.entry.source === 'user'));
  const here = rows.filter(isHere);
  const away = rows.filter(({ state, entry }) => state === 'absent' && entry.repository !== undefined);
  const listed = new Set(here.flatMap(({ entry, path }) => [entry.id, path]));
  const local = input.local.filter(({ path }) => path === null || !listed.has(path));
  for (const { path } of local) listed.add(path);
  const folders = input.known.filter(({ id, folder }) => !listed.has(id) && !listed.has(folder));
  // A model without a memory estimate (a user's entry not yet here) is not called too large.
  const isTooLarge = ({ memory, runsHere }: OverviewRow): boolean => memory !== null && runsHere === null;
  const localItems = (passes: (model: LocalModel) => boolean): PickItem<ModelChoice>[] =>
    local.filter(passes).map((model) => localItem(model, input));
  const sections: PickSection<ModelChoice>[] = [
    {
      title: 'On this machine',
      items: [
        ...here.map((row) => rowItem(row, input)),
        ...localItems(({ problem, fit }) => problem === null && fit !== 'too-large'),
        ...folders
          .filter(({ id }) => !rows.some(({ entry }) => entry.id === id))
          .map((info) => folderItem(info, input)),
      ],
    },
    {
      title: 'A file or folder of yours',
      items: [
        browseItem('file', 'A local .gguf file…', 'of Ollama, LM Studio, llama.cpp, or any other'),
        browseItem('folder', 'A local folder…', 'a Hugging Face checkpoint'),
      ],
    },
    {
      title: 'Unfinished downloads',
      items: rows.filter(({ state }) => state === 'partial').map((row) => rowItem(row, input)),
    },
    {
      title: 'From the Hugging Face Hub',
      items: [
        ...away.filter((row) => !isTooLarge(row)).map((row) => rowItem(row, input)),
        {
          icon: 'cloud-download',
          label: 'Another Hub repository…',
          description: 'owner/name',
          detail: '',
          choice: { kind: 'repository' },
        },
      ],
    },
    {
      title: 'Need more memory than this machine has',
      items: [
        ...localItems(({ problem, fit }) => problem === null && fit === 'too-large'),
        ...away.filter(isTooLarge).map((row) => rowItem(row, input)),
      ],
    },
    { title: 'On this machine, but not to be used', items: localItems(({ problem }) => problem !== null) },
  ];
  return sections.filter(({ items }) => items.length > 0);
}

function browseItem(what: 'file' | 'folder', label: string, description: string): PickItem<ModelChoice> {
  const icon = what === 'file' ? 'file-binary' : 'folder-opened';
  return { icon, label, description, detail: '', choice: { kind: 'browse', what } };
}

/** A model of another program, or a GGUF file of the Hub that nobody lists: that one can be removed. */
function localItem(model: LocalModel, { current, cacheDir }: ModelPickInput): PickItem<ModelChoice> {
  const { name, otherNames, path, bytes, problem, fit } = model;
  const selected = current !== null && [name, ...otherNames].includes(current);
  const row = downloadedGguf(name, path, bytes, cacheDir);
  return {
    icon: selected ? 'check' : problem !== null ? 'circle-slash' : fit === 'too-large' ? 'warning' : 'chip',
    label: name,
    description: localText(model),
    detail: problem ?? joined(localMemoryText(model), otherNames.join(', ')),
    choice: {
      ...(problem === null
        ? { kind: 'here', model: name, local: model }
        : { kind: 'misfit', message: `${name} cannot be used. ${problem}` }),
      ...(row && { row }),
    },
    removable: row !== undefined,
  };
}

function rowItem(row: OverviewRow, { current, catalogue }: ModelPickInput): PickItem<ModelChoice> {
  const { entry, runsHere, memory } = row;
  const here = isHere(row);
  const tooLarge = memory !== null && runsHere === null;
  const hiddenSize = 'shape' in entry ? entry.shape?.hiddenSize : undefined;
  const tokenFiles = hiddenSize === undefined ? [] : tokenFilesFor({ hiddenSize, name: entry.id }, catalogue);
  return {
    icon:
      entry.id === current
        ? 'check'
        : tooLarge
          ? 'warning'
          : here
            ? 'chip'
            : entry.gated
              ? 'lock'
              : 'cloud-download',
    label: entry.title,
    description: joined(stateText(row), licenceText(row), entry.kind === 'chat' ? '' : 'base model'),
    detail: joined(
      memoryText(row),
      tokenFiles.length > 0 ? `embedding file: ${tokenFiles.map(({ id }) => id).join(', ')}` : '',
      entry.note ?? '',
    ),
    choice: here ? { kind: 'here', model: entry.id, row } : { kind: 'download', row },
    removable: entry.repository !== undefined && (row.state === 'downloaded' || row.state === 'partial'),
  };
}

/** A folder or file of the settings, one that was used before, or the model of the settings that nobody lists. */
function folderItem(info: ModelInfo, { current }: ModelPickInput): PickItem<ModelChoice> {
  const { id, name, problem, architecture, weightBytes, folder, memory } = info;
  return {
    icon: id === current ? 'check' : problem !== undefined ? 'warning' : memory ? 'chip' : 'folder',
    label: name,
    description:
      problem === undefined
        ? joined(memory ? 'GGUF file' : 'folder', formatBytes(weightBytes), architecture)
        : 'cannot be used',
    detail: problem ?? folder,
    choice: { kind: 'here', model: id },
  };
}
