/**
 * Ollama's store: `manifests/{host}/{namespace}/{model}/{tag}` are JSON texts whose layers name blobs. The layer of type
 * `…image.model` is a GGUF file. Models in the cloud and those of many tensors (MLX) have no such file.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isFile } from '../cache.ts';
import { expandHome } from '../environment.ts';
import { readRecord } from './store.ts';
import type { ModelStore, StoredModel, StoreEnvironment } from './store.ts';

const layerPrefix = 'application/vnd.ollama.image.';
const digestPattern = /^sha256[:-]([0-9a-f]{64})$/;
const mostManifestBytes = 4e6;

interface Layer {
  mediaType?: unknown;
  digest?: unknown;
}

export const ollama: ModelStore = {
  id: 'ollama',
  title: 'Ollama',
  async list(environment) {
    const models: StoredModel[] = [];
    for (const folder of folders(environment)) {
      for (const [host, namespace, model, tag] of await manifests(join(folder, 'manifests'))) {
        const name = `ollama:${shownName(host, namespace, model)}:${tag}`;
        if (models.some((other) => other.name === name)) continue;
        const file = join(folder, 'manifests', host, namespace, model, tag);
        models.push({ name, ...(await modelOf(folder, file)) });
      }
    }
    return models;
  },
};

function folders({ home, variables, platform }: StoreEnvironment): string[] {
  const named = variables['OLLAMA_MODELS']?.trim() ?? '';
  const own = named === '' ? join(home, '.ollama', 'models') : expandHome(named);
  // Installed as a service it runs under a user of its own.
  return platform === 'linux' ? [own, '/usr/share/ollama/.ollama/models'] : [own];
}

/** As Ollama lists it: the public registry and its library are not written out. */
function shownName(host: string, namespace: string, model: string): string {
  if (host !== 'registry.ollama.ai') return `${host}/${namespace}/${model}`;
  return namespace === 'library' ? model : `${namespace}/${model}`;
}

type ManifestPath = [host: string, namespace: string, model: string, tag: string];

/** The files four levels below, as lists of names. */
async function manifests(root: string): Promise<ManifestPath[]> {
  let level: string[][] = [[]];
  for (let depth = 0; depth < 4; depth++) {
    const next = await Promise.all(
      level.map(async (parts) => {
        const names = await readdir(join(root, ...parts)).catch(() => []);
        return names
          .filter((name) => !name.startsWith('.'))
          .sort()
          .map((name) => [...parts, name]);
      }),
    );
    level = next.flat();
  }
  return level as ManifestPath[];
}

async function modelOf(folder: string, manifestFile: string): Promise<Omit<StoredModel, 'name'>> {
  const none = (problem: string): Omit<StoredModel, 'name'> => ({ path: null, problem });
  const text = await manifestText(manifestFile);
  if (text === undefined) return none('Its manifest cannot be read: pull it again with Ollama.');
  let manifest: { config?: Layer | null; layers?: unknown } | null;
  try {
    manifest = JSON.parse(text) as typeof manifest;
  } catch {
    return none('Its manifest is damaged: pull it again with Ollama.');
  }
  const config = await readRecord(blobOf(folder, manifest?.config?.digest) ?? '');
  if (typeof config?.['remote_host'] === 'string' && config['remote_host'] !== '') {
    return none("It runs in Ollama's cloud: there is no file of it on this machine.");
  }
  if (!Array.isArray(manifest?.layers)) return none('Its manifest is damaged: pull it again with Ollama.');
  const layers = (manifest.layers as (Layer | null)[]).filter((layer) => layer !== null);
  const ofType = (type: string): Layer[] =>
    layers.filter(({ mediaType }) => mediaType === `${layerPrefix}${type}`);
  const files = ofType('model');
  const [file] = files;
  if (file === undefined) {
    return none(
      ofType('tensor').length > 0
        ? 'It is in the MLX format of single tensors: take the GGUF version of the model.'
        : 'It has no GGUF file.',
    );
  }
  if (files.length > 1)
    return none(`It is put together of ${files.length} model files, which is not supported.`);
  const blob = blobOf(folder, file.digest);
  if (blob === undefined) return none('Its manifest is damaged: pull it again with Ollama.');
  if (!(await isFile(blob))) return none('Its file is missing: pull it again with Ollama.');
  if (ofType('adapter').length > 0) {
    return {
      path: blob,
      problem: 'It has a LoRA adapter of its own, which is not applied: take the model without it.',
    };
  }
  return { path: blob };
}

async function manifestText(file: string): Promise<string | undefined> {
  const stats = await stat(file).catch(() => undefined);
  if (stats?.isFile() !== true || stats.size > mostManifestBytes) return undefined;
  return readFile(file, 'utf8').catch(() => undefined);
}

/** The digest becomes a file's name: anything but a hash must not. */
function blobOf(folder: string, digest: unknown): string | undefined {
  const hex = typeof digest === 'string' ? digestPattern.exec(digest)?.[1] : undefined;
  return hex === undefined ? undefined : join(folder, 'blobs', `sha256-${hex}`);
}
