"""Writes test/fixtures/gguf: tiny models as GGUF files, with golden values of transformers on the same weights
(quantised ones dequantised by gguf-py). `python makeGguf.py [NAME...]`; checkGguf.mjs compares with llama.cpp.

Names come from gguf-py's tensor map; metadata and the order of q's and k's rows as llama.cpp's convert_hf_to_gguf
writes them.
"""
import shutil
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file

import makeArchitectures as architectures
from fixtures import fixtures, make_checkpoint, smallest_margin, write_goldens
from gguf.quants import dequantize, quantize

folder = fixtures / "gguf"
merges = ["t h", "th e", "\u0120 t", "i n", "e r", "a n", "r e", "o n", "a t", "e n", "n d", "e s", "o r", "\u0120 a"]
vocabulary = 272
bos, eos = 0, 1
type_of = gguf.GGMLQuantizationType
# Llama's family stores the two halves of each head's rows as pairs
interleaved = {"llama", "smollm3", "granite"}

ids = {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": None, "vocab_size": vocabulary,
       "max_position_embeddings": 256}
small = {"num_hidden_layers": 2, "intermediate_size": 96, "torch_dtype": "float16"}

gemma3 = architectures.gemma3 | ids | {
    # llama.cpp scales by the head's size (only the 27B model otherwise), one layer in six is global
    "query_pre_attn_scalar": 16, "hidden_size": 96, "num_hidden_layers": 6, "intermediate_size": 32,
    "torch_dtype": "float16",
}
smollm3 = architectures.smollm3 | ids | small | {"num_hidden_layers": 4}
granite = architectures.granite | ids | small
phi3 = architectures.phi4_mini | ids | small | {"original_max_position_embeddings": 40, "max_position_embeddings": 160,
                                               "sliding_window": None}
llama = architectures.llama | ids | small
llama3 = llama | {
    "head_dim": 24, "num_key_value_heads": 1,
    "rope_scaling": {"factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0,
                     "original_max_position_embeddings": 64, "rope_type": "llama3"},
}
qwen2 = llama | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "torch_dtype": "float32",
                 "use_sliding_window": False, "intermediate_size": 64}
qwen2_yarn = qwen2 | {
    "max_position_embeddings": 32, "torch_dtype": "float16",
    "rope_scaling": {"factor": 4.0, "original_max_position_embeddings": 32, "rope_type": "yarn"},
}
qwen3 = architectures.qwen3_windows | ids | small | {"use_sliding_window": False, "layer_types": None}
wide = llama | {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 1, "torch_dtype": "float32",
                "tie_word_embeddings": True}

F16, F32, Q8_0, Q4_0 = type_of.F16, type_of.F32, type_of.Q8_0, type_of.Q4_0
Q4_K, Q5_K, Q6_K = type_of.Q4_K, type_of.Q5_K, type_of.Q6_K
# name: config, types by parts of names (the first that fits), tokenizer
table = {
    "llama3": (llama3, {"": F16}, "llama-bpe"),
    "llama-q8_0": (llama, {"": Q8_0}, "llama"),
    "qwen2": (qwen2, {"": F32}, "qwen2"),
    "qwen2-yarn": (qwen2_yarn, {"": F16}, "qwen2"),
    "qwen2-q4_0": (qwen2, {"token_embd": F16, "": Q4_0}, "qwen2"),
    "qwen3": (qwen3, {"": F16}, "qwen2"),
    "phi3": (phi3, {"": F16}, "gpt-4o"),
    "gemma3": (gemma3, {"": F16}, "llama"),
    "smollm3": (smollm3, {"": F16}, "smaug-bpe"),
    "granite": (granite, {"": F16}, "refact"),
    # as llama.cpp mixes them in Q4_K_M files
    "llama-q4_k_m": (wide, {"token_embd": Q6_K, "attn_v": Q6_K, "ffn_down": Q6_K, "attn_output": Q5_K, "": Q4_K},
                     "smollm"),
}


