import { join, resolve } from 'node:path';
import { isGguf } from '../checkpoint/gguf/file.ts';
import { UserError } from '../protocol/errors.ts';
import { contentOf, findSnapshot, isFile, isFolder } from './cache.ts';
import { catalogueEntries, findEntry, repositoryOf } from './catalogue.ts';
import { environmentCatalogue } from './environmentCatalogue.ts';
import { environmentCacheDir, expandHome } from './environment.ts';
import { entryFolder } from './entryFolder.ts';
import { findLocalModel } from './localModels.ts';
import { storeEnvironment } from './stores/store.ts';
import type { StoreEnvironment } from './stores/store.ts';
import type { Catalogue } from './types.ts';

export interface ResolveOptions {
  /** Default: the shipped one with the entries of `SPRING_MODELS`. */
  catalogue?: Catalogue;
  /** Default: the environment's Hub cache. */
  cacheDir?: string;
  /** What a repository that the catalogue does not have is expected to hold. Default: a decoder. */
  kind?: 'chat' | 'embedding';
  /** The folder that holds `media/`; default: the nearest one above this module. */
  extensionFolder?: string;
  /** Where the stores of other programs are looked for. Default: this process's environment. */
  environment?: StoreEnvironment;
}

/**
 * The checkpoint folder or GGUF file of a model: `demo`, a checkpoint folder, a GGUF file (known by its first bytes), an
 * id of the catalogue, a model of another program on this machine (`ollama:smollm2:135m`, `smollm2:135m`), or a Hub
 * repository (`owner/name`, `owner/name@revision`, with `:Q4_K_M` one of its GGUF files) that is in the cache. Never
 * reaches the network.
 *
 * @throws UserError that says how to get the model, if it is not on this machine
 */
export async function resolveModel(nameOrFolder: string, options: ResolveOptions = {}): Promise<string> {
  const catalogue = options.catalogue ?? environmentCatalogue();
  const entry = findEntry(catalogue, nameOrFolder);
  if (entry?.kind === 'token-file') {
    throw new UserError(
      `"${nameOrFolder}" is a file of virtual tokens, not a model: give it with --tokens. It belongs to ${entry.backbone}.`,
    );
  }
  if (entry?.folder !== undefined) {
    const folder = entryFolder(entry, options);
    const { parts } = await contentOf(folder, entry.kind, entry.file);
    return join(folder, parts[0] ?? '');
  }

  const path = resolve(expandHome(nameOrFolder));
  if (await isFolder(path)) {
    if (await isFile(join(path, 'config.json'))) return path;
    const { parts, missing } = await contentOf(path, 'chat');
    if (parts[0] !== undefined && missing.length === 0) return join(path, parts[0]);
    if (entry === undefined) {
      throw new UserError(
        `${path} is no model: it has no config.json of a Hugging Face checkpoint, and not one GGUF file with all its parts. Of several GGUF files give the one to use.`,
      );
    }
  } else if (await isFile(path)) {
    if (await isGguf(path)) return path;
    throw new UserError(
      `${path} is not a GGUF file. Of a model in safetensors files give the checkpoint folder that holds them.`,
    );
  }

  const cacheDir = options.cacheDir ?? environmentCacheDir();
  const named = entry?.repository
    ? { repository: entry.repository, revision: entry.revision, file: entry.file }
    : repositoryOf(nameOrFolder);
  const { repository, revision, file } = named;
  const kind = entry?.kind ?? options.kind ?? 'chat';
  const snapshot =
    repository === undefined ? undefined : await findSnapshot(cacheDir, repository, kind, { revision, file });
  if (snapshot?.missing.length === 0) return join(snapshot.folder, snapshot.parts[0] ?? '');
  if (entry === undefined && kind !== 'embedding') {
    const found = await findLocalModel(
      nameOrFolder,
      options.environment ?? { ...storeEnvironment(), cacheDir },
    );
    if (found !== undefined) return found;
  }
  if (repository === undefined) throw unknownModel(nameOrFolder, catalogue);
  const command = `spring download ${entry?.id ?? nameOrFolder}${entry === undefined && kind === 'embedding' ? ' --kind embedding' : ''}`;
  if (snapshot === undefined) {
    throw new UserError(
      `The model ${nameOrFolder} is not on this machine (looked in ${cacheDir}). Get it with "${command}".`,
    );
  }
  throw new UserError(
    `The model ${nameOrFolder} is not complete: ${snapshot.folder} lacks ${snapshot.missing.join(', ')}. Get the rest with "${command}".`,
  );
}

/**
 * The path of a virtual-token file: a file, or an id of the catalogue whose file is on this machine.
 *
 * @throws UserError that says how to get the file
 */
export async function resolveTokenFile(nameOrFile: string, options: ResolveOptions = {}): Promise<string> {
  const path = resolve(expandHome(nameOrFile));
  if (await isFile(path)) return path;
  const entry = findEntry(options.catalogue ?? environmentCatalogue(), nameOrFile);
  if (entry?.kind !== 'token-file') {
    throw new UserError(
      `There is no file ${path}, and "${nameOrFile}" is no embedding file of the list ("spring models" shows it).`,
    );
  }
  if (entry.repository === undefined) return join(entryFolder(entry, options), entry.file);
  const snapshot = await findSnapshot(
    options.cacheDir ?? environmentCacheDir(),
    entry.repository,
    entry.kind,
    entry,
  );
  if (snapshot === undefined || snapshot.missing.length > 0) {
    throw new UserError(
      `The embedding file ${entry.id} is not on this machine. Get it with "spring download ${entry.id}".`,
    );
  }
  return join(snapshot.folder, entry.file);
}

function unknownModel(name: string, catalogue: Catalogue): UserError {
  const ids = catalogueEntries(catalogue)
    .filter((entry) => entry.kind === 'chat' || entry.kind === 'base')
    .map((entry) => entry.id);
  return new UserError(
    `There is no model "${name}": no folder of that name and no file, not in the list, not among the models of other programs ("spring models" shows them), and not of the form owner/name of a Hub repository. The list has: ${ids.join(', ')}.`,
  );
}
