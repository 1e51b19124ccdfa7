import { UserError } from '../protocol/errors.ts';
import shipped from './catalogue.json' with { type: 'json' };
import type { Catalogue, CatalogueEntry, ModelEntry, ModelShape } from './types.ts';

const kindsOfList = {
  models: ['chat', 'base'],
  tokenFiles: ['token-file'],
  embeddingModels: ['embedding'],
} as const;

const shapeNumbers = [
  'hiddenSize',
  'intermediateSize',
  'numLayers',
  'numHeads',
  'numKeyValueHeads',
  'headDim',
  'vocabSize',
  'maxPositionEmbeddings',
] as const;

/** Characters of a field. */
const longestText = 4096;

/** Fields that may be absent, and the type each must have. */
const optionalFields: Record<string, 'string' | 'number'> = {
  title: 'string',
  revision: 'string',
  licence: 'string',
  note: 'string',
  downloadBytes: 'number',
  architecture: 'string',
  storedType: 'string',
  numTokens: 'number',
  sha256: 'string',
  dimensions: 'number',
  maxTokens: 'number',
  pooling: 'string',
  queryPrefix: 'string',
  passagePrefix: 'string',
};

/**
 * The catalogue that is shipped, with the user's entries (settings `spring.models`) merged in. A user's entry
 * with the id of a shipped one takes its place. The least that a user's entry needs is `id` and `repository`
 * (or `folder`); `kind` is `chat` if absent.
 *
 * @throws UserError naming the entry and the field that is wrong
 */
export function loadCatalogue(userEntries: readonly unknown[] = []): Catalogue {
  const entries = new Map<string, CatalogueEntry>();
  for (const list of [shipped.models, shipped.tokenFiles, shipped.embeddingModels] as unknown[][]) {
    for (const value of list) {
      const entry = validEntry(value, 'catalogue');
      if (entries.has(entry.id)) throw new UserError(`The catalogue lists "${entry.id}" twice.`);
      entries.set(entry.id, entry);
    }
  }
  for (const value of userEntries) {
    const entry = validEntry(value, 'user');
    entries.set(entry.id, entry);
  }
  const all = [...entries.values()];
  return {
    models: all.filter((entry): entry is ModelEntry => entry.kind === 'chat' || entry.kind === 'base'),
    tokenFiles: all.filter((entry) => entry.kind === 'token-file'),
    embeddingModels: all.filter((entry) => entry.kind === 'embedding'),
  };
}

/** All entries of a catalogue, models first. */
export function catalogueEntries(catalogue: Catalogue): CatalogueEntry[] {
  return [...catalogue.models, ...catalogue.tokenFiles, ...catalogue.embeddingModels];
}

/**
 * The entry of that id or repository, whatever the case; undefined if there is none. A repository that holds
 * several entries (the released SPRING files) is no name of one of them.
 */
export function findEntry(catalogue: Catalogue, name: string): CatalogueEntry | undefined {
  const wanted = name.toLowerCase();
  const entries = catalogueEntries(catalogue);
  const byId = entries.find((entry) => entry.id === wanted);
  if (byId !== undefined) return byId;
  const byRepository = entries.filter((entry) => entry.repository?.toLowerCase() === wanted);
  return byRepository.length === 1 ? byRepository[0] : undefined;
}

/** Whether the text has the form `owner/name` of a Hub repository. */
export function isRepositoryName(text: string): boolean {
  const parts = text.split('/');
  return (
    parts.length === 2 &&
    parts.every((part) => /^[A-Za-z0-9_][A-Za-z0-9._-]{0,95}$/.test(part) && !/\.\.|--/.test(part))
  );
}

/**
 * Splits `owner/name@revision:file`, where revision and file (of a GGUF file: its path or quantisation) may be absent;
 * repository undefined if the text has another form.
 */
