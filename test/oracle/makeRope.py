"""Writes test/fixtures/rope/frequencies.json: for configurations of all kinds of rope, also contradictory ones, the
inverse frequencies and the attention factor that transformers computes for sequences of some lengths, or `refused` where
its model cannot be made or run. `python makeRope.py`.
"""
import json

import torch
import transformers

from fixtures import fixtures

sizes = {"hidden_size": 64, "intermediate_size": 96, "max_position_embeddings": 128, "num_attention_heads": 4,
         "num_hidden_layers": 2, "num_key_value_heads": 2, "pad_token_id": 0, "rms_norm_eps": 1e-6, "vocab_size": 64}
names = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "phi3": "Phi3", "granite": "Granite",
         "smollm3": "SmolLM3"}
lengths = [20, 32, 33, 100, 200]
short = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]
long = [1.0, 1.4, 1.8, 2.2, 2.6, 3.0, 3.4, 3.8]
factors = {"short_factor": short, "long_factor": long}
longrope = {"rope_type": "longrope", **factors, "original_max_position_embeddings": 32}
yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
llama3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32}
dynamic = {"rope_type": "dynamic", "factor": 4.0}
half = {"partial_rotary_factor": 0.5}

cases = [
    ("no parameters", "llama", {}),
    ("theta", "llama", {"rope_theta": 500.0}),
    ("theta inside wins", "llama", {"rope_theta": 7.0, "rope_scaling": {"rope_type": "default", "rope_theta": 500.0}}),
    ("default theta", "smollm3", {"no_rope_layers": [1, 1]}),
    ("rope_scaling wins over rope_parameters", "mistral",
     {"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}, "rope_scaling": {"type": "linear", "factor": 2.0}}),
    ("an empty rope_scaling", "llama",
     {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}, "rope_scaling": {}}),
    ("rope_type wins over type", "llama", {"rope_scaling": {"type": "linear", "rope_type": "default", "factor": 2.0}}),
    ("parameters per layer type where there are none", "llama",
     {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 500.0}}}),
    ("parameters per layer type", "qwen3",
     {"rope_parameters": {"full_attention": {"rope_type": "default", "rope_theta": 500.0}}}),
    ("an unknown type", "llama", {"rope_scaling": {"rope_type": "spiral", "factor": 2.0}}),
    ("linear", "llama", {"rope_scaling": {"type": "linear", "factor": 2.5}}),
    ("linear, shrinking", "qwen2", {"rope_scaling": {"type": "linear", "factor": 0.5}}),
    ("linear without factor", "llama", {"rope_scaling": {"type": "linear"}}),
    ("dynamic", "llama", {"max_position_embeddings": 32, "rope_scaling": dynamic}),
    ("dynamic and an original length", "granite",
     {"max_position_embeddings": 64, "rope_scaling": dynamic | {"original_max_position_embeddings": 32}}),
    ("dynamic, odd head", "qwen3", {"max_position_embeddings": 32, "head_dim": 24, "rope_scaling": dynamic}),
    ("yarn", "qwen2", {"rope_scaling": yarn}),
    ("yarn, factor not the ratio", "qwen3", {"rope_scaling": yarn | {"factor": 8.0}}),
    ("yarn, not yet extended", "qwen2", {"max_position_embeddings": 32, "rope_scaling": yarn}),
    ("yarn without original length", "llama", {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}),
    ("yarn, factor null", "llama", {"rope_scaling": yarn | {"factor": None}}),
    ("yarn, attention factor", "llama", {"rope_scaling": yarn | {"attention_factor": 0.7}}),
    ("yarn, ramp", "llama", {"rope_scaling": yarn | {"beta_fast": 4.0, "beta_slow": 0.5}}),
    ("yarn, ramp not truncated", "llama", {"rope_scaling": yarn | {"beta_fast": 4.0, "truncate": False}}),
    ("yarn, mscale", "llama", {"rope_scaling": yarn | {"mscale": 1.3, "mscale_all_dim": 0.8}}),
    ("yarn, mscale alone", "llama", {"rope_scaling": yarn | {"mscale": 1.3}}),
    ("yarn, mscale 0", "llama", {"rope_scaling": yarn | {"mscale": 1.3, "mscale_all_dim": 0}}),
    ("yarn, small theta", "llama", {"rope_theta": 10.0, "rope_scaling": yarn}),
    ("yarn, the original length also outside", "llama", {"original_max_position_embeddings": 16, "rope_scaling": yarn}),
    ("llama3", "llama", {"rope_scaling": llama3}),
    ("llama3, large theta", "llama", {"rope_theta": 500000.0, "rope_scaling": llama3 | {"factor": 32.0}}),
    ("llama3, the original length also outside", "llama",
     {"original_max_position_embeddings": 16, "rope_scaling": llama3}),
    ("longrope", "llama", {"rope_scaling": longrope}),
    ("longrope, attention factor", "mistral", {"rope_scaling": longrope | {"attention_factor": 1.5}}),
    ("longrope, factor not the ratio", "llama", {"rope_scaling": longrope | {"factor": 16.0}}),
    ("longrope, factor the ratio", "phi3",
     {"original_max_position_embeddings": 32, "rope_scaling": longrope | {"factor": 4.0}}),
    ("longrope, no original length", "llama", {"rope_scaling": {"rope_type": "longrope", **factors}}),
    ("longrope, no original length but a factor", "llama",
     {"rope_scaling": {"rope_type": "longrope", **factors, "factor": 4.0}}),
    ("longrope as su where it is not known", "llama",
     {"rope_scaling": {"type": "su", **factors, "original_max_position_embeddings": 32}}),
    ("Phi-3's su", "phi3", {"original_max_position_embeddings": 32, "rope_scaling": {"type": "su", **factors}}),
    ("Phi-3's yarn", "phi3", {"original_max_position_embeddings": 32, "rope_scaling": {"type": "yarn", **factors}}),
    ("Phi-3, the original length inside only", "phi3", {"max_position_embeddings": 8192, "rope_scaling": longrope}),
    ("Phi-3, the original length also outside", "phi3",
     {"original_max_position_embeddings": 64, "rope_scaling": longrope}),
    ("Phi-3, explicit factor", "phi3",
     {"original_max_position_embeddings": 32, "rope_scaling": {"type": "longrope", **factors, "factor": 16.0}}),
    ("Phi-3, linear", "phi3", {"rope_scaling": {"type": "linear", "factor": 2.0}}),
    ("Phi-3, part of the head", "phi3", half),
    ("Phi-3, part of the head inside", "phi3", {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, **half}}),
    ("Phi-3, part of the head and longrope", "phi3",
     half | {"original_max_position_embeddings": 32,
             "rope_scaling": {"type": "longrope", "short_factor": short[:4], "long_factor": long[:4]}}),
]
for model in names:
    if model == "phi3":
        continue
    extra = {"no_rope_layers": [1, 1]} if model == "smollm3" else {}
    cases.append((f"part of the head: {model}", model, half | extra))
    cases.append((f"part of the head and linear: {model}", model,
                  half | extra | {"rope_scaling": {"type": "linear", "factor": 2.0}}))
