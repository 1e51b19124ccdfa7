/** What a thread that converts layers is told, and what it tells. */
import type { Span } from './preparedFile.ts';
import type { LinearRecipe } from './recipe.ts';

/** One layer to write, as it is given to a thread. */
export interface LayerTask {
  linear: LinearRecipe;
  /** The file, which is there already, and where in it the layer's tensors lie. */
  path: string;
  spans: ReadonlyMap<string, Span>;
}

/** What a thread tells. */
export type Reply =
  | { type: 'progress'; bytes: number }
  | { type: 'done'; sha256: Record<string, string> }
  /** What a thread throws loses its class on the way: `system` is what a failed system call adds to an error. */
  | { type: 'failed'; message: string; forUser: boolean; system: { code?: string; syscall?: string } };
