/** What a prompt shows of a passage that was found. */
import type { Passage } from '../protocol/passages.ts';
import type { SearchHit } from '../protocol/search.ts';

/** A hit as a passage of a prompt: the one way from what was found to what the model reads. */
export function passageOf(hit: SearchHit): Passage {
  const { path, startLine, endLine, score } = hit;
  return { text: passageText(hit), path, startLine, endLine, score };
}

/**
 * A hit as a prompt should show it: its title path as Markdown headings, one line each, then the text without its
 * blank lines:
 *
 *     # Title
 *     ## Section
 *     Sentences of the section.
 *
 * A passage cut from the middle of a document does not name its subject; with its title path it does. A heading that
 * the text begins with is not repeated.
 */
export function passageText(hit: Pick<SearchHit, 'text' | 'headings' | 'headingLines'>): string {
  const body = hit.text
    .split('\n')
    .slice(hit.headingLines)
    .filter((line) => line.trim() !== '');
  const headings = hit.headings.map((heading, depth) => `${'#'.repeat(Math.min(depth + 1, 6))} ${heading}`);
  return [...headings, ...body].join('\n');
}
