/** The architectures by their names in config.json: another one is a file here and a line in this table. */
import type { Architecture } from '../types.ts';
import { gemma3, gemma3WithVision } from './gemma3.ts';
import { granite } from './granite.ts';
import { llama, mistral } from './llama.ts';
import { phi3 } from './phi3.ts';
import { qwen2, qwen3 } from './qwen.ts';
import type { ArchitectureRules } from './rules.ts';
import { smollm3 } from './smollm3.ts';

export const architectureRules: Readonly<Record<Architecture, ArchitectureRules>> = {
  LlamaForCausalLM: llama,
  MistralForCausalLM: mistral,
  Qwen2ForCausalLM: qwen2,
  Phi3ForCausalLM: phi3,
  Qwen3ForCausalLM: qwen3,
  Gemma3ForCausalLM: gemma3,
  Gemma3ForConditionalGeneration: gemma3WithVision,
  SmolLM3ForCausalLM: smollm3,
  GraniteForCausalLM: granite,
};
