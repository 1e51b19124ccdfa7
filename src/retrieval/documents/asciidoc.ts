import type { ParsedDocument } from './blocks.ts';
import { parsePlainText } from './plainText.ts';

export function parseAsciidoc(text: string): ParsedDocument {
  return parsePlainText(text);
}
