/** Why a file could not be read, in words and by kind. */
import type { FileProblemKind } from '../../protocol/engine.ts';
import { messageOf, UserError } from '../../protocol/errors.ts';
import { DocumentProblem } from '../documents/problem.ts';

export interface DocumentFailure {
  kind: FileProblemKind;
  /** Goes on after the file's name. */
  reason: string;
}

const systemReasons: Readonly<Record<string, string>> = {
  EACCES: 'may not be read (permission denied)',
  EPERM: 'may not be read (not permitted)',
  ENOENT: 'is gone',
  EISDIR: 'is a folder',
  ELOOP: 'is a loop of symbolic links',
  EIO: 'could not be read (input/output error)',
  EMFILE: 'could not be read (too many open files)',
  EBUSY: 'is in use by another program',
};

/** What an error of reading a document means for its file. */
export function problemOf(error: unknown): DocumentFailure {
  if (error instanceof DocumentProblem) return { kind: error.kind, reason: error.message };
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const reason = systemReasons[code];
  if (reason !== undefined) return { kind: 'unreadable', reason };
  const message = messageOf(error).split('\n', 1)[0]!;
  if (/^E[A-Z]+$/.test(code)) return { kind: 'unreadable', reason: `could not be read (${message})` };
  // Not an error of ours: a library met what its authors did not think of.
  return { kind: 'damaged', reason: error instanceof UserError ? message : `could not be read (${message})` };
}
