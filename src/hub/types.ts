/**
 * The shapes of `src/hub`: what can be got, where it lies, whether it fits.
 */
import type { FileHandle } from 'node:fs/promises';

/** What decides a decoder's memory and which embedding files fit it; a ModelConfig has these fields too. */
export interface ModelShape {
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  vocabSize: number;
  tieWordEmbeddings: boolean;
  maxPositionEmbeddings: number;
}

/** Where an entry's files come from: a Hub repository or a folder (relative ones lie in the extension). */
interface EntrySource {
  /** `owner/name` on the Hub. */
  repository?: string;
  /** Branch, tag or commit; absent: `main`. The commit that was got is recorded at download. */
  revision?: string;
  /** Instead of a repository: a folder. */
  folder?: string;
}

interface EntryBase extends EntrySource {
  /** What the user types; lower case, unique in the catalogue. */
  id: string;
  title: string;
  licence?: string;
  /** Whether the Hub asks for an accepted licence and an access token; null: not known. */
  gated: boolean | null;
  /** Bytes to download, about. */
  downloadBytes?: number;
  /** One sentence for people. */
  note?: string;
  /** Who listed it; `cache`: nobody, but the Hub cache has it. */
  source: 'catalogue' | 'user' | 'cache';
}

export interface ModelEntry extends EntryBase {
  kind: 'chat' | 'base';
  architecture?: string;
  /** Absent in a user's entry: read from config.json once downloaded. */
  shape?: ModelShape;
  storedType?: 'F32' | 'F16' | 'BF16';
  /** Of a model in a GGUF file: its path in the repository, or its quantisation (`Q4_K_M`). */
  file?: string;
}

/** A file of trained virtual tokens. */
export interface TokenFileEntry extends EntryBase {
  kind: 'token-file';
  file: string;
  hiddenSize: number;
  numTokens?: number;
  /** Catalogue id or repository of the model that it was trained for. */
  backbone: string;
  /** Of the rows as float32 little-endian, as `spring inspect` prints it, where known. */
  sha256?: string;
}

/** A sentence-embedding model for retrieval, in ONNX. */
export interface EmbeddingEntry extends EntryBase {
  kind: 'embedding';
  file: string;
  dimensions?: number;
  maxTokens?: number;
  pooling?: 'mean' | 'cls';
  queryPrefix?: string;
  passagePrefix?: string;
}

export type CatalogueEntry = ModelEntry | TokenFileEntry | EmbeddingEntry;

export interface Catalogue {
  models: ModelEntry[];
  tokenFiles: TokenFileEntry[];
  embeddingModels: EmbeddingEntry[];
}

/**
 * How this process speaks with the Hub. Everything is optional: the default is the environment's
 * (`HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_TOKEN`) and Node's own `fetch`.
 */
export interface HubOptions {
  endpoint?: string;
  /** The Hub cache (`…/huggingface/hub`), shared with Python's huggingface_hub. */
  cacheDir?: string;
  /** For proxies: VS Code's patched fetch, or one with a proxy agent. */
  fetch?: typeof fetch;
  /** Asked before each download; undefined: go without. The token is sent to the endpoint's origin alone. */
  token?: () => Promise<string | undefined>;
  offline?: boolean;
  signal?: AbortSignal;
  retry?: Partial<RetryPolicy>;
  disk?: Partial<Disk>;
}

/** How patiently the Hub is asked again. */
export interface RetryPolicy {
  /** Attempts in a row that bring nothing before it is given up. */
  attempts: number;
  /** Before the second attempt; doubled for each further one. */
  firstDelayMs: number;
  /** A server that asks (`Retry-After`) for a longer pause than this is not waited for. */
  maximumDelayMs: number;
  /** A connection that brings no byte for so long is cut and tried again. */
  stallMs: number;
}

/** What a download asks of the disk; tests put a full one here, or one without symbolic links. */
export interface Disk {
  /** Bytes free for this user on the file system that holds the folder (which exists). */
  freeBytes: (folder: string) => Promise<number>;
  /** Writes all bytes at that position. */
  write: (file: FileHandle, bytes: Uint8Array, position: number) => Promise<void>;
  /** Makes `path` a symbolic link with this text; fails where the system does not allow one. */
  symlink: (target: string, path: string) => Promise<void>;
  /** Makes `path` a hard link to the file; fails where the file system knows none. */
  link: (file: string, path: string) => Promise<void>;
}

/** What the Hub says about one file of a commit. */
export interface RemoteFile {
  path: string;
  size: number;
  /** `sha256` of the content (files in LFS or Xet), else git's blob hash. Lower-case hexadecimal. */
  hash: { algorithm: 'sha256' | 'git-sha1'; hex: string };
}

/** What a download reports, in this order: plan, then progress and waiting mixed, then done. */
export type DownloadEvent =
  | {
      type: 'plan';
      repository: string;
      commit: string;
      files: { path: string; size: number }[];
      totalBytes: number;
      /** Of these, what lies in the cache already (unfinished files included). */
      presentBytes: number;
    }
  | {
      type: 'progress';
      phase: 'download' | 'verify';
      file: string;
      doneBytes: number;
      totalBytes: number;
      bytesPerSecond: number;
      /** null: not known yet. */
      secondsLeft: number | null;
    }
  | { type: 'waiting'; reason: string; seconds: number }
  | { type: 'done'; result: DownloadResult };

export interface DownloadResult {
  repository: string;
  commit: string;
  /** The snapshot's folder. */
  folder: string;
  /** What to open: the folder of a checkpoint or retrieval model, a GGUF file (its first part), a file of virtual tokens. */
  path: string;
  files: string[];
  totalBytes: number;
  downloadedBytes: number;
  /** The Hub could not be asked; what the cache has is complete and is used as it is. */
  offline: boolean;
}
