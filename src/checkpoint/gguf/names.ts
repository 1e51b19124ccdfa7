/** The names of tensors in GGUF files (gguf-py, tensor_mapping.py) for those of Hugging Face. */

const outside: Readonly<Record<string, string>> = {
  'model.embed_tokens': 'token_embd',
  'model.norm': 'output_norm',
  lm_head: 'output',
};

const inLayer: Readonly<Record<string, string>> = {
  input_layernorm: 'attn_norm',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.qkv_proj': 'attn_qkv',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.gate_up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  post_attention_layernorm: 'ffn_norm',
};

/** Where a norm follows the attention block, too. */
const withNormsAfterBlocks: Readonly<Record<string, string>> = {
  ...inLayer,
  post_attention_layernorm: 'post_attention_norm',
  pre_feedforward_layernorm: 'ffn_norm',
  post_feedforward_layernorm: 'post_ffw_norm',
};

/** The name in the file of a tensor such as `model.layers.0.self_attn.q_proj.weight`. */
export function nameInGguf(name: string, normsAfterBlocks: boolean): string {
  const [, layer, module, part] = /^(?:model\.layers\.(\d+)\.)?(.+)\.(weight|bias)$/.exec(name)!;
  const table = layer === undefined ? outside : normsAfterBlocks ? withNormsAfterBlocks : inLayer;
  return `${layer === undefined ? '' : `blk.${layer}.`}${table[module!]!}.${part!}`;
}
