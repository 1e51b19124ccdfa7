/**
 * The graph that learns: the same decoder as inferenceGraph.ts, of operators whose gradients are known, with the loss
 * on the labelled positions and the gradients that are asked for.
 */
import { headName, loraTargets } from '../checkpoint/layers.ts';
import type { Checkpoint, RopeConfig } from '../checkpoint/types.ts';
import { emitCrossEntropy } from '../onnx/crossEntropy.ts';
import { emitGradients } from '../onnx/gradient.ts';
import { Graph, type Value } from '../onnx/graph.ts';
import { emitDecoder, type DecoderOperators } from './architecture.ts';
import { externalWeight } from './graphWeights.ts';
import { CommonOperators, emitRotaryEmbedding, tableInputs, type TableValues } from './operators.ts';

export interface TrainingGraphOptions {
  /** Whether keys and values of positions before the sequence are given; they count as constants. */
  past: boolean;
  /** Whether the model carries a LoRA on its feed-forward layers. */
  lora: boolean;
  /** What the loss is differentiated with respect to. Weights by name; the embeddings count as the head they are tied to. */
  gradients: { inputsEmbeds?: boolean; lora?: boolean; weights?: readonly string[] };
}

/** The position of a key that no query may see: padding. */
export const paddingPosition = 2 ** 30;
/** Added to the scores of keys that a query must not see; finite, so that a row without any keeps finite numbers. */
const blocked = -1e9;

/**
 * Emits the training graph of a checkpoint.
 *
 * Inputs: `inputs_embeds` (batch, sequence, hiddenSize); `positions` int64 (batch, sequence); `key_positions` int64
 * (batch, past + sequence), paddingPosition where there is no key; `cos_cache`, `sin_cache` (positions, rotaryDim / 2);
 * `past_key.N`, `past_value.N` (batch, past, keyValueHeads, headDim), rotated keys as inference stores them;
 * `lora_a.L.M` (rank, in), `lora_b.L.M` (out, rank), `lora_scaling` (); `label_indices` int64 (labels): rows of the
 * flattened (batch * sequence) whose logits predict a label; `label_targets` int64 (labels, 2): 0, 1, 2, … beside the
 * token ids; `label_weights` (labels, 1). The objective is the sum of losses times weights.
 *
 * Outputs: `losses` (labels, 1); `gradient.NAME` in the shape of the input or weight NAME.
 */
export function emitTrainingGraph(checkpoint: Checkpoint, options: TrainingGraphOptions): Graph {
  const { config } = checkpoint;
  const graph = new Graph();
  const inputsEmbeds = graph.input('inputs_embeds', 'float32', ['batch', 'sequence', config.hiddenSize]);
  const operators = new TrainingOperators(graph, checkpoint, inputsEmbeds, options);
  const hidden = emitDecoder(operators, config, operators.flatten(inputsEmbeds, config.hiddenSize));
  const indices = graph.input('label_indices', 'int64', ['labels']);
  const logits = operators.head(graph.node('Gather', [hidden, indices], { axis: 0 })); // (labels, vocabSize)
  const targets = graph.input('label_targets', 'int64', ['labels', 2]);
  const weights = graph.input('label_weights', 'float32', ['labels', 1]);
  const { losses, logitsGradient } = emitCrossEntropy(graph, logits, targets, weights);
  graph.output('losses', losses, ['labels', 1]);

  const wanted = new Map<string, Value>();
  if (options.gradients.inputsEmbeds) wanted.set('inputs_embeds', inputsEmbeds);
  if (options.gradients.lora) for (const factor of operators.loraInputs()) wanted.set(factor.name, factor);
  for (const name of options.gradients.weights ?? []) wanted.set(name, operators.weight(name));
  const seeds = [{ value: logits, gradient: logitsGradient }];
  const gradients = emitGradients(graph, seeds, [...wanted.values()], operators.reshapesBack);
  [...wanted.keys()].forEach((name, i) => {
    // a value of its own: two gradients may be the same value
    graph.output(`gradient.${name}`, graph.node('Identity', [gradients[i]!]), []);
  });
  return graph;
}

class TrainingOperators extends CommonOperators implements DecoderOperators {
  /** See emitGradients. */
  readonly reshapesBack = new Map<Value, Value>();
  private readonly checkpoint: Checkpoint;
  private readonly past: boolean;
  private readonly weights = new Map<string, Value>();
  /** By the linear layer's name. */
  private readonly loraFactors = new Map<string, { a: Value; b: Value }>();
  private readonly loraScaling: Value | undefined;
  private readonly positions: Value;
  private readonly keyPositions: Value;
  private readonly tables: ReadonlyMap<RopeConfig | null, TableValues>;
  /** int64 [batch, sequence] */
  private readonly batchShape: Value;
  /** By window: what is added to the scores, (batch, 1, sequence, keys). */
  private readonly masks = new Map<number | null, Value>();
  private readonly constantShapes = new Map<string, Value>();

