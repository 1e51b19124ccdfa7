import { UserError } from '../protocol/errors.ts';
import type { ContentKind } from './cache.ts';
import { findEntry } from './catalogue.ts';
import type { DownloadRequest } from './download.ts';
import { repositoryOf } from './resolve.ts';
import type { Catalogue, CatalogueEntry } from './types.ts';

/** A name that the user gave, and what it stands for. */
export interface NamedRequest extends DownloadRequest {
  repository: string;
  entry?: CatalogueEntry;
}

/**
 * What an id of the catalogue or a Hub repository (`owner/name`, `owner/name@revision`) stands for.
 *
 * @param given for a repository that the catalogue does not have: what to take from it
 * @throws UserError if the name is none, or the entry is built in
 */
export function requestOf(
  name: string,
  catalogue: Catalogue,
  given: { kind?: ContentKind; file?: string; revision?: string } = {},
): NamedRequest {
  const { repository, revision } = repositoryOf(name);
  const entry = findEntry(catalogue, repository ?? name);
  if (entry !== undefined && given.file === undefined && given.kind === undefined) {
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
      ...optional('file', 'file' in entry ? entry.file : undefined),
    };
  }
  if (repository === undefined) {
    throw new UserError(
      `"${name}" is neither in the list ("spring models" shows it) nor of the form owner/name of a Hub repository.`,
    );
  }
  const several = catalogue.tokenFiles.filter((candidate) => candidate.repository === repository);
  if (several.length > 0 && given.file === undefined) {
    const ids = several.map(({ id }) => id).join(', ');
    throw new UserError(`${repository} holds several embedding files: name one of ${ids}.`);
  }
  return {
    repository,
    kind: given.kind ?? (given.file === undefined ? 'chat' : 'token-file'),
    ...optional('revision', given.revision ?? revision),
    ...optional('file', given.file),
  };
}

function optional<Key extends string>(key: Key, value: string | undefined): Partial<Record<Key, string>> {
  return value === undefined ? {} : ({ [key]: value } as Record<Key, string>);
}