def pairs(tensor, heads):
    """Row h * D + 2j + s of the file is row h * D + s * D / 2 + j of the model."""
    size = tensor.shape[0] // heads
    rows = [h * size + s * size // 2 + j for h in range(heads) for j in range(size // 2) for s in range(2)]
    return tensor[rows]


def random_blocks(rows, columns, kind, generator, deviation):
    """Blocks of random codes and scales; the factors (float16) are set so that the weights have this deviation."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = generator.integers(0, 256, (rows * columns // values, size), dtype=np.uint8)
    factors = {Q4_K: [(0, 1.0), (2, 7.5)], Q5_K: [(0, 1.0), (2, 15.5)], Q6_K: [(size - 2, 1.0)]}[kind]

    def fill(unit):
        for offset, share in factors:
            blocks[:, offset : offset + 2] = np.frombuffer(np.float16(unit * share).tobytes(), np.uint8)
        return blocks.reshape(rows, -1)

    unit = 2.0**-10
    return fill(unit * deviation / dequantize(fill(unit), kind).std())


def names_of(config):
    arch = gguf.MODEL_ARCH[{"gemma3_text": "GEMMA3"}.get(config["model_type"], config["model_type"].upper())]
    return arch, gguf.get_tensor_name_map(arch, config["num_hidden_layers"])


def stored_tensors(checkpoint, config, types, seed):
    """The file's tensors by name: (values or blocks, type); weights are written back to the checkpoint as they are read
    from the file, so that the golden values are theirs."""
    generator = np.random.default_rng(seed)
    arch, names = names_of(config)
    weights = load_file(checkpoint / "model.safetensors")
    result = {}
    for name, tensor in sorted(weights.items()):
        stored = names.get_name(name, try_suffixes=(".weight", ".bias"))
        kind = next(kind for part, kind in types.items() if part in stored) if tensor.ndim == 2 else F32
        permuted = gguf.MODEL_ARCH_NAMES[arch] in interleaved
        heads = {"q_proj": config["num_attention_heads"], "k_proj": config["num_key_value_heads"]}
        heads = next((count for part, count in heads.items() if part in name), None) if permuted else None
        values = tensor.float()
        if heads:
            values = pairs(values, heads)
        if arch == gguf.MODEL_ARCH.GEMMA3 and name.endswith("norm.weight"):
            values = values + 1
        values = values.numpy()
        if kind in (Q4_K, Q5_K, Q6_K):
            blocks = random_blocks(*values.shape, kind, generator, values.std())
        else:
            blocks = quantize(values, kind)
        result[stored] = (blocks, kind)
        if tensor.ndim != 2:
            continue
        back = torch.from_numpy(dequantize(blocks, kind).copy())
        if heads:
            inverse = torch.argsort(pairs(torch.arange(len(back))[:, None], heads)[:, 0])
            back = back[inverse]
        weights[name] = back
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return result


def byte_characters():
    """GPT-2's printable character of each byte."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def write_tokenizer(writer, kind, config):
    normal, control, byte, unknown = (int(getattr(gguf.TokenType, name))
                                      for name in ("NORMAL", "CONTROL", "BYTE", "UNKNOWN"))
    pieces = [merge.replace(" ", "") for merge in merges]
    if kind == "llama":
        pieces = [piece.replace("\u0120", "\u2581") for piece in [*pieces[:-1], "\u2581"]]
        tokens = ["<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces]
        types = [control, control, *[byte] * 256, *[normal] * len(pieces)]
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0] * 258 + [-float(i) for i in range(len(pieces))])
        writer.add_token_types(types)
        writer.add_add_space_prefix(config["model_type"] != "gemma3_text")
    else:
        tokens = ["<|begin|>", "<|end|>", *byte_characters(), *pieces]
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(kind)
        writer.add_token_list(tokens)
        writer.add_token_types([control, control, *[normal] * (vocabulary - 2)])
        writer.add_token_merges(merges)
    assert len(tokens) == len(set(tokens)) == vocabulary
    writer.add_bos_token_id(bos)
    writer.add_eos_token_id(eos)
    writer.add_add_bos_token(True)


def write_metadata(writer, config, tensors):
    model = config["model_type"]
    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type"))
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    if config.get("head_dim"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if model in ("llama", "granite", "smollm3"):
        writer.add_vocab_size(config["vocab_size"])
        writer.add_rope_dimension_count(head_dim)
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
    if model == "gemma3_text":
        writer.add_sliding_window(config["sliding_window"])
    if model == "granite":
        writer.add_attention_scale(config["attention_multiplier"])
        writer.add_embedding_scale(config["embedding_multiplier"])
        writer.add_residual_scale(config["residual_multiplier"])
        writer.add_logit_scale(config["logits_scaling"])
    if model == "phi3":
        original = config["original_max_position_embeddings"]
        writer.add_rope_dimension_count(int(config["partial_rotary_factor"] * head_dim))
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_sliding_window(config["sliding_window"] or 0)
        scale = config["max_position_embeddings"] / original
        writer.add_rope_scaling_attn_factors(float(np.sqrt(1 + np.log(scale) / np.log(original))))
        for length in ("long", "short"):
            tensors[f"rope_factors_{length}.weight"] = (np.array(rope[f"{length}_factor"], np.float32), F32)
    if kind == "llama3":
        tensors["rope_freqs.weight"] = (llama3_factors(config, rope, head_dim), F32)


def llama3_factors(config, rope, head_dim):
    """What Llama 3's scaling divides each inverse frequency by."""
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    plain = config["rope_theta"] ** -(np.arange(0, head_dim, 2) / head_dim)
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](AutoConfig.for_model(**config), "cpu")
    return (plain / scaled.double().numpy()).astype(np.float32)


def write_gguf(path, config, tensors, tokenizer):
    arch, _ = names_of(config)
    writer = gguf.GGUFWriter(path, gguf.MODEL_ARCH_NAMES[arch])
    # llama.cpp looks for tokens of certain models by their names
    writer.add_name("Tiny random model")
    kinds = [kind for _, kind in tensors.values() if kind != F32]
    most = max(kinds, key=kinds.count) if kinds else F32
    file_types = {F32: "ALL_F32", F16: "MOSTLY_F16", Q8_0: "MOSTLY_Q8_0", Q4_0: "MOSTLY_Q4_0", Q4_K: "MOSTLY_Q4_K_M"}
    writer.add_file_type(gguf.LlamaFileType[file_types[most]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    write_metadata(writer, config, tensors)
    write_tokenizer(writer, tokenizer, config)
    for stored, (values, kind) in tensors.items():
        writer.add_tensor(stored, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def make(name):
    config, types, tokenizer = table[name]
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = Path(temporary) / name
        for seed in range(1, 200):
            make_checkpoint(checkpoint, config, seed)
            tensors = stored_tensors(checkpoint, config, types, seed)
            margin = write_goldens(checkpoint, seed, special=(bos, eos))
            if margin >= smallest_margin:
                break
        for file in ("golden.json", "golden.bin"):
            shutil.copyfile(checkpoint / file, target / file)
        write_gguf(target / "model.gguf", config, tensors, tokenizer)
    print(f"{name}: seed {seed}, smallest margin {margin:.4f}, {(target / 'model.gguf').stat().st_size} bytes")


if __name__ == "__main__":
    for name in sys.argv[1:] or table:
        make(name)
