/**
 * What the extension host (or any client) asks of the engine processes, over JSON-RPC. A request names its
 * parameters, its reply and what it reports meanwhile; every request can be cancelled.
 */
import type {
  ComparisonEvent,
  ComparisonRequest,
  LoadedModel,
  ModelInfo,
  ModelSelection,
  PragOptions,
  TokenFileInfo,
} from './comparison.ts';
import type { LocalModel } from './localModels.ts';
import type { Passage } from './passages.ts';
import type { SearchHit } from './search.ts';
import type { TrainingEvent } from './training.ts';

export type { SearchHit } from './search.ts';

/** Never reported, or no parameters. */
export type Nothing = Record<string, never>;

/** Requests of the process that runs models. */
export interface InferenceRequests {
  compare: { params: ComparisonRequest; progress: ComparisonEvent[]; result: null };
  load: { params: ModelSelection; progress: ComparisonEvent[]; result: LoadedModel };
  unload: { params: Nothing; progress: never; result: null };
  /** Those of the passages that the store has no adapter of. */
  missingAdapters: { params: EncodeRequest; progress: never; result: { passages: string[] } };
}

/** Requests of the process that trains, one at a time, so that questions are answered meanwhile. */
export interface TrainingRequests {
  /**
   * Trains the run in a folder (protocol/trainingRun.ts), or goes on with it. A cancelled run has saved its state when
   * `settle` replies.
   */
  train: { params: { folder: string }; progress: TrainingEvent[]; result: null };
  /** Ends the run of a folder and writes its best rows so far; null: there are none. */
  finishTraining: { params: { folder: string }; progress: never; result: { path: string | null } };
  inspectTrainingData: { params: { file: string }; progress: never; result: TrainingDataInfo };
  /** Questions and answers about passages, made by the model or the endpoint. */
  makeQuestions: { params: MakeQuestionsRequest; progress: MadeQuestions; result: null };
  /** Passages become adapters in the store. */
  encodePassages: { params: EncodeRequest; progress: EncodeReport; result: EncodeResult };
  /** Replies when everything that was asked for before has ended. */
  settle: { params: Nothing; progress: never; result: null };
}

export interface TrainingDataInfo {
  examples: number;
  /** Examples that have passages. */
  withPassages: number;
}

export interface MakeQuestionsRequest extends ModelSelection {
  passages: Passage[];
  prag: PragOptions;
}

/** Sent when a passage is done. */
export interface MadeQuestions {
  index: number;
  total: number;
  passage: Passage;
  /** Empty if the model gave nothing usable. */
  questions: { question: string; answer: string }[];
}

export interface EncodeRequest extends ModelSelection {
  passages: string[];
  /** Also so many unrelated passages, whose adapters are a control. */
  unrelated: number;
  prag: PragOptions;
}

/** What of a comparison decides how long its prompts are. */
export type FitRequest = Pick<
  ComparisonRequest,
  'model' | 'question' | 'passages' | 'variants' | 'settings' | 'prag'
>;

export interface PassageFit {
  /** Of the longest prompt, with all passages. */
  tokens: number;
  /** Tokens that a prompt may have: the context without the longest answer. */
  room: number;
  /** Places in the request's passages of those for which there is no room. */
  leftOut: number[];
}

export interface EncodeReport {
  index: number;
  total: number;
  /** For people. */
  message: string;
}

export interface EncodeResult {
  encoded: number;
  /** Of those, how many the store had already. */
  fromStore: number;
  failed: { passage: string; reason: string }[];
}

/** Requests of the process that holds the index and looks at files. */
export interface IndexRequests {
  /** Creates or opens the index of a workspace; the following requests use it. */
  openIndex: { params: IndexLocation; progress: never; result: IndexSummary };
  /** Brings the index up to date: changed files are read again, removed ones dropped. */
  updateIndex: {
    params: { rebuild: boolean; openTexts: OpenText[] };
    progress: IndexProgress;
    result: IndexSummary;
  };
  /** Like updateIndex, but looks at these files only (absolute paths; removed files among them). */
  updateFiles: {
    params: { paths: string[]; openTexts: OpenText[] };
    progress: IndexProgress;
    result: IndexSummary;
  };
  search: { params: { query: string; count: number }; progress: never; result: SearchHit[] };
  /** What the prompts of a comparison take of the model's context, and which passages do not fit. */
  fitPassages: { params: FitRequest; progress: never; result: PassageFit };
  /** The whole text of a PDF or Word document; `path` is relative to the folder. */
  extractText: {
    params: { folder: string; path: string };
    progress: never;
    result: { lines: DocumentLine[] };
  };
  /** Passages spread evenly over the whole index. */
  samplePassages: { params: { count: number }; progress: never; result: Passage[] };
  /** The adapters of Parametric RAG that are stored, the most recently used first. */
  listAdapters: { params: { storeFolder?: string | undefined }; progress: never; result: AdapterInfo[] };
  removeAdapters: {
    params: { storeFolder?: string | undefined; folders: string[] };
    progress: never;
    result: null;
  };
  /** The models (by id) and embedding files (by path) of the model list that are on this machine. */
  listInstalled: { params: Nothing; progress: never; result: { models: string[]; tokenFiles: string[] } };
  /** Models in GGUF files that other programs have put on this machine; headers are read for a few seconds at most. */
  listLocalModels: { params: Nothing; progress: never; result: LocalModel[] };
  inspectModels: { params: { models: string[] }; progress: never; result: ModelInfo[] };
  inspectTokenFiles: { params: { paths: string[] }; progress: never; result: TokenFileInfo[] };
}

