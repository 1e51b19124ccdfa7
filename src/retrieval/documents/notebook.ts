import type { ParsedDocument } from './blocks.ts';
import { parsePlainText } from './plainText.ts';

export function parseNotebook(text: string): ParsedDocument {
  return parsePlainText(text);
}
