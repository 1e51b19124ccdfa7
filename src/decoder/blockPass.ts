/**
 * One pass over blocks of keys and values, as the graph's inputs (blockAttention.ts). A block is scored once for all
 * rows that see it; then every row merges its blocks in the order of their positions.
 */
import type { ModelConfig } from '../checkpoint/types.ts';
import { Tensor } from '../onnx/runtime.ts';
import { blockSize, type Block, type BlockStore } from './blocks.ts';
import { blockBiasName, keyValueNames, type BlockKind } from './keyValueMemory.ts';

/** A new position: it sees the blocks of its sequence up to its own. */
export interface PassRow {
  position: number;
  blocks: readonly Block[];
}

/** Where a new position's key and value belong. */
export interface Write {
  block: Block;
  offset: number;
  row: number;
}

/** The score of what a row does not see: its share is exactly 0, and no sum is infinite. */
export const maskedScore = -1e30;

/** Blocks that a view may contain without need, as a share of those needed; else they are copied. */
const toleratedHoles = 0.25;

/** The blocks of one store that a pass reads, and for each the rows that see it. */
class BlockRows {
  readonly kind: BlockKind;
  readonly count: number;
  /** Per layer keys, then values: (count, keyValueHeads, blockSize, headDim). */
  readonly arrays: readonly Float32Array[];
  private readonly first: number;
  private readonly places: Map<Block, number> | undefined;
  private readonly rows: { row: number; end: number }[][];

  constructor(kind: BlockKind, store: BlockStore, blocks: ReadonlySet<Block>) {
    this.kind = kind;
    const indices = [...blocks].map(({ index }) => index);
    this.first = Math.min(store.length, ...indices);
    const end = Math.max(this.first, ...indices.map((index) => index + 1));
    if (blocks.size === 0) {
      // the operators want one at least; nobody sees it
      this.first = 0;
      this.count = 1;
      this.arrays = store.view(0, 1);
    } else if (end - this.first <= (1 + toleratedHoles) * blocks.size) {
      this.count = end - this.first;
      this.arrays = store.view(this.first, end);
    } else {
      this.count = blocks.size;
      this.arrays = store.gather([...blocks]);
      this.places = new Map([...blocks].map((block, place) => [block, place]));
    }
    this.rows = Array.from({ length: this.count }, () => []);
  }

  /** Where a block lies among `arrays`. */
  place(block: Block): number {
    return this.places?.get(block) ?? block.index - this.first;
  }

  /**
   * @param end the row's own position, counted from the block's first
   * @returns the place of the row among those that see the block
   */
  see(place: number, row: number, end: number): number {
    return this.rows[place]!.push({ row, end }) - 1;
  }

  /** Rows for each block: the shorter lists are filled up. One row alone would go through other kernels than several. */
  rowsPerBlock(group: number): number {
    return Math.max(group === 1 ? 2 : 1, ...this.rows.map((rows) => rows.length));
  }

  /** (count, keyValueHeads, rows * group): which of the (rows * heads) queries. */
  queries({ numHeads, numKeyValueHeads }: ModelConfig): Tensor {
    const group = numHeads / numKeyValueHeads;
    const width = this.rowsPerBlock(group) * group;
    const values = new Int32Array(this.count * numKeyValueHeads * width);
    for (const [place, rows] of this.rows.entries()) {
      for (let head = 0; head < numKeyValueHeads; head++) {
        let at = (place * numKeyValueHeads + head) * width;
        for (const { row } of rows) {
          for (let member = 0; member < group; member++)
            values[at++] = row * numHeads + head * group + member;
        }
      }
    }
    return new Tensor('int32', values, [this.count, numKeyValueHeads, width]);
  }

  /** (count, 1, rows * group, blockSize): 0 where a row sees a position, else `maskedScore`. */
  bias({ numHeads, numKeyValueHeads }: ModelConfig, window: number | null): Tensor {
    const group = numHeads / numKeyValueHeads;
    const width = this.rowsPerBlock(group) * group;
    const values = new Float32Array(this.count * width * blockSize);
    for (const [place, rows] of this.rows.entries()) {
      for (const [index, { end }] of rows.entries()) {
        for (let member = 0; member < group; member++) {
          const at = (place * width + index * group + member) * blockSize;
          const begin = window === null ? 0 : Math.max(0, Math.min(blockSize, end - window + 1));
          values.fill(maskedScore, at, at + begin);
          values.fill(maskedScore, at + Math.min(blockSize, end + 1), at + blockSize);
        }
      }
    }
    return new Tensor('float32', values, [this.count, 1, width, blockSize]);
  }
}

