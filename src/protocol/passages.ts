/** A passage, as it goes between retrieval, prompts and panels. */

/** A piece of a document, as retrieved or as given by hand. Lines count from 1 and include both ends. */
export interface Passage {
  text: string;
  /** Relative to the workspace folder, with '/' on every system; absent for a passage typed by hand. */
  path?: string;
  startLine?: number;
  endLine?: number;
  /** Retrieval score, larger is better; only comparable within one result list. */
  score?: number;
}

/**
 * Where a passage stands, for people: "harbor.md:12–18", "report.pdf, page 3", "plan.docx, paragraphs 4–6". Empty for one
 * without a file.
 */
export function placeOf({ path, startLine, endLine = startLine }: Passage): string {
  if (path === undefined || startLine === undefined) return path ?? '';
  const several = endLine !== startLine;
  const places = several ? `${startLine}–${endLine!}` : String(startLine);
  if (/\.pdf$/i.test(path)) return `${path}, page${several ? 's' : ''} ${places}`;
  if (/\.docx$/i.test(path)) return `${path}, paragraph${several ? 's' : ''} ${places}`;
  return `${path}:${places}`;
}
