/**
 * Attention on the CPU, over blocks of keys and values (hostKeyValues.ts, blockPass.ts), as Hydragen (arXiv 2402.05099)
 * and cascade inference do: a block is scored once for all rows that see it, whatever sequences they belong to, and the
 * parts of a row's answer are merged by their sums of exponentials.
 *
 * A row's bits do not depend on the other rows: a block's products and softmax have a fixed length, blocks follow from
 * positions alone, and in merging what is not the row's own comes last, with a share of exactly 0.
 */
import type { ModelConfig, RopeConfig } from '../checkpoint/types.ts';
import { microsoftDomain, type Graph, type Value } from '../onnx/graph.ts';
import type { AttentionEmitter } from './attention.ts';
import { maskedScore } from './blockPass.ts';
import { blockSize } from './blocks.ts';
import { blockBiasName, type BlockKind } from './keyValueMemory.ts';
import { emitRotaryEmbedding, tableInputs, type TableValues } from './operators.ts';

/** Parts of answers: each is the mean of a block's values by the softmax within the block. */
interface Parts {
  /** (blocks * heads * rows, headDim) */
  means: Value;
  /** (blocks * heads * rows): the largest score in the block, and its share in the softmax. */
  scores: Value;
  shares: Value;
}

/**
 * A product's factor other than 1 keeps the runtime from its kernels for one row or column, which sum in another
 * order. It cancels.
 */
const notOne = { alpha: { float: 2 } };

/**
 * Inputs: `cos_cache`, `sin_cache` (tokens, rotaryDim / 2): each new position's rows (`cos_cache.1`, … where layers
 * rotate in several ways). Of full blocks, which get no new position in this pass, and of open ones, which do:
 * `full_key.N`, `full_value.N` (blocks, keyValueHeads, blockSize, headDim); `full_queries` int32 (blocks,
 * keyValueHeads, rows * group): the rows of the (tokens * heads) queries that see each block; `open_bias` (blocks, 1,
 * rows * group, blockSize): 0 where a row sees a position, else `maskedScore` (`open_bias.W`, `full_bias.W` in layers
 * with a window of W). `write_rows` int32, `write_places` int64 (writes, keyValueHeads, 3): which new positions go
 * where in the open blocks. `parts` int32 (tokens, heads, most blocks of a row): the parts to merge; `part_ones` (most
 * blocks of a row, 1). Outputs: `new_key.N`, `new_value.N` (tokens, keyValueHeads, headDim), for the host to keep.
 */
export class BlockAttention implements AttentionEmitter {
  private readonly graph: Graph;
  private readonly config: ModelConfig;
  private readonly tables: ReadonlyMap<RopeConfig | null, TableValues>;
  private readonly biases = new Map<string, Value>();
  private readonly queries: Record<BlockKind, Value>;
  private readonly writes: { rows: Value; places: Value };
  private readonly merging: { parts: Value; ones: Value };
  /** The part of nothing, to which rows with fewer blocks than others point. */
  private readonly nothing: Parts;
  private readonly shapes: Record<'perHead' | 'flat' | 'vectors' | 'weights' | 'tokens', Value>;

  constructor(graph: Graph, config: ModelConfig) {
    this.graph = graph;
    this.config = config;
    const { numHeads, numKeyValueHeads, headDim, slidingWindows } = config;
    this.tables = tableInputs(graph, config, 'float32', 'tokens');
    const queries = (kind: BlockKind): Value =>
      graph.input(`${kind}_queries`, 'int32', [`${kind}_blocks`, numKeyValueHeads, `${kind}_rows`]);
    this.queries = { full: queries('full'), open: queries('open') };
    for (const kind of ['full', 'open'] as const) {
      for (const window of new Set(slidingWindows)) {
        const name = blockBiasName(kind, window);
        const dims = [`${kind}_blocks`, 1, `${kind}_rows`, blockSize];
        if (name) this.biases.set(name, graph.input(name, 'float32', dims));
      }
    }
    this.writes = {
      rows: graph.input('write_rows', 'int32', ['writes']),
      places: graph.input('write_places', 'int64', ['writes', numKeyValueHeads, 3]),
    };
    this.merging = {
      parts: graph.input('parts', 'int32', ['tokens', numHeads, 'parts']),
      ones: graph.input('part_ones', 'float32', ['parts', 1]),
    };
    this.nothing = {
      means: graph.constant('nothing', 'float32', [1, headDim], new Float32Array(headDim)),
      scores: graph.constant('no_score', 'float32', [1], Float32Array.of(maskedScore)),
      shares: graph.constant('whole_share', 'float32', [1], Float32Array.of(1)),
    };
    this.shapes = {
      perHead: graph.integers(-1, numKeyValueHeads, headDim),
      flat: graph.integers(-1),
      vectors: graph.integers(-1, headDim),
      weights: graph.integers(0, 0, 1, -1),
      tokens: graph.integers(-1, numHeads * headDim),
    };
  }