  constructor(graph: Graph, checkpoint: Checkpoint, inputsEmbeds: Value, options: TrainingGraphOptions) {
    super(graph, checkpoint.config);
    this.checkpoint = checkpoint;
    this.past = options.past;
    this.positions = graph.input('positions', 'int64', ['batch', 'sequence']);
    this.keyPositions = graph.input('key_positions', 'int64', ['batch', 'keys']);
    this.tables = tableInputs(graph, this.config, 'float32', 'positions');
    this.batchShape = graph.node('Shape', [inputsEmbeds], { end: 2 }, { type: 'int64' });
    if (!options.lora) return;
    this.loraScaling = graph.input('lora_scaling', 'float32', []);
    for (const { name, key, inFeatures, outFeatures } of loraTargets(this.config)) {
      this.loraFactors.set(name, {
        a: graph.input(`lora_a.${key}`, 'float32', ['rank', inFeatures]),
        b: graph.input(`lora_b.${key}`, 'float32', [outFeatures, 'rank']),
      });
    }
  }

  rmsNorm(x: Value, weightName: string): Value {
    return this.normalize(x, this.weight(weightName));
  }

  headNorm(x: Value, weightName: string, heads: number): Value {
    const { headDim } = this.config;
    const perHead = this.reshape(x, this.shape(-1, headDim), this.shape(-1, heads * headDim));
    const normed = this.rmsNorm(perHead, weightName);
    return this.reshape(normed, this.shape(-1, heads * headDim), this.shape(-1, headDim));
  }

  linear(x: Value, name: string, bias: boolean): Value {
    const { graph } = this;
    const inputs = [x, this.weight(`${name}.weight`), ...(bias ? [this.weight(`${name}.bias`)] : [])];
    const y = graph.node('Gemm', inputs, { transB: 1 });
    const lora = this.loraFactors.get(name);
    if (!lora) return y;
    const low = graph.node('Gemm', [x, lora.a], { transB: 1 }); // (tokens, rank)
    const scaled = graph.node('Mul', [low, this.loraScaling!]);
    return this.add(y, graph.node('Gemm', [scaled, lora.b], { transB: 1 }));
  }

  /**
   * Softmax attention of this sequence's queries over the past and the sequence itself. The query heads that share a
   * key head are stacked along the positions, so that keys and values are not copied for each.
   */
  attention(layer: number, q: Value, k: Value, v: Value): Value {
    const { graph, config } = this;
    const { numHeads, numKeyValueHeads: groups, headDim } = config;
    const scaled = this.scale(q, config.scoreScale);
    const query = this.byHead(this.perHead(this.rotate(layer, scaled, numHeads), numHeads)); // (batch, heads, sequence, headDim)
    const stacked = this.reshape(
      query,
      this.shape(0, groups, -1, headDim),
      this.shape(0, numHeads, -1, headDim),
    );
    const keys = this.perHead(this.rotate(layer, k, groups), groups);
    const values = this.perHead(this.unflatten(v, groups * headDim), groups);
    const key = this.byHead(this.withPast(`past_key.${layer}`, keys));
    const value = this.byHead(this.withPast(`past_value.${layer}`, values));
    const transposed = graph.node('Transpose', [key], { perm: [0, 1, 3, 2] });
    const products = graph.node('MatMul', [stacked, transposed]); // (batch, groups, group * sequence, keys)
    const scores = this.reshape(products, this.shape(0, numHeads, -1, 0), this.shape(0, groups, -1, 0));
    const masked = graph.node('Add', [scores, this.mask(config.slidingWindows[layer] ?? null)]);
    const softmax = graph.node('Softmax', [masked], { axis: -1 });
    const shares = this.reshape(softmax, this.shape(0, groups, -1, 0), this.shape(0, numHeads, -1, 0));
    const attended = graph.node('MatMul', [shares, value]); // (batch, groups, group * sequence, headDim)
    const heads = this.reshape(
      attended,
      this.shape(0, numHeads, -1, headDim),
      this.shape(0, groups, -1, headDim),
    );
    const rows = graph.node('Transpose', [heads], { perm: [0, 2, 1, 3] });
    const back = graph.node('Concat', [this.batchShape, this.shape(numHeads, headDim)], { axis: 0 });
    return this.reshape(rows, this.shape(-1, numHeads * headDim), back);
  }

