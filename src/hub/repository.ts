/** What a repository holds at a commit, and which of its files are needed. */
import { listFiles, modelInfo } from '@huggingface/hub';
import { commitPattern } from './cache.ts';
import type { ContentKind } from './cache.ts';
import { isRelativeFile } from './catalogue.ts';
import { metadataFetch } from './connection.ts';
import type { Connection } from './connection.ts';
import { describeChoices, ggufChoices, matchingGgufs } from './ggufNames.ts';
import type { GgufChoice } from './ggufNames.ts';
import { HubError } from './hubError.ts';
import { machineMemory } from './memory.ts';
import type { RemoteFile } from './types.ts';

const modelFiles = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];
const embeddingFiles = [
  'config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'modules.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
];
export const singleWeightFile = 'model.safetensors';
export const weightIndexFile = 'model.safetensors.index.json';

/** A repository at one commit. */
export interface RemoteRepository {
  repository: string;
  commit: string;
  files: RemoteFile[];
}

/**
 * Asks the Hub which commit the revision stands for and which files it holds.
 *
 * @throws HubError, CancelledError
 */
export async function readRepository(
  connection: Connection,
  repository: string,
  revision: string,
): Promise<RemoteRepository> {
  const request = { hubUrl: connection.endpoint, fetch: metadataFetch(connection, repository) };
  const { sha } = await modelInfo({ ...request, name: repository, revision, additionalFields: ['sha'] });
  if (typeof sha !== 'string' || !commitPattern.test(sha)) {
    throw new HubError('server', `The Hub names no commit for ${repository} at "${revision}": try again.`);
  }
  const files: RemoteFile[] = [];
  for await (const entry of listFiles({ ...request, repo: repository, revision: sha, recursive: true })) {
    if (entry.type === 'file') files.push(remoteFile(repository, entry));
  }
  return { repository, commit: sha, files };
}

/**
 * The files of a repository that are needed. A model in several shards is complete only with the shards that its
 * index names: pass them once the index has been read.
 *
 * @param file of a token file or an embedding model: its path in the repository; of a GGUF model perhaps its
 *   quantisation. A model without it is one in safetensors, or the only GGUF file.
 * @throws HubError if a file without which nothing works is not in the repository, or it is not clear which is meant
 */
export function neededFiles(
  remote: RemoteRepository,
  kind: ContentKind,
  file: string | undefined,
  shards?: readonly string[],
): RemoteFile[] {
  const has = (path: string): boolean => remote.files.some((candidate) => candidate.path === path);
  const required: string[] = [];
  const optional: string[] = [];
  if (kind === 'token-file') {
    required.push(file ?? '');
  } else if (kind === 'embedding') {
    const model = file ?? 'onnx/model.onnx';
    required.push('config.json', 'tokenizer.json', model);
    const pooling = remote.files
      .map(({ path }) => path)
      .filter((path) => /^[^/]+_Pooling\/config\.json$/.test(path));
    optional.push(...embeddingFiles, ...pooling, `${model}_data`);
  } else if (file !== undefined || isGgufRepository(remote)) {
    return requiredGguf(remote, file).files;
  } else {
    required.push('config.json', 'tokenizer.json');
    optional.push(...modelFiles);
    if (has(singleWeightFile) || !has(weightIndexFile)) required.push(singleWeightFile);
    else required.push(weightIndexFile, ...(shards ?? []));
  }
  const lacking = required.filter((path) => !has(path));
  if (lacking.length > 0) throw unsupported(remote, kind, lacking);
  const wanted = new Set([...required, ...optional]);
  // Small files first: what is wrong with access shows at once, and the large file is the last to wait for.
  return remote.files.filter(({ path }) => wanted.has(path)).sort((a, b) => a.size - b.size);
}

/** Whether a repository's models are GGUF files and nothing else. */
export function isGgufRepository({ files }: RemoteRepository): boolean {
  const other = files.some(({ path }) => path === singleWeightFile || path === weightIndexFile);
  return !other && ggufChoices(files).length > 0;
}

function requiredGguf(
  { repository, files }: RemoteRepository,
  tag: string | undefined,
): GgufChoice<RemoteFile> {
  const choices = ggufChoices(files);
  const [choice, ...others] = tag === undefined ? choices : matchingGgufs(choices, tag);
  if (choice === undefined || others.length > 0) {
    const problem =
      choices.length === 0
        ? 'has no GGUF file'
        : choice === undefined
          ? `has no GGUF file ${JSON.stringify(tag)}`
          : 'has several GGUF files';
    const list = describeChoices(repository, choices, machineMemory());
    const advice = list.length === 0 ? '' : ` Name one of:\n  ${list.join('\n  ')}`;
    throw new HubError('unsupported', `${repository} ${problem}.${advice}`);
  }
  if (choice.missingParts.length > 0) {
    const missing = choice.missingParts.join(', ');
    throw new HubError(
      'unsupported',
      `${choice.path} of ${repository} is split, and its parts ${missing} are not there.`,
    );
  }
  return choice;
}

function unsupported(remote: RemoteRepository, kind: ContentKind, lacking: string[]): HubError {
  const other = remote.files.some(({ path }) => /\.(bin|pth)$/.test(path))
    ? ' It has weights in another format (.bin, .pth): look for a version in safetensors, or a GGUF file.'
    : '';
  const what =
    kind === 'embedding' ? 'an ONNX embedding model' : kind === 'token-file' ? 'this file' : 'a model';
  return new HubError(
    'unsupported',
    `${remote.repository} cannot be used as ${what}: it has no ${lacking.join(', ')}.${other}`,
  );
}

function remoteFile(
  repository: string,
  entry: { path: string; size: number; oid?: string; lfs?: { oid: string; size: number } },
): RemoteFile {
  const size = entry.lfs?.size ?? entry.size;
  const sha256 = entry.lfs?.oid.replace(/^sha256:/, '');
  const hash =
    sha256 === undefined
      ? ({ algorithm: 'git-sha1', hex: entry.oid ?? '' } as const)
      : ({ algorithm: 'sha256', hex: sha256 } as const);
  // The hash becomes a file name and the path part of one: a strange one must not leave the cache.
  const hashLength = hash.algorithm === 'sha256' ? 64 : 40;
  if (!isRelativeFile(entry.path) || !/^[0-9a-f]+$/.test(hash.hex) || hash.hex.length !== hashLength) {
    throw new HubError(
      'server',
      `The Hub's list of ${repository} has an entry that cannot be right: ${JSON.stringify(entry.path)}.`,
    );
  }
  if (!Number.isSafeInteger(size) || size < 0) {
    throw new HubError('server', `The Hub's list of ${repository} gives no size for ${entry.path}.`);
  }
  return { path: entry.path, size, hash };
}
