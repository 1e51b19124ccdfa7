/** Why a document cannot be read. */
import type { FileProblemKind } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';

/** Its message goes on after the file's name: "is protected by a password". */
export class DocumentProblem extends UserError {
  override readonly name = 'DocumentProblem';
  readonly kind: FileProblemKind;

  constructor(kind: FileProblemKind, message: string) {
    super(message);
    this.kind = kind;
  }
}