  /** The language-model head on (rows, hiddenSize): logits (rows, vocabSize). */
  head(hidden: Value): Value {
    const weight = this.weight(`${headName(this.config)}.weight`);
    const logits = this.graph.node('Gemm', [hidden, weight], { transB: 1 });
    return this.scale(logits, this.config.logitsScale);
  }

  /** (batch, sequence, features) to (batch * sequence, features) */
  flatten(x: Value, features: number): Value {
    return this.reshape(x, this.shape(-1, features), this.batched());
  }

  /** A checkpoint's tensor as float32. */
  weight(name: string): Value {
    let value = this.weights.get(name);
    if (!value) {
      const location = this.checkpoint.tensors.get(name);
      if (!location) throw new Error(`The checkpoint has no tensor ${name}.`);
      value = externalWeight(this.graph, location);
      this.weights.set(name, value);
    }
    return value;
  }

  loraInputs(): Value[] {
    return [...this.loraFactors.values()].flatMap(({ a, b }) => [a, b]);
  }

  /** (batch * sequence, heads * headDim), rotated by position (where the layer does), as (batch, sequence, heads * headDim) */
  private rotate(layer: number, x: Value, heads: number): Value {
    const { graph, config, positions } = this;
    const sequences = this.unflatten(x, heads * config.headDim);
    const rope = config.ropes[layer] ?? null;
    if (!rope) return sequences;
    return emitRotaryEmbedding(graph, config, rope, sequences, heads, positions, this.tables.get(rope)!);
  }

  /** (batch, sequence, heads * headDim) to (batch, sequence, heads, headDim) */
  private perHead(x: Value, heads: number): Value {
    return this.reshape(x, this.shape(0, 0, heads, this.config.headDim), this.shape(0, 0, -1));
  }

  /** (batch, sequence, heads, headDim) to (batch, heads, sequence, headDim) */
  private byHead(x: Value): Value {
    return this.graph.node('Transpose', [x], { perm: [0, 2, 1, 3] });
  }

  private withPast(name: string, value: Value): Value {
    if (!this.past) return value;
    const { numKeyValueHeads, headDim } = this.config;
    const past = this.graph.input(name, 'float32', ['batch', 'past', numKeyValueHeads, headDim]);
    return this.graph.node('Concat', [past, value], { axis: 1 });
  }

  /** 0 where a query sees a key: not in its future, and within the window. */
  private mask(window: number | null): Value {
    let mask = this.masks.get(window);
    if (!mask) {
      const { graph } = this;
      const queries = graph.node('Unsqueeze', [this.positions, graph.integers(1, 3)]); // (batch, 1, sequence, 1)
      const keys = graph.node('Unsqueeze', [this.keyPositions, graph.integers(1, 2)]); // (batch, 1, 1, keys)
      const distance = graph.node('Sub', [queries, keys]);
      const far = graph.scalar(blocked);
      const integer = (value: number): Value => graph.integers(value);
      const isFuture = graph.node('Less', [distance, integer(0)], {}, { type: 'bool' });
      mask = graph.node('Where', [isFuture, far, graph.scalar(0)], {}, { type: 'float32' });
      if (window !== null) {
        const isTooFar = graph.node('GreaterOrEqual', [distance, integer(window)], {}, { type: 'bool' });
        mask = graph.node('Where', [isTooFar, far, mask], {}, { type: 'float32' });
      }
      this.masks.set(window, mask);
    }
    return mask;
  }

  private unflatten(x: Value, features: number): Value {
    return this.reshape(x, this.batched(), this.shape(-1, features));
  }

  private reshape(x: Value, shape: Value, back: Value): Value {
    const value = this.graph.node('Reshape', [x, shape]);
    this.reshapesBack.set(value, back);
    return value;
  }

  /** int64 [batch, sequence, -1] */
  private batched(): Value {
    let shape = this.constantShapes.get('batched');
    if (!shape) {
      shape = this.graph.node('Concat', [this.batchShape, this.shape(-1)], { axis: 0 });
      this.constantShapes.set('batched', shape);
    }
    return shape;
  }

  /** A shape operand: 0 keeps a dimension, -1 takes what remains. */
  private shape(...dims: number[]): Value {
    let shape = this.constantShapes.get(dims.join());
    if (!shape) {
      shape = this.graph.integers(...dims);
      this.constantShapes.set(dims.join(), shape);
    }
    return shape;
  }
}
