/**
 * The graphs of every architecture as text (test/golden/graphs): a change of the code that is to change no graph moves
 * no line there. Some graphs are written out; of the others, and of constants, a hash of the encoded model tells.
 */
import { createHash } from 'node:crypto';
import { expectedTensors } from '../../../src/checkpoint/layers.ts';
import { parseModelConfig } from '../../../src/checkpoint/config.ts';
import { plannedTensors, recipeOf } from '../../../src/checkpoint/quantized/recipe.ts';
import type { PreparedWeights } from '../../../src/checkpoint/quantized/store.ts';
import type { Checkpoint, TensorLocation } from '../../../src/checkpoint/types.ts';
import { CheckpointWeights } from '../../../src/decoder/graphWeights.ts';
import { emitInferenceGraph } from '../../../src/decoder/inferenceGraph.ts';
import { QuantizedGraphWeights } from '../../../src/decoder/quantizedGraphWeights.ts';
import { emitTrainingGraph } from '../../../src/decoder/trainingGraph.ts';
import type { Graph } from '../../../src/onnx/graph.ts';
import { assertGolden } from '../../support/golden.ts';

const base = {
  vocab_size: 40,
  hidden_size: 64,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  hidden_act: 'silu',
  tie_word_embeddings: false,
};

const models: Record<string, { dtype: 'F32' | 'BF16'; config: Record<string, unknown> }> = {
  llama: { dtype: 'F32', config: { architectures: ['LlamaForCausalLM'] } },
  'llama-biases': {
    dtype: 'BF16',
    config: { architectures: ['LlamaForCausalLM'], attention_bias: true, mlp_bias: true, head_dim: 20 },
  },
  mistral: { dtype: 'BF16', config: { architectures: ['MistralForCausalLM'], sliding_window: 24 } },
  qwen2: {
    dtype: 'F32',
    config: {
      architectures: ['Qwen2ForCausalLM'],
      use_sliding_window: true,
      sliding_window: 16,
      max_window_layers: 1,
    },
  },
  'qwen2-tied': {
    dtype: 'BF16',
    config: { architectures: ['Qwen2ForCausalLM'], tie_word_embeddings: true },
  },
  phi3: {
    dtype: 'BF16',
    config: { architectures: ['Phi3ForCausalLM'], partial_rotary_factor: 0.5, sliding_window: 29 },
  },
  qwen3: { dtype: 'BF16', config: { architectures: ['Qwen3ForCausalLM'], head_dim: 32 } },
  gemma3: {
    dtype: 'BF16',
    config: {
      architectures: ['Gemma3ForCausalLM'],
      head_dim: 32,
      sliding_window_pattern: 2,
      sliding_window: 16,
      tie_word_embeddings: true,
    },
  },
  smollm3: {
    dtype: 'BF16',
    config: { architectures: ['SmolLM3ForCausalLM'], no_rope_layers: [1, 0], tie_word_embeddings: true },
  },
  granite: {
    dtype: 'F32',
    config: {
      architectures: ['GraniteForCausalLM'],
      embedding_multiplier: 12,
      residual_multiplier: 0.22,
      attention_multiplier: 0.0625,
      logits_scaling: 8,
    },
  },
};

describe('graph listings', () => {
  for (const [name, { dtype, config }] of Object.entries(models)) {
    it(name, () => {
      const graphs = [...graphsOf(checkpointOf({ ...base, ...config }, dtype))];
      const text = graphs.map(({ title, graph, written }) => {
        const hash = createHash('sha256').update(graph.encode().bytes).digest('hex').slice(0, 16);
        return `# ${title}: ${hash}\n${written ? graph.listing() : ''}`;
      });
      assertGolden(`graphs/${name}.txt`, text.join('\n'));
    });
  }
});

function* graphsOf(checkpoint: Checkpoint): Generator<{ title: string; graph: Graph; written: boolean }> {
  const { config } = checkpoint;
  for (const attention of ['blocks', 'fused', 'plain'] as const) {
    for (const lora of [false, true]) {
      for (const weights of ['stored', 'int8', 'int4'] as const) {
        const activations = attention === 'blocks' ? 'float32' : 'float16';
        const graph = emitInferenceGraph(
          config,
          (emitted) =>
            weights === 'stored'
              ? new CheckpointWeights(emitted, checkpoint, activations)
              : new QuantizedGraphWeights(emitted, quantized(checkpoint, weights), checkpoint, activations),
          { activations, lora, attention },
        );
        const title = `inference, ${attention}, ${weights}${lora ? ', LoRA' : ''}`;
        const written = ['inference, blocks, stored', 'inference, fused, int4, LoRA'].includes(title);
        yield { title, graph, written };
      }
    }
  }
  const trained = ['model.norm.weight', 'model.layers.0.mlp.down_proj.weight'];
  const training = {
    'training of rows on a tail': { past: true, lora: false, gradients: { inputsEmbeds: true } },
    'training of a LoRA': { past: false, lora: true, gradients: { lora: true } },
    'training of all': { past: false, lora: true, gradients: { inputsEmbeds: true, weights: trained } },
  };
  for (const [title, options] of Object.entries(training)) {
    yield { title, graph: emitTrainingGraph(checkpoint, options), written: title.endsWith('LoRA') };
  }
}

/** A checkpoint whose files are not there: emission looks at names, types and shapes only. */
function checkpointOf(json: Record<string, unknown>, dtype: 'F32' | 'BF16'): Checkpoint {
  const config = parseModelConfig(json, undefined, 'config.json');
  const tensors = placed([...expectedTensors(config)].map(([name, shape]) => ({ name, dtype, shape })));
  return { path: '/model', format: 'safetensors', config, tensors, weightBytes: 0 };
}

function quantized(checkpoint: Checkpoint, precision: 'int8' | 'int4'): PreparedWeights {
  const recipe = recipeOf(checkpoint, precision, '/model');
  return {
    precision,
    folder: '/model',
    tensors: placed(plannedTensors(recipe)),
    linears: recipe.linears,
    bytes: 0,
  };
}

const bytesPerElement = { F32: 4, F16: 2, BF16: 2, U8: 1 };

function placed(
  tensors: readonly { name: string; dtype: keyof typeof bytesPerElement; shape: number[] }[],
): Map<string, TensorLocation> {
  let offset = 0;
  const sorted = tensors.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return new Map(
    sorted.map(({ name, dtype, shape }) => {
      const length = bytesPerElement[dtype] * shape.reduce((a, b) => a * b, 1);
      const location = { name, dtype, shape, file: '/model/model.safetensors', offset, length };
      offset += length;
      return [name, location];
    }),
  );
}
