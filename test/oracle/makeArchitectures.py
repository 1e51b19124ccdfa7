"""Writes test/fixtures/architectures: one tiny checkpoint for every architecture, and kind of rope and window, that the
decoder computes, with golden values of transformers. `python makeArchitectures.py [NAME...]`.

config.json is spelled as on the Hub today (transformers 4), config.v5.json as transformers 5 saves it.
"""
import json
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file

from fixtures import Inputs, fixtures, load, make_checkpoint, sensitivity, smallest_margin, write_goldens, write_json

folder = fixtures / "architectures"
vocabulary = 256
bos, eos = 250, 251
# a change of one setting must move the logits by at least this; the tests allow 1e-4
smallest_effect = 5e-4

common = {
    "attention_dropout": 0.0,
    "bos_token_id": bos,
    "eos_token_id": eos,
    "hidden_size": 64,
    "initializer_range": 0.02,
    "intermediate_size": 160,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "pad_token_id": 0,
    "transformers_version": "4.57.1",
    "use_cache": True,
    "vocab_size": vocabulary,
}

gemma3 = common | {
    "architectures": ["Gemma3ForCausalLM"],
    "attention_bias": False,
    "attn_logit_softcapping": None,
    "cache_implementation": "hybrid",
    "final_logit_softcapping": None,
    "head_dim": 16,
    "hidden_activation": "gelu_pytorch_tanh",
    "hidden_size": 96,
    "intermediate_size": 80,
    "max_position_embeddings": 256,
    "model_type": "gemma3_text",
    "num_hidden_layers": 7,
    "query_pre_attn_scalar": 24,
    "rms_norm_eps": 1e-06,
    "rope_local_base_freq": 10000,
    "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
    "rope_theta": 1000000,
    "sliding_window": 20,
    "sliding_window_pattern": 6,
    "torch_dtype": "bfloat16",
}

gemma3_vision = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    "boi_token_index": 252,
    "eoi_token_index": 253,
    "eos_token_id": [eos, 249],
    "image_token_index": 254,
    "initializer_range": 0.02,
    "mm_tokens_per_image": 4,
    "model_type": "gemma3",
    "text_config": {
        key: value for key, value in gemma3.items()
        if key not in ("architectures", "torch_dtype", "transformers_version", "cache_implementation")
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0.dev0",
    "vision_config": {
        "hidden_size": 16, "image_size": 28, "intermediate_size": 24, "model_type": "siglip_vision_model",
        "num_attention_heads": 2, "num_hidden_layers": 1, "patch_size": 14, "vision_use_head": False,
    },
}

smollm3 = common | {
    "architectures": ["SmolLM3ForCausalLM"],
    "attention_bias": False,
    "hidden_act": "silu",
    "max_position_embeddings": 256,
    "mlp_bias": False,
    "model_type": "smollm3",
    "no_rope_layer_interval": 4,
    "num_hidden_layers": 5,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 50000.0,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
}

smollm3_window = smollm3 | {
    "num_hidden_layers": 4,
    # the list holds, not the interval; the window is in the layers without rotation
    "no_rope_layers": [1, 0, 1, 0],
    "sliding_window": 18,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
    "use_sliding_window": True,
}

granite = common | {
    "architectures": ["GraniteForCausalLM"],
    "attention_bias": True,
    "attention_multiplier": 0.15,
    "embedding_multiplier": 12.0,
    "hidden_act": "silu",
    "logits_scaling": 1.7,
    "max_position_embeddings": 256,
    "mlp_bias": True,
    "model_type": "granite",
    "num_hidden_layers": 3,
    "residual_multiplier": 0.22,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}

phi4_mini = common | {
    "architectures": ["Phi3ForCausalLM"],
    "attention_bias": False,
    "embd_pdrop": 0.0,
    "full_attn_mod": 1,
    "hidden_act": "silu",
    "interpolate_factor": 1,
    "lm_head_bias": False,
    "max_position_embeddings": 256,
    "mlp_bias": False,
    "model_type": "phi3",
    "num_hidden_layers": 3,
    # the prompts lie on both sides, and the answer of the shorter ones crosses it
    "original_max_position_embeddings": 56,
    "partial_rotary_factor": 0.75,
    "resid_pdrop": 0.0,
    "rms_norm_eps": 1e-05,
    "rope_scaling": {
        "long_factor": [1.0, 1.37, 1.74, 2.11, 2.48, 3.59],
        "short_factor": [1.0, 1.02, 1.05, 1.11, 1.22, 1.33],
        "type": "longrope",
    },
    "rope_theta": 10000.0,
    "sliding_window": 262144,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
}

llama = common | {
    "architectures": ["LlamaForCausalLM"],
    "attention_bias": False,
    "hidden_act": "silu",
    "max_position_embeddings": 128,
    "mlp_bias": False,
    "model_type": "llama",
    "num_hidden_layers": 2,
    "pretraining_tp": 1,
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "tie_word_embeddings": False,
    "torch_dtype": "float16",
}

qwen3_windows = common | {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "head_dim": 24,
    "hidden_act": "silu",
    "layer_types": ["sliding_attention", "full_attention", "full_attention", "sliding_attention"],
    "max_position_embeddings": 256,
    "max_window_layers": 2,
    "model_type": "qwen3",
    "num_hidden_layers": 4,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "sliding_window": 20,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_sliding_window": True,
}


def set_(**settings):
    return lambda raw: raw.update(settings)


def rope_(**settings):
    return lambda raw: raw["rope_scaling"].update(settings)


