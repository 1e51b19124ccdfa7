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
