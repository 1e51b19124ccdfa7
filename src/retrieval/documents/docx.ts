import { UserError } from '../../protocol/errors.ts';
import type { ParsedDocument } from './blocks.ts';

export function parseDocx(bytes: Uint8Array): Promise<ParsedDocument> {
  return Promise.reject(new UserError(`cannot be read yet (${bytes.length} bytes)`));
}