  emit(layer: number, q: Value, k: Value, v: Value): Value {
    const { graph, shapes } = this;
    const { numHeads, numKeyValueHeads } = this.config;
    const queries = graph.node('Reshape', [this.rotate(layer, q, numHeads), shapes.vectors]);
    const keys = this.withNew(layer, 'key', this.rotate(layer, k, numKeyValueHeads));
    const values = this.withNew(layer, 'value', v);
    return this.merge(
      (['full', 'open'] as const).map((kind) => this.attend(layer, kind, queries, keys[kind], values[kind])),
    );
  }

  /** Full and open blocks of a layer, the new positions in their places. */
  private withNew(layer: number, what: 'key' | 'value', x: Value): Record<BlockKind, Value> {
    const { graph, shapes, writes } = this;
    const { numKeyValueHeads, headDim } = this.config;
    const input = (kind: BlockKind): Value =>
      graph.input(`${kind}_${what}.${layer}`, 'float32', [
        `${kind}_blocks`,
        numKeyValueHeads,
        blockSize,
        headDim,
      ]);
    const rows = graph.node('Reshape', [x, shapes.perHead]);
    graph.output(`new_${what}.${layer}`, rows, ['tokens', numKeyValueHeads, headDim]);
    const written = graph.node('Gather', [rows, writes.rows], { axis: 0 });
    return { full: input('full'), open: graph.node('ScatterND', [input('open'), writes.places, written]) };
  }

  /** What the rows that see blocks take from each. */
  private attend(layer: number, kind: BlockKind, queries: Value, keys: Value, values: Value): Parts {
    const { graph, shapes } = this;
    const rows = graph.node('Gather', [queries, this.queries[kind]], { axis: 0 });
    const products = this.multiply(rows, keys, { transB: 1, alpha: { float: this.config.scoreScale } });
    const bias = this.biases.get(blockBiasName(kind, this.config.slidingWindows[layer] ?? null) ?? '');
    const scores = bias ? graph.node('Add', [products, bias]) : products;
    const shares = graph.node('Softmax', [scores], { axis: -1 });
    const largest = (x: Value): Value =>
      graph.node('Reshape', [graph.node('ReduceMax', [x, graph.integers(-1)], { keepdims: 0 }), shapes.flat]);
    return {
      means: graph.node('Reshape', [graph.node('MatMul', [shares, values]), shapes.vectors]),
      scores: largest(scores),
      shares: largest(shares),
    };
  }

  /** @returns (tokens, heads * headDim) */
  private merge(kinds: readonly Parts[]): Value {
    const { graph, shapes, merging } = this;
    const gather = (what: keyof Parts): Value => {
      const values = [...kinds, this.nothing].map((part) => part[what]);
      return graph.node('Gather', [graph.node('Concat', values, { axis: 0 }), merging.parts], { axis: 0 });
    };
    const means = gather('means'); // (tokens, heads, parts, headDim)
    const scores = gather('scores'); // (tokens, heads, parts)
    const largest = graph.node('ReduceMax', [scores, graph.integers(-1)], { keepdims: 1 });
    // a block's sum of exponentials is the largest one over its share (logarithms would have other bits in a vector
    // than at its end)
    const exponentials = graph.node('Exp', [graph.node('Sub', [scores, largest])]);
    const weights = graph.node('Div', [exponentials, gather('shares')]);
    const rows = graph.node('Reshape', [weights, shapes.weights]); // (tokens, heads, 1, parts)
    const sum = this.multiply(rows, means, notOne);
    const total = this.multiply(rows, merging.ones, notOne);
    return graph.node('Reshape', [graph.node('Div', [sum, total]), shapes.tokens]);
  }

  private multiply(a: Value, b: Value, attributes: Record<string, number | { float: number }>): Value {
    return this.graph.node('FusedMatMul', [a, b], attributes, { domain: microsoftDomain });
  }

  /** (tokens, heads * headDim) to (1, tokens, heads * headDim), rotated: token i by row i of the layer's tables */
  private rotate(layer: number, x: Value, heads: number): Value {
    const { graph, config } = this;
    const rope = config.ropes[layer] ?? null;
    if (!rope) return x;
    const tokens = graph.node('Reshape', [x, graph.integers(1, -1, heads * config.headDim)]);
    return emitRotaryEmbedding(graph, config, rope, tokens, heads, graph.integers(0), this.tables.get(rope)!);
  }
}
