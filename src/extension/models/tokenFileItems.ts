/** The items of the quick pick of embedding files, as data. */
import { fitOf, type TokenFileFit } from '../../hub/fit.ts';
import type { OverviewRow } from '../../hub/overview.ts';
import type { Catalogue, TokenFileEntry } from '../../hub/types.ts';
import type { ModelInfo, TokenFileInfo } from '../../protocol/comparison.ts';
import { modelFacts, tokenFileFacts } from '../panel/fit.ts';
import type { PickItem, PickSection } from './modelItems.ts';
import { isHere, joined, licenceText, stateText } from './rowText.ts';

export type TokenFileChoice =
  | { kind: 'here'; path: string }
  | { kind: 'download'; row: OverviewRow }
  /** Not here, and of no use for the model: downloading it would help nobody. */
  | { kind: 'misfit'; message: string }
  | { kind: 'repository' }
  | { kind: 'browse' };

export interface TokenFilePickInput {
  rows: readonly OverviewRow[];
  known: readonly TokenFileInfo[];
  /** The selected model; null: none, or it cannot be used. */
  model: ModelInfo | null;
  current: string | null;
  catalogue: Catalogue;
}

type Candidate = PickItem<TokenFileChoice> & { fit: TokenFileFit['fit'] | 'broken' };

/** The sections, empty ones left out: files of this model, of the same width, and those that cannot be used with it. */
export function tokenFileSections(input: TokenFilePickInput): PickSection<TokenFileChoice>[] {
  const { model, known } = input;
  const rows = input.rows.filter(({ entry }) => entry.kind === 'token-file');
  const files = known.map((info) =>
    fileCandidate(
      info,
      rows.find(({ path }) => path === info.path),
      input,
    ),
  );
  const knownPaths = new Set(known.map(({ path }) => path));
  const others = rows
    .filter(({ path }) => path === null || !knownPaths.has(path))
    .map((row) => rowCandidate(row, row.entry as TokenFileEntry, input));
  const all = [...files, ...others];
  const of = (...fits: Candidate['fit'][]): Candidate[] => all.filter(({ fit }) => fits.includes(fit));
  const name = model?.name ?? 'any model';
  const sections: PickSection<TokenFileChoice>[] = [
    { title: model === null ? 'Embedding files' : `For ${name}`, items: of('fits') },
    { title: 'Width fits, but made for another or an unknown model', items: of('unknown-backbone') },
    { title: `Cannot be used with ${name}`, items: of('wrong-width', 'broken') },
    {
      title: 'Elsewhere',
      items: [
        {
          icon: 'cloud-download',
          label: 'From another Hub repository…',
          description: 'owner/name',
          detail: '',
          choice: { kind: 'repository' },
        },
        {
          icon: 'folder-opened',
          label: 'A local file…',
          description: '.pt, .bin, .safetensors',
          detail: '',
          choice: { kind: 'browse' },
        },
      ],
    },
  ];
  return sections.filter(({ items }) => items.length > 0);
}

/** A file on this machine. */
function fileCandidate(
  info: TokenFileInfo,
  row: OverviewRow | undefined,
  { model, current, catalogue }: TokenFilePickInput,
): Candidate {
  const facts = modelFacts(model);
  const fit = facts && info.problem === undefined ? fitOf(tokenFileFacts(info), facts, catalogue) : undefined;
  const state = info.problem === undefined ? (fit?.fit ?? 'fits') : 'broken';
  return {
    icon: info.path === current ? 'check' : iconOf(state),
    label: row?.entry.title ?? info.name,
    description:
      info.problem === undefined
        ? joined(
            `${String(info.rows)} × ${String(info.hiddenSize)}`,
            info.dtype,
            row ? stateText(row) : info.source,
          )
        : 'cannot be read',
    detail: info.problem ?? joined(fit?.message ?? '', row ? licenceText(row) : info.path),
    choice: { kind: 'here', path: info.path },
    removable: row?.state === 'downloaded' && row.entry.repository !== undefined,
    fit: state,
  };
}

/** An entry of the list that is not among the known files: not here, as a rule. */
function rowCandidate(
  row: OverviewRow,
  entry: TokenFileEntry,
  { model, catalogue }: TokenFilePickInput,
): Candidate {
  const facts = modelFacts(model);
  const fit = facts ? fitOf(entryFacts(entry), facts, catalogue) : undefined;
  const state = fit?.fit ?? 'fits';
  return {
    icon: state === 'fits' ? (entry.gated ? 'lock' : 'cloud-download') : iconOf(state),
    label: entry.title,
    description: joined(
      entry.numTokens === undefined
        ? `width ${String(entry.hiddenSize)}`
        : `${String(entry.numTokens)} × ${String(entry.hiddenSize)}`,
      stateText(row),
      licenceText(row),
    ),
    detail: fit?.message ?? `For ${entry.backbone}.`,
    choice: isHere(row)
      ? { kind: 'here', path: row.path ?? '' }
      : fit?.fit === 'wrong-width'
        ? { kind: 'misfit', message: fit.message }
        : { kind: 'download', row },
    fit: state,
  };
}

/** What the list says of a file that is not here. */
function entryFacts({ hiddenSize, file, sha256, backbone }: TokenFileEntry): Parameters<typeof fitOf>[0] {
  return { hiddenSize, path: file, metadata: { backbone }, ...(sha256 !== undefined && { sha256 }) };
}

function iconOf(fit: Candidate['fit']): string {
  return {
    fits: 'symbol-array',
    'unknown-backbone': 'warning',
    'wrong-width': 'circle-slash',
    broken: 'error',
  }[fit];
}