/** What an editor with unsaved changes shows; it stands for the file. */
export interface OpenText {
  /** Absolute. */
  path: string;
  text: string;
}

export interface IndexLocation {
  /** Absolute path of the SQLite file. */
  indexFile: string;
  /** Absolute paths of the workspace's folders. */
  folders: string[];
  options: IndexOptions;
}

/** The same fields as the index's own settings (src/retrieval/settings.ts); absent ones have its defaults. */
export interface IndexOptions {
  /** Glob patterns to leave out, besides .gitignore and .springignore. */
  exclude?: string[];
  /** Comments and docstrings of source files are documents too. */
  sourceCode?: boolean;
  useGitignore?: boolean;
  /** Whether symbolic links that lead out of the folders are followed. */
  followLinks?: boolean;
  /** Larger text files are left out. */
  maxTextBytes?: number;
  chunkWords?: number;
  /** Folder of an embedding model for hybrid search; null: BM25 alone. */
  embedder?: string | null;
}

export interface IndexSummary {
  files: number;
  chunks: number;
  /** ISO 8601; null: never filled. */
  updatedAt: string | null;
  /** Of the paths and contents of the indexed documents; null if it is not known. */
  contentHash: string | null;
  errors: IndexFileError[];
  /** What the user should know: the old index was damaged and a new one begun. */
  notice?: string;
}

/** A file that was left out of the index, or read in part. */
export interface IndexFileError {
  path: string;
  kind: FileProblemKind;
  message: string;
}

/**
 * Why a file is not in the index, or not whole:
 * unreadable     the system does not give its bytes
 * tooLarge       more bytes than the limit, packed or unpacked
 * unknownFormat  a kind of document that cannot be read
 * damaged        not what its name promises
 * protected      needs a password
 * noText         has bytes and no passage
 * partlyRead     the rest of it is in the index
 * timedOut       took longer than one document may
 * tooMuchMemory  needed more memory than one document may
 */
export type FileProblemKind =
  | 'unreadable'
  | 'tooLarge'
  | 'unknownFormat'
  | 'damaged'
  | 'protected'
  | 'noText'
  | 'partlyRead'
  | 'timedOut'
  | 'tooMuchMemory';

export interface IndexProgress {
  filesDone: number;
  /** null while files are still being listed. */
  filesTotal: number | null;
  chunks: number;
  currentFile?: string;
}

/** A line of a document's text; `place`: the page of a PDF, the paragraph of a Word document, else the line. */
export interface DocumentLine {
  text: string;
  place: number;
}

/** An adapter in the store. */
export interface AdapterInfo {
  folder: string;
  passage: string;
  /** The model it was trained for, as the user named it. */
  model: string;
  bytes: number;
  /** Mean loss per token before each step. */
  losses: number[];
  /** ISO 8601 */
  lastUsed: string;
}

export interface EngineRoles {
  inference: InferenceRequests;
  index: IndexRequests;
  training: TrainingRequests;
}
export type EngineRole = keyof EngineRoles;

export const engineRoles: readonly EngineRole[] = ['inference', 'index', 'training'];

/** JSON-RPC error codes beyond the standard ones: how an error crosses the process boundary. */
export const engineErrorCodes = { user: -32001, cancelled: -32800 } as const;

/** Sent by the engine when something happened that no request asked for. */
export type EngineNotification = {
  [Name in keyof EngineNotifications]: { name: Name; params: EngineNotifications[Name] };
}[keyof EngineNotifications];

export interface EngineNotifications {
  log: { level: 'info' | 'warn' | 'error'; message: string };
  /** The device was lost and the CPU has taken over. */
  modelChanged: { loaded: LoadedModel; message: string };
}