export function repositoryOf(name: string): { repository?: string; revision?: string; file?: string } {
  const [, repository = '', revision, file] = /^([^@:]+)(?:@([^:]+))?(?::(.+))?$/.exec(name) ?? [];
  if (!isRepositoryName(repository)) return {};
  return { repository, ...(revision !== undefined && { revision }), ...(file !== undefined && { file }) };
}

function validEntry(value: unknown, source: 'catalogue' | 'user'): CatalogueEntry {
  const place = source === 'user' ? 'your list of models' : 'the catalogue';
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UserError(`An entry of ${place} is not an object: ${JSON.stringify(value)}.`);
  }
  const entry = value as Record<string, unknown>;
  const fail = (problem: string): never => {
    throw new UserError(
      `The entry ${JSON.stringify(entry['id'] ?? entry['repository'])} of ${place}: ${problem}`,
    );
  };
  const needText = (field: string): string => {
    const text = entry[field];
    return typeof text === 'string' && text !== '' ? text : fail(`"${field}" must be a text.`);
  };
  const needSize = (field: string): number => {
    const size = entry[field];
    return typeof size === 'number' && Number.isSafeInteger(size) && size > 0
      ? size
      : fail(`"${field}" must be a positive whole number.`);
  };

  for (const [field, text] of Object.entries(entry)) {
    if (typeof text === 'string' && text.length > longestText) fail(`"${field}" is too long.`);
  }
  const id = needText('id').toLowerCase();
  const kind = entry['kind'] ?? 'chat';
  const kinds: readonly unknown[] = Object.values(kindsOfList).flat();
  if (!kinds.includes(kind)) fail(`"kind" must be one of ${kinds.join(', ')}, not ${JSON.stringify(kind)}.`);
  if ((entry['repository'] === undefined) === (entry['folder'] === undefined)) {
    fail('give either "repository" (owner/name on the Hub) or "folder".');
  }
  if (entry['folder'] !== undefined) needText('folder');
  if (entry['repository'] !== undefined && !isRepositoryName(needText('repository'))) {
    fail(`"repository" must look like owner/name, not ${JSON.stringify(entry['repository'])}.`);
  }
  const gated = entry['gated'] ?? null;
  if (gated !== null && typeof gated !== 'boolean') fail('"gated" must be true, false or null.');
  for (const [field, type] of Object.entries(optionalFields)) {
    const given = entry[field];
    if (given !== undefined && typeof given !== type) fail(`"${field}" must be a ${type}.`);
    if (typeof given === 'number' && !(given >= 0 && given <= Number.MAX_SAFE_INTEGER)) {
      fail(`"${field}" must be a number from 0.`);
    }
  }

  const filled: Record<string, unknown> = { ...entry, id, kind, gated, source, title: entry['title'] ?? id };
  if (kind === 'token-file') {
    needText('file');
    needText('backbone');
    needSize('hiddenSize');
  } else if (kind === 'embedding') {
    filled['file'] = entry['file'] ?? 'onnx/model.onnx';
  } else if (entry['shape'] !== undefined) {
    filled['shape'] = validShape(entry['shape'], fail);
  }
  const file = filled['file'];
  if (file !== undefined && !isRelativeFile(file)) fail('"file" must be a path inside the repository.');
  return filled as unknown as CatalogueEntry;
}

function validShape(value: unknown, fail: (problem: string) => never): ModelShape {
  if (typeof value !== 'object' || value === null) return fail('"shape" must be an object.');
  const shape = value as Record<string, unknown>;
  for (const field of shapeNumbers) {
    const size = shape[field];
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size <= 0) {
      fail(`"shape.${field}" must be a positive whole number.`);
    }
  }
  if (typeof shape['tieWordEmbeddings'] !== 'boolean')
    fail('"shape.tieWordEmbeddings" must be true or false.');
  return value as ModelShape;
}

/** Whether a path of a repository stays inside a folder that it is joined to, on every system. */
export function isRelativeFile(path: unknown): path is string {
  if (typeof path !== 'string' || path === '' || /[\\:\0]/.test(path)) return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}