/**
 * @param rows the new positions; behind them come as many that see nothing, up to `rowCount`
 * @param writes the places of the new positions; the blocks that get some are the open ones of this pass
 * @param stores where blocks without new positions lie, and those with
 */
export function blockFeeds(
  config: ModelConfig,
  rows: readonly PassRow[],
  rowCount: number,
  writes: readonly Write[],
  stores: Record<BlockKind, BlockStore>,
): Record<string, Tensor> {
  const written = new Set(writes.map(({ block }) => block));
  const seen = new Set(
    rows.flatMap(({ position, blocks }) => blocks.slice(0, 1 + Math.floor(position / blockSize))),
  );
  const full = new BlockRows('full', stores.full, new Set([...seen].filter((block) => !written.has(block))));
  const open = new BlockRows('open', stores.open, written);
  const parts = mergeOrder(config, rows, rowCount, (block) => (written.has(block) ? open : full), [
    full,
    open,
  ]);
  const { numKeyValueHeads: heads, headDim } = config;
  const feeds: Record<string, Tensor> = {
    parts,
    part_ones: new Tensor('float32', new Float32Array(parts.dims[2]!).fill(1), [parts.dims[2]!, 1]),
    write_rows: new Tensor(
      'int32',
      Int32Array.from(writes, ({ row }) => row),
      [writes.length],
    ),
    write_places: places(writes, open, heads),
  };
  for (const blocks of [full, open]) {
    feeds[`${blocks.kind}_queries`] = blocks.queries(config);
    for (const window of new Set(config.slidingWindows)) {
      const name = blockBiasName(blocks.kind, window);
      if (name) feeds[name] = blocks.bias(config, window);
    }
    const names = keyValueNames(config, blocks.kind);
    const dims = [blocks.count, heads, blockSize, headDim];
    blocks.arrays.forEach((array, index) => (feeds[names[index]!] = new Tensor('float32', array, dims)));
  }
  return feeds;
}

/**
 * (rowCount, heads, most blocks of a row): where the parts of a row's answer lie among those of full blocks, then of
 * open ones, then one of nothing, in the order of positions.
 */
function mergeOrder(
  { numHeads, numKeyValueHeads }: ModelConfig,
  rows: readonly PassRow[],
  rowCount: number,
  blocksOf: (block: Block) => BlockRows,
  kinds: readonly [BlockRows, BlockRows],
): Tensor {
  const group = numHeads / numKeyValueHeads;
  const seen = rows.map(({ position, blocks }, row) =>
    blocks.slice(0, 1 + Math.floor(position / blockSize)).map((block, number) => {
      const kind = blocksOf(block);
      const place = kind.place(block);
      return { kind, place, index: kind.see(place, row, position - number * blockSize) };
    }),
  );
  const [full, open] = kinds;
  const sizeOf = (kind: BlockRows): number => kind.count * numHeads * kind.rowsPerBlock(group);
  const most = Math.max(...seen.map(({ length }) => length));
  const values = new Int32Array(rowCount * numHeads * most).fill(sizeOf(full) + sizeOf(open));
  const perBlock = new Map(kinds.map((kind) => [kind, kind.rowsPerBlock(group)]));
  for (const [row, blocks] of seen.entries()) {
    for (const [number, { kind, place, index }] of blocks.entries()) {
      const start = kind === full ? 0 : sizeOf(full);
      for (let head = 0; head < numKeyValueHeads; head++) {
        const first = start + ((place * numKeyValueHeads + head) * perBlock.get(kind)! + index) * group;
        for (let member = 0; member < group; member++) {
          values[(row * numHeads + head * group + member) * most + number] = first + member;
        }
      }
    }
  }
  return new Tensor('int32', values, [rowCount, numHeads, most]);
}

/** int64 (writes, heads, 3): block, head and offset of each new position in the open blocks. */
function places(writes: readonly Write[], open: BlockRows, heads: number): Tensor {
  const values = new BigInt64Array(writes.length * heads * 3);
  let at = 0;
  for (const { block, offset } of writes) {
    for (let head = 0; head < heads; head++) {
      values[at++] = BigInt(open.place(block));
      values[at++] = BigInt(head);
      values[at++] = BigInt(offset);
    }
  }
  return new Tensor('int64', values, [writes.length, heads, 3]);
}
