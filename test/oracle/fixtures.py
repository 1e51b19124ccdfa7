"""Tiny checkpoints with random weights, and the golden values that transformers computes from them in float32.

A fixture is a folder in Hugging Face's layout with golden.json and golden.bin beside the weights (README.md of this
folder says what is in them). Everything is drawn from a seed, so a script run twice writes the same bytes.
"""
import json
import os
from pathlib import Path

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)

fixtures = Path(__file__).resolve().parent.parent / "fixtures"
dtypes = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

new_tokens = 24
virtual_tokens = 10
scenarios = {"baseline": 0, "vt1": 1, "vt10": 10}
smallest_margin = 2e-3


def write_json(path, value, **options):
    path.write_text(json.dumps(value, **options) + "\n")


def random_weights(model, seed, tied, norm_offset):
    """Sets every parameter: linears and embeddings N(0, 0.05), q and k 0.12, o and down 0.10, biases 0.2, norm
    weights 1 + 0.1 N(0, 1), so that a mistake shows clearly; random signs in the final norm where the head is tied."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            if "vision_tower" in name or "multi_modal" in name:
                parameter.copy_(0.05 * noise)
            elif name.endswith("norm.weight"):
                scale = 1 + 0.1 * noise
                if tied and name.endswith("model.norm.weight"):
                    scale *= torch.where(torch.rand(parameter.shape, generator=generator) < 0.5, -1.0, 1.0)
                parameter.copy_(scale - norm_offset)
            elif name.endswith("bias"):
                parameter.copy_(0.2 * noise)
            else:
                parameter.copy_(deviation(name) * noise)


def deviation(name):
    parts = {"q_proj": 0.12, "k_proj": 0.12, "qkv_proj": 0.12, "o_proj": 0.10, "down_proj": 0.10}
    return next((value for part, value in parts.items() if f".{part}." in name), 0.05)


def write_tokenizer(folder, vocabulary, bos, eos):
    """Token i is the text <ti>, so that any ids can be written as a prompt."""
    tokens = {f"<t{i}>": i for i in range(vocabulary)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": token, **flags} for token, i in tokens.items()],
        "normalizer": None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": tokens, "merges": []},
    }
    write_json(folder / "tokenizer.json", tokenizer, separators=(",", ":"))
    write_json(folder / "tokenizer_config.json",
               {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}, indent=1)
    write_json(folder / "generation_config.json", {"bos_token_id": bos, "eos_token_id": eos}, indent=1)


def load(folder, config=None):
    """The checkpoint of a folder as transformers reads it, in float32."""
    config = config or transformers.AutoConfig.from_pretrained(folder)
    return model_class(config).from_pretrained(
        folder, config=config, dtype=torch.float32, attn_implementation="eager"
    ).eval()


def model_class(config):
    return getattr(transformers, config.architectures[0])


class Inputs:
    """Embeddings as the model takes them, of token ids and of unscaled rows (Gemma's table scales on reading)."""

    def __init__(self, model):
        self.model = model
        self.table = model.get_input_embeddings()
        self.scale = getattr(self.table, "embed_scale", torch.tensor(1.0))

    def tokens(self, ids):
        return self.table(torch.tensor(ids))

    def rows(self, rows):
        return rows * self.scale

    def logits(self, embeddings, **options):
        return self.model(inputs_embeds=embeddings[None], **options)


def greedy(folder, prompt, cached):
    """Greedy ids with their margins; `cached` with keys and values kept, as generate() does, else all anew each time."""
    model = load(folder)
    inputs = Inputs(model)
    embeddings = prompt(inputs)
    ids, margins = [], []
    past, following = None, embeddings
    with torch.no_grad():
        for _ in range(new_tokens):
            if cached:
                output = inputs.logits(following, past_key_values=past, use_cache=True)
                past = output.past_key_values
            else:
                output = inputs.logits(embeddings, use_cache=False)
            best = output.logits[0, -1].topk(2)
            ids.append(int(best.indices[0]))
            margins.append(float(best.values[0] - best.values[1]))
            following = inputs.tokens(ids[-1:])
            embeddings = torch.cat([embeddings, following])
    return ids, margins


def spring_training(folder, ids, rows):
    """Three AdamW steps on the rows; the loss is the mean cross-entropy of the target's tokens."""
    prefix, suffix, target = ids
    model = load(folder).requires_grad_(False)
    inputs = Inputs(model)
    rows = torch.nn.Parameter(rows.clone())
    optimizer = torch.optim.AdamW([rows], lr=1e-2, weight_decay=0.0)
    answer_start = len(prefix) + len(rows) + len(suffix)
    losses, first_gradient = [], None
    for step in range(4):
        embeddings = torch.cat(
            [inputs.tokens(prefix), inputs.rows(rows), inputs.tokens(suffix), inputs.tokens(target)])
        logits = inputs.logits(embeddings, use_cache=False).logits[0, answer_start - 1 : -1]
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(target))
        losses.append(loss.item())
        if step == 3:
            break
        optimizer.zero_grad()
        loss.backward()
        if first_gradient is None:
            first_gradient = rows.grad.clone()
        optimizer.step()
    settings = {"name": "AdamW", "lr": 1e-2, "betas": [0.9, 0.999], "eps": 1e-8, "weight_decay": 0.0, "steps": 3}
    labels = [-100] * answer_start + list(target)
    golden = {"virtual_tokens": len(rows), "labels": labels, "target_ids": target, "losses": losses,
              "optimizer": settings}
    return golden, {"spring_training/grad": first_gradient, "spring_training/final": rows.detach()}


