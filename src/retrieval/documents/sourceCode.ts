import type { ParsedDocument } from './blocks.ts';
import { parsePlainText } from './plainText.ts';

export function parseSourceCode(_name: string, text: string): ParsedDocument {
  return parsePlainText(text);
}
