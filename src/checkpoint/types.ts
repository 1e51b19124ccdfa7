/**
 * The shapes of `src/checkpoint`: what a Hugging Face checkpoint folder holds, before anything runs it.
 */

/** Element types of weights that the readers accept. */
export type WeightType = 'F32' | 'F16' | 'BF16';

/** Any element type that the safetensors format names. */
export type SafetensorsType =
  | WeightType
  | 'F64'
  | 'F8_E4M3'
  | 'F8_E5M2'
  | 'I64'
  | 'I32'
  | 'I16'
  | 'I8'
  | 'U64'
  | 'U32'
  | 'U16'
  | 'U8'
  | 'BOOL';

/** Types of quantised blocks, by their names in GGUF files. */
export type BlockType =
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q8_0'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ4_NL'
  | 'IQ4_XS'
  | 'IQ2_XXS'
  | 'IQ2_XS'
  | 'IQ2_S'
  | 'IQ3_XXS'
  | 'IQ3_S'
  | 'IQ1_S'
  | 'IQ1_M'
  | 'Q1_0'
  | 'TQ1_0'
  | 'TQ2_0'
  | 'MXFP4'
  | 'NVFP4';

/** Where a tensor's bytes lie: row-major little-endian, `length` bytes at `offset` of `file` (a real path, no symlink). */
export interface TensorLocation {
  name: string;
  dtype: SafetensorsType | BlockType;
  shape: number[];
  file: string;
  offset: number;
  length: number;
  /**
   * GGUF files of Llama's family store each head's rows as interleaved pairs: row h * D + 2j + s of the file is row
   * h * D + s * D / 2 + j of the model. D, where it is so.
   */
  interleavedHeadDim?: number;
}

export const architectures = [
  'LlamaForCausalLM',
  'MistralForCausalLM',
  'Qwen2ForCausalLM',
  'Phi3ForCausalLM',
  'Qwen3ForCausalLM',
  'Gemma3ForCausalLM',
  'Gemma3ForConditionalGeneration',
  'SmolLM3ForCausalLM',
  'GraniteForCausalLM',
] as const;
export type Architecture = (typeof architectures)[number];

/** Rotary position embedding, normalised from `rope_scaling` (transformers 4) and `rope_parameters` (transformers 5). */
export interface RopeConfig {
  type: 'default' | 'linear' | 'dynamic' | 'llama3' | 'yarn' | 'longrope';
  theta: number;
  factor?: number;
  originalMaxPositionEmbeddings?: number;
  lowFreqFactor?: number;
  highFreqFactor?: number;
  betaFast?: number;
  betaSlow?: number;
  mscale?: number;
  mscaleAllDim?: number;
  truncate?: boolean;
  attentionFactor?: number;
  shortFactor?: number[];
  longFactor?: number[];
  /** Share of the head that is rotated, 1 unless the config says otherwise. */
  partialRotaryFactor: number;
}

/** How the linear layers of a GPTQ or AWQ checkpoint are packed, normalised from `quantization_config`. */
export interface Packing {
  method: 'gptq' | 'awq';
  bits: 4 | 8;
  /** Inputs that share a scale. */
  groupSize: 32 | 64 | 128;
  /** What is added to a stored zero point. */
  zeroPointOffset: 0 | 1;
}

/** A decoder's shape, normalised from config.json. */
export interface ModelConfig {
  architecture: Architecture;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKeyValueHeads: number;
  headDim: number;
  rmsNormEps: number;
  maxPositionEmbeddings: number;
  /** Per layer: its rotation, null where queries and keys are not rotated. Layers that rotate alike share one object. */
  ropes: readonly (RopeConfig | null)[];
  /** Per layer: keys i-window < j <= i are seen by query i; null = full attention. */
  slidingWindows: readonly (number | null)[];
  tieWordEmbeddings: boolean;
  /** Whether q/k/v, o and the MLP have biases in the file. */
  attentionBias: { qkv: boolean; output: boolean };
  mlpBias: boolean;
  /** Phi-3: one qkv_proj and one gate_up_proj tensor. */
  fusedProjections: boolean;
  /** Qwen3, Gemma 3: RMSNorm on every head's q and k before the rotation. */
  queryKeyNorm: boolean;
  /** Gemma 3: norms after the attention and feed-forward blocks, too. */
  normsAfterBlocks: boolean;
  /** A norm multiplies by its weight plus this: 1 in Gemma 3's safetensors, whose weights lie around 0. */
  normWeightOffset: 0 | 1;
  /** Of the feed-forward layers' gate: SiLU, or GELU by its tanh formula. */
  activation: 'silu' | 'gelu_tanh';
  /** Factor on products of queries and keys before the softmax; 1 / sqrt(headDim) in most models. */
  scoreScale: number;
  /** Factors on token embeddings and virtual tokens, on what a block adds, and on the logits; 1 in most models. */
  embeddingScale: number;
  residualScale: number;
  logitsScale: number;
  /** Whether hidden states grow beyond the range of float16. */
  exceedsFloat16: boolean;
  /** The text part of a model that reads images, too; its other parts are left out. */
  textPartOnly: boolean;
  bosTokenId: number | null;
  /** From generation_config.json if present, else config.json. */
  eosTokenIds: number[];
  padTokenId: number | null;
  /** Only where linear layers are packed. */
  packing?: Packing;
}

/** A checkpoint whose files have been validated against its config; nothing is loaded in memory. */
export interface Checkpoint {
  /** A folder in Hugging Face's layout, or a GGUF file (the first, where it is split). */
  path: string;
  format: 'safetensors' | 'gguf';
  config: ModelConfig;
  /** Only the tensors that the architecture uses, all present, shapes checked. */
  tensors: ReadonlyMap<string, TensorLocation>;
  /** Bytes of all weight files. */
  weightBytes: number;
  /** config.json ties the head to the embeddings, but the files hold another head, which is used. */
  ownHead?: true;
}

/** One low-rank pair: y = W x + scaling * B (A x). */
export interface LoraPair {
  /** (rank, in), row-major */
  a: Float32Array;
  /** (out, rank), row-major */
  b: Float32Array;
  rank: number;
  inFeatures: number;
  outFeatures: number;
  /** loraAlpha / rank (loraAlpha / sqrt(rank) with rslora) */
  scaling: number;
}

/** A LoRA adapter on the feed-forward layers; the key of a pair is `${layer}.${module}`, such as `3.gate_proj`. */
export interface LoraAdapter {
  /** Identifies the adapter's content, for caches: a hash of its tensors. */
  id: string;
  pairs: ReadonlyMap<string, LoraPair>;
}
