import type { ParsedDocument } from './blocks.ts';
import { parsePlainText } from './plainText.ts';

export function parseHtml(text: string): ParsedDocument {
  return parsePlainText(text);
}