cases.append(("part of the head and yarn", "llama", half | {"rope_scaling": yarn}))
cases.append(("part of the head inside, and llama3", "llama", {"rope_scaling": llama3 | half}))


def computed(config):
    """By length: inverse frequencies and attention factor, as a model uses them that has seen nothing before."""
    results = []
    for length in lengths:
        torch.manual_seed(0)
        parsed = transformers.AutoConfig.for_model(**json.loads(json.dumps(config)))
        model = getattr(transformers, config["architectures"][0])(parsed)
        with torch.no_grad():
            model(torch.ones(1, length, dtype=torch.long))
        rope = model.model.rotary_emb
        results.append({"length": length, "inverse_frequencies": rope.inv_freq.tolist(),
                        "attention_factor": float(rope.attention_scaling)})
    return results


def make():
    transformers.utils.logging.set_verbosity_error()
    entries = []
    for name, model, changes in cases:
        config = {"architectures": [f"{names[model]}ForCausalLM"], "model_type": model} | sizes | changes
        entry = {"name": name, "config": config}
        try:
            entry["lengths"] = computed(config)
            first = entry["lengths"][0]["inverse_frequencies"]
            if all(item["inverse_frequencies"] == first for item in entry["lengths"]):
                entry["lengths"] = entry["lengths"][-1:]
        except Exception as error:  # whatever transformers says no with
            entry["refused"] = (str(error) or type(error).__name__).strip().splitlines()[-1].strip()[:120]
        entries.append(entry)
        print(name, entry.get("refused") or f"{len(entry['lengths'])} lengths", sep=": ")
    target = fixtures / "rope"
    target.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (target / "frequencies.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    make()