def prompt_logits(folder, prompt, rows):
    """Logits (rows, vocabulary) of the prompt's positions `rows`, in one pass, by a model that has seen nothing else."""
    inputs = Inputs(load(folder))
    with torch.no_grad():
        embeddings = prompt(inputs)
        return inputs.logits(embeddings, use_cache=False).logits[0, rows], len(embeddings)


def write_goldens(folder, seed, decoding="both", special=(), limit=None):
    """golden.json and golden.bin of the checkpoint in `folder`; the smallest margin of all greedy ids.

    decoding: "both": kept keys and values and none give the same ids (checked); "recomputed": the ids without keeping
    them; "cached": those with.
    """
    config = transformers.AutoConfig.from_pretrained(folder).get_text_config()
    generator = np.random.default_rng(seed)
    usable = [i for i in range(1, limit or config.vocab_size) if i not in special]
    draw = lambda count: [int(i) for i in generator.choice(usable, count)]
    prefix, suffix, target = [config.bos_token_id, *draw(39)], draw(12), draw(6)
    std = 0.05
    rows = torch.tensor(generator.normal(0, std, (virtual_tokens, config.hidden_size)), dtype=torch.float32)

    tensors = {"virtual_tokens": rows}
    golden = {
        "name": folder.name,
        "made_with": {"transformers": transformers.__version__, "torch": torch.__version__.split("+")[0]},
        "dtype": "float32 little-endian",
        "prefix_ids": prefix,
        "suffix_ids": suffix,
        "decoding": decoding,
        "scenarios": {},
    }
    for name, count in scenarios.items():
        prompt = lambda inputs: torch.cat([inputs.tokens(prefix), inputs.rows(rows[:count]), inputs.tokens(suffix)])
        length = len(prefix) + count + len(suffix)
        positions = [0, 1, 9, 25, 39, length - 8, length - 1]
        logits, _ = prompt_logits(folder, prompt, positions)
        tensors[f"{name}/logits"] = logits
        runs = {cached: greedy(folder, prompt, cached) for cached in (True, False)}
        if decoding == "both":
            assert runs[True][0] == runs[False][0], (folder, name, runs)
        ids, margins = runs[decoding == "cached"]
        golden["scenarios"][name] = {
            "virtual_tokens": count,
            "sequence_length": length,
            "logits_at": positions,
            "greedy_ids": ids,
            "greedy_margins": [round(margin, 6) for margin in margins],
        }
    golden["spring_training"], trained = spring_training(folder, (prefix, suffix, target), rows)
    tensors |= trained
    margin = min(min(scenario["greedy_margins"]) for scenario in golden["scenarios"].values())
    golden["min_greedy_margin"] = margin
    golden["tensors"] = write_tensors(folder / "golden.bin", tensors)
    write_json(folder / "golden.json", golden, separators=(",", ":"))
    return margin


def write_tensors(path, tensors):
    """Writes float32 tensors one after another; where each is."""
    entries, parts, offset = {}, [], 0
    for name, tensor in tensors.items():
        data = tensor.detach().to(torch.float32).contiguous().numpy().tobytes()
        entries[name] = {"offset": offset, "shape": list(tensor.shape)}
        parts.append(data)
        offset += len(data)
    path.write_bytes(b"".join(parts))
    return entries


def make_checkpoint(folder, config, seed, rename=lambda name: name, stored=()):
    """Writes config.json as given, random weights rounded to its `torch_dtype`, and a tokenizer.

    rename: from transformers' parameter names to the names in the file; stored: further tensors of the file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config, indent=1)
    parsed = transformers.AutoConfig.from_pretrained(folder)
    text = parsed.get_text_config()
    model = model_class(parsed)(parsed)
    gemma = text.model_type.startswith("gemma3")
    random_weights(model, seed, text.tie_word_embeddings, 1 if gemma else 0)
    dtype = dtypes[config["torch_dtype"]]
    tensors = {
        rename(name): parameter.detach().to(dtype).contiguous()
        for name, parameter in model.named_parameters()
        if not (text.tie_word_embeddings and name == "lm_head.weight")
    }
    save_file(tensors | dict(stored), folder / "model.safetensors", metadata={"format": "pt"})
    eos = text.eos_token_id
    write_tokenizer(folder, text.vocab_size, text.bos_token_id, eos)
    return parsed


def sensitivity(folder, change):
    """How far the logits of a prompt move if one thing of config.json is computed otherwise."""
    golden = json.loads((folder / "golden.json").read_text())
    ids = golden["prefix_ids"] + golden["suffix_ids"]
    results = []
    for changed in (False, True):
        raw = json.loads((folder / "config.json").read_text())
        if changed:
            change(raw)
        config = transformers.AutoConfig.for_model(**raw)
        inputs = Inputs(load(folder, config))
        with torch.no_grad():
            results.append(inputs.logits(inputs.tokens(ids), use_cache=False).logits[0])
    return float((results[0] - results[1]).abs().max())
