"""Writes test/fixtures/fields.json: for every architecture, every field that transformers' configuration class has, and
further keys that configurations on the Hub have, are given another value; do the logits of the same weights change?
"same", "other", or "refused" where transformers fails. `python makeFields.py`.
"""
import dataclasses
import json
import tempfile
from pathlib import Path

import torch
import transformers

import makeArchitectures as architectures
from fixtures import Inputs, fixtures, load, make_checkpoint

llama = architectures.llama
plain = {
    "llama": llama,
    "mistral": llama | {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 20},
    "qwen2": llama | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": True,
                      "sliding_window": 20, "max_window_layers": 1},
    "qwen3": architectures.qwen3_windows | {"layer_types": None},
    "phi3": llama | {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "sliding_window": 20},
    "gemma3": architectures.gemma3 | {"num_hidden_layers": 6},
    "smollm3": architectures.smollm3_window,
    "granite": architectures.granite | {"num_hidden_layers": 2},
}
factors = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
# another value for what has no default, and where the default plus or times something would not do
values = {
    "architectures": None,  # tried nowhere: it says what the rest means
    "model_type": None,
    "dtype": "float16",
    "torch_dtype": "float16",
    "layer_types": "half",
    "no_rope_layers": "half",
    "hidden_act": "gelu",
    "hidden_activation": "gelu",
    "rope_parameters": {"rope_type": "default", "rope_theta": 100.0},
    "rope_scaling": {"rope_type": "linear", "factor": 3.0},
    "rope_theta": 100.0,
    "rope_local_base_freq": 100.0,
    "sliding_window": 7,
    "max_position_embeddings": 64,
    "original_max_position_embeddings": 16,
    "max_window_layers": 0,
    "partial_rotary_factor": 0.5,
    "sliding_window_pattern": 2,
    "no_rope_layer_interval": 2,
    "query_pre_attn_scalar": 100,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "vocab_size": 128,
    "eos_token_id": [7, 8],
    "bos_token_id": 7,
    "pad_token_id": 7,
    "final_logit_softcapping": 5.0,
    "attn_logit_softcapping": 5.0,
    "id2label": {"0": "a", "1": "b", "2": "c"},
    "label2id": {"a": 0},
    "num_labels": 3,
    "name_or_path": "x",
    "_name_or_path": "x",
    "attention_bias": "flip",
    "mlp_bias": "flip",
    "tie_word_embeddings": "flip",
}
# further keys: of other architectures, of older versions, of remote code
others = ["alibi", "attention_multiplier", "clip_qkv", "embedding_multiplier", "logits_scaling", "residual_multiplier",
          "full_attn_mod", "interpolate_factor", "lm_head_bias", "pretraining_tp", "use_mrope", "use_qk_norm", "qk_norm",
          "use_parallel_residual", "parallel_attn", "num_experts", "num_local_experts", "rotary_pct", "layer_norm_eps",
          "scale_attention_softmax_in_fp32", "embd_scale", "logit_scale", "attention_sink_size", "attn_implementation",
          "rope_interleaved", "use_cache", "cache_implementation", "auto_map", "torch_dtype", "rope_scaling",
          "rope_theta", "rope_local_base_freq", "partial_rotary_factor", "original_max_position_embeddings",
          "sliding_window_pattern", "_name_or_path", "unsloth_fixed", "max_sequence_length"]


def another(name, current, layers):
    value = values.get(name, "by type")
    if value == "half":
        window = ["sliding_attention", "full_attention"] if name == "layer_types" else [0, 1]
        return (window * layers)[:layers]
    if value == "flip" or (value == "by type" and isinstance(current, bool)):
        return not current
    if value != "by type":
        return value
    if isinstance(current, int):
        return current + 1
    if isinstance(current, float):
        return 1.5 * current if current else 0.3
    if isinstance(current, str):
        return "other"
    return True


def logits(folder, config, ids):
    torch.manual_seed(0)
    inputs = Inputs(load(folder, config))
    with torch.no_grad():
        return inputs.logits(inputs.tokens(ids), use_cache=False).logits[0]


def effects(model, config):
    ids = [1 + (37 * i) % 200 for i in range(50)]
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        parsed = make_checkpoint(folder, config, 1)
        before = logits(folder, parsed, ids)
        fields = [field.name for field in dataclasses.fields(parsed)]
        for name in sorted({*fields, *others, *config} - {"architectures", "model_type"}):
            current = config.get(name, getattr(parsed, name, None))
            value = another(name, current, config["num_hidden_layers"])
            try:
                changed = transformers.AutoConfig.for_model(**json.loads(json.dumps(config | {name: value})))
                after = logits(folder, changed, ids)
                same = after.shape == before.shape and float((after - before).abs().max()) < 1e-6
                effect = "same" if same else "other"
            except Exception:  # whatever transformers says no with
                effect = "refused"
            results[name] = {"value": value, "effect": effect}
    return {"config": config, "fields": results}


if __name__ == "__main__":
    transformers.utils.logging.set_verbosity(transformers.utils.logging.CRITICAL)
    table = {model: effects(model, config) for model, config in plain.items()}
    lines = []
    for model, entry in table.items():
        fields = ",\n".join(f"    {json.dumps(name)}: {json.dumps(field)}" for name, field in entry["fields"].items())
        lines.append(f'  "{model}": {{\n   "config": {json.dumps(entry["config"])},\n   "fields": {{\n{fields}\n   }}\n  }}')
    (fixtures / "fields.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
    names = sorted({name for entry in table.values() for name in entry["fields"]})
    for name in names:
        print(name, {model: entry["fields"][name]["effect"] for model, entry in table.items() if name in entry["fields"]})
