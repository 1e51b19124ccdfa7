import { UserError } from '../protocol/errors.ts';
import type { ContentKind } from './cache.ts';
import { findEntry, repositoryOf } from './catalogue.ts';
import type { DownloadRequest } from './download.ts';
import { isGgufName } from './ggufNames.ts';
import type { Catalogue, CatalogueEntry } from './types.ts';

/** A name that the user gave, and what it stands for. */
export interface NamedRequest extends DownloadRequest {
  repository: string;
  entry?: CatalogueEntry;
}

/**
 * What an id of the catalogue or a Hub repository (`owner/name`, `owner/name@revision`, with `:Q4_K_M` one of its GGUF
 * files) stands for.
 *
 * @param given for a repository that the catalogue does not have: what to take from it
 * @throws UserError if the name is none, or the entry is built in
 */
export function requestOf(
  name: string,
  catalogue: Catalogue,
  given: { kind?: ContentKind; file?: string; revision?: string } = {},
): NamedRequest {
  const { repository, revision, file: tag } = repositoryOf(name);
  const entry = findEntry(catalogue, repository ?? name);
  const another = given.file !== undefined || given.kind !== undefined || tag !== undefined;
  if (entry !== undefined && !another) {
    if (entry.repository === undefined) {
      throw new UserError(
        `${entry.id} lies in a folder on this machine: there is nothing to download or remove.`,
      );
    }
    return {
      entry,
      repository: entry.repository,
      kind: entry.kind,
      ...optional('revision', given.revision ?? revision ?? entry.revision),
      ...optional('file', entry.file),
    };
  }
  if (repository === undefined) {
    throw new UserError(
      `"${name}" is neither in the list ("spring models" shows it) nor of the form owner/name of a Hub repository.`,
    );
  }
  const several = catalogue.tokenFiles.filter((candidate) => candidate.repository === repository);
  const file = given.file ?? tag;
  if (several.length > 0 && file === undefined) {
    const ids = several.map(({ id }) => id).join(', ');
    throw new UserError(`${repository} holds several embedding files: name one of ${ids}.`);
  }
  return {
    repository,
    kind: given.kind ?? (tag !== undefined || file === undefined || isGgufName(file) ? 'chat' : 'token-file'),
    ...optional('revision', given.revision ?? revision),
    ...optional('file', file),
  };
}

function optional<Key extends string>(key: Key, value: string | undefined): Partial<Record<Key, string>> {
  return value === undefined ? {} : ({ [key]: value } as Record<Key, string>);
}
