/** What the index reports. */
import type { FileProblemKind } from '../protocol/engine.ts';
import type { IndexSettings } from './settings.ts';

/** A file that is not searchable, or only in part, and why. */
export interface FileProblem {
  path: string;
  kind: FileProblemKind;
  reason: string;
}

/** Counts of one update so far. */
export interface UpdateCounts {
  /** Documents looked at. */
  files: number;
  added: number;
  changed: number;
  removed: number;
  unchanged: number;
}

/** What an update yields: counts so far. `waiting`: another process is updating this index. */
export interface IndexProgress extends UpdateCounts {
  phase: 'waiting' | 'reading' | 'embedding' | 'tidying' | 'done';
  /** Passages in the index. */
  chunks: number;
  /** Passages whose vectors this update made, of how many it has to; 0 without an embedding model. */
  embedded: number;
  toEmbed: number;
  /** With phase 'done': every file that could not be indexed. */
  problems: FileProblem[];
}

export interface IndexStatus {
  file: string;
  settings: IndexSettings;
  files: number;
  chunks: number;
  problems: FileProblem[];
  folders: string[];
  /** Chunks that have a vector. */
  embedded: number;
  /** When the last update ended (ISO 8601); null: never. */
  updatedAt: string | null;
  /** Of the paths and contents of all documents and of how they are cut: equal hashes, equal search results. */
  contentHash: string;
  /** Why the index was started anew when it was opened, if it was. */
  startedAnew?: string | undefined;
}
