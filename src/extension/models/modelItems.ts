/** The items of the quick pick of models, as data. */
import { tokenFilesFor } from '../../hub/fit.ts';
import { formatBytes } from '../../hub/format.ts';
import type { OverviewRow } from '../../hub/overview.ts';
import type { Catalogue } from '../../hub/types.ts';
import type { ModelInfo } from '../../protocol/comparison.ts';
import { isHere, joined, licenceText, memoryText, stateText } from './rowText.ts';

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
  | { kind: 'here'; model: string; row?: OverviewRow }
  /** Has to be downloaded, or the rest of it. */
  | { kind: 'download'; row: OverviewRow }
  | { kind: 'repository' }
  | { kind: 'browse' };

export interface ModelPickInput {
  rows: readonly OverviewRow[];
  /** The models that the window knows already: folders of the settings among them. */
  known: readonly ModelInfo[];
  current: string | null;
  catalogue: Catalogue;
}

/** The sections, empty ones left out: what is here, unfinished downloads, what can be had, what is too large. */
export function modelSections(input: ModelPickInput): PickSection<ModelChoice>[] {
  const rows = input.rows
    .filter(({ entry }) => entry.kind === 'chat' || entry.kind === 'base')
    // What the user has listed is what the user looks for.
    .toSorted((a, b) => Number(b.entry.source === 'user') - Number(a.entry.source === 'user'));
  const here = rows.filter(isHere);
  const away = rows.filter(({ state, entry }) => state === 'absent' && entry.repository !== undefined);
  const listed = new Set(here.flatMap(({ entry, path }) => [entry.id, path]));
  const folders = input.known.filter(({ id, folder }) => !listed.has(id) && !listed.has(folder));
  // A model without a memory estimate (a user's entry not yet here) is not called too large.
  const isTooLarge = ({ memory, runsHere }: OverviewRow): boolean => memory !== null && runsHere === null;
  const sections: PickSection<ModelChoice>[] = [
    {
      title: 'On this machine',
      items: [
        ...here.map((row) => rowItem(row, input)),
        ...folders
          .filter(({ id }) => !rows.some(({ entry }) => entry.id === id))
          .map((info) => folderItem(info, input)),
      ],
    },
    {
      title: 'Unfinished downloads',
      items: rows.filter(({ state }) => state === 'partial').map((row) => rowItem(row, input)),
    },
    {
      title: 'From the Hugging Face Hub',
      items: away.filter((row) => !isTooLarge(row)).map((row) => rowItem(row, input)),
    },
    {
      title: 'Need more memory than this machine has',
      items: away.filter(isTooLarge).map((row) => rowItem(row, input)),
    },
    {
      title: 'Elsewhere',
      items: [
        {
          icon: 'cloud-download',
          label: 'Another Hub repository…',
          description: 'owner/name',
          detail: '',
          choice: { kind: 'repository' },
        },
        {
          icon: 'folder-opened',
          label: 'A local folder…',
          description: 'a Hugging Face checkpoint',
          detail: '',
          choice: { kind: 'browse' },
        },
      ],
    },
  ];
  return sections.filter(({ items }) => items.length > 0);
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

/** A folder of the settings, or the model of the settings that nobody lists. */
function folderItem(info: ModelInfo, { current }: ModelPickInput): PickItem<ModelChoice> {
  const { id, name, problem, architecture, weightBytes, folder } = info;
  return {
    icon: id === current ? 'check' : problem === undefined ? 'folder' : 'warning',
    label: name,
    description:
      problem === undefined ? joined('folder', formatBytes(weightBytes), architecture) : 'cannot be used',
    detail: problem ?? folder,
    choice: { kind: 'here', model: id },
  };
}