def longrope(raw):
    raw["rope_scaling"]["short_factor"] = raw["rope_scaling"]["long_factor"]


# name: config, which decoding is the reference, and what must show if it is computed otherwise
table = {
    "gemma3": (gemma3, "both", {
        "query_pre_attn_scalar": set_(query_pre_attn_scalar=16),
        "linear factor": set_(rope_scaling=None),
        "global theta": set_(rope_theta=10000),
        "local theta": set_(rope_local_base_freq=1000000),
        "window": set_(sliding_window=21),
        "pattern": set_(sliding_window_pattern=7),
        "activation": set_(hidden_activation="gelu"),
        "soft cap": set_(final_logit_softcapping=30.0),
    }),
    "smollm3": (smollm3, "both", {
        "layers without rotation": set_(no_rope_layers=[1] * 5),
        "which layers": set_(no_rope_layer_interval=3),
        "theta": set_(rope_theta=10000.0),
    }),
    "smollm3-window": (smollm3_window, "both", {
        "layers without rotation": set_(no_rope_layers=[1, 1, 1, 0]),
        "window": set_(sliding_window=19),
        "use_sliding_window": set_(use_sliding_window=False),
    }),
    "granite": (granite, "both", {
        "embedding": set_(embedding_multiplier=1.0),
        "residual": set_(residual_multiplier=1.0),
        "attention": set_(attention_multiplier=0.25),
        "logits": set_(logits_scaling=1.0),
    }),
    "phi-4-mini": (phi4_mini, "recomputed", {
        "long factors": longrope,
        "attention factor": rope_(attention_factor=1.0),
    }),
    "llama-yarn": (llama | {
        # as Qwen's model cards write it: the length before the extension, beside a factor
        "max_position_embeddings": 32,
        "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32, "rope_type": "yarn"},
    }, "both", {
        "factor": rope_(factor=2.0),
        "attention factor": rope_(attention_factor=1.0),
        "ramp": rope_(beta_fast=1.5),
    }),
    "llama-linear": (llama | {"rope_scaling": {"factor": 4.0, "type": "linear"}}, "both", {
        "factor": rope_(factor=2.0),
    }),
    "llama-dynamic": (llama | {
        "max_position_embeddings": 50,
        "rope_scaling": {"factor": 4.0, "rope_type": "dynamic"},
    }, "cached", {
        "factor": rope_(factor=20.0),
        "length": set_(max_position_embeddings=128),
    }),
    # tied by config.json, with another head in the file
    "llama-own-head": (llama | {"num_hidden_layers": 1, "tie_word_embeddings": True}, "both", {}),
    "qwen3-windows": (qwen3_windows, "both", {
        "window": set_(sliding_window=21),
        "which layers": set_(layer_types=["full_attention"] * 2 + ["sliding_attention"] * 2),
    }),
}


def stored_beside(name, seed):
    """Tensors that transformers' own model of the configuration does not have."""
    if name != "llama-own-head":
        return {}
    generator = torch.Generator().manual_seed(seed + 1000)
    head = 0.05 * torch.randn(vocabulary, llama["hidden_size"], generator=generator)
    return {"lm_head.weight": head.to(torch.float16)}


def make(name):
    config, decoding, changes = table[name]
    for seed in range(1, 200):
        make_checkpoint(folder / name, config, seed, stored=stored_beside(name, seed))
        margin = write_goldens(folder / name, seed, decoding)
        if margin >= smallest_margin:
            break
    write_newer_config(folder / name)
    print(f"{name}: seed {seed}, smallest margin {margin:.4f}")
    for what, change in changes.items():
        effect = sensitivity(folder / name, change)
        print(f"  {what}: {effect:.4f}")
        assert effect >= smallest_effect, (name, what, effect)


def write_newer_config(target):
    """config.v5.json: the configuration as transformers 5 saves it beside the weights."""
    config = load(target).config
    config.dtype = target_dtype(target)
    with tempfile.TemporaryDirectory() as temporary:
        config.save_pretrained(temporary)
        shutil.copyfile(Path(temporary) / "config.json", target / "config.v5.json")


def target_dtype(target):
    return json.loads((target / "config.json").read_text())["torch_dtype"]


def make_vision():
    """Gemma 3 with a vision tower, in the names of the files on the Hub; the text model's weights are those of
    `gemma3`, so are the golden values (checked)."""
    target = folder / "gemma3-vision"
    text = load_file(folder / "gemma3" / "model.safetensors")

    def rename(name):
        name = name.removeprefix("model.")
        return name.replace("language_model.", "language_model.model.", 1)

    stored = {f"language_model.{name}": tensor for name, tensor in text.items()}
    make_checkpoint(target, gemma3_vision, 1, rename, stored)
    golden = json.loads((folder / "gemma3" / "golden.json").read_text())
    logits = {}
    for name in ("gemma3", "gemma3-vision"):
        inputs = Inputs(load(folder / name))
        with torch.no_grad():
            logits[name] = inputs.logits(inputs.tokens(golden["prefix_ids"])).logits
    write_newer_config(target)
    assert torch.equal(logits["gemma3"], logits["gemma3-vision"])
    write_json(target / "golden.json", {"name": "gemma3-vision", "same_as": "gemma3"})
    print("gemma3-vision: the logits of gemma3")


if __name__ == "__main__":
    wanted = sys.argv[1:] or [*table, "gemma3-vision"]
    for name in wanted:
        make_vision() if name == "gemma3-vision" else make(name)
