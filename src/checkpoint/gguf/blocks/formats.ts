/** All types of quantised blocks: a type is one line in the table of its family. */
import type { BlockType } from '../../types.ts';
import { blockFormat } from './blockFormat.ts';
import type { BlockFormat, BlockKind } from './blockFormat.ts';
import { gridQuants } from './gridQuants.ts';
import { kQuants } from './kQuants.ts';
import { levelQuants } from './levelQuants.ts';
import { roundQuants } from './roundQuants.ts';
import { ternaryQuants } from './ternaryQuants.ts';

const kinds: Record<BlockType, BlockKind> = {
  ...roundQuants,
  ...kQuants,
  ...levelQuants,
  ...ternaryQuants,
  ...gridQuants,
};

export const blockFormats = Object.fromEntries(
  Object.entries(kinds).map(([type, kind]) => [type, blockFormat(kind)]),
) as Readonly<Record<BlockType, BlockFormat>>;

/** Whether a type of elements is one of quantised blocks. */
export function isBlockType(type: string): type is BlockType {
  return Object.hasOwn(kinds, type);
}
