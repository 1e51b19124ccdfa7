"""Writes test/fixtures/quantized: tiny checkpoints whose linears are packed as GPTQ or AWQ files pack them, with golden
values of transformers on the weights that scale * (code - zero) gives. `python makeQuantized.py [NAME...]`.
"""
import shutil
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import makeArchitectures as architectures
from fixtures import fixtures, make_checkpoint, smallest_margin, write_goldens, write_json

folder = fixtures / "quantized"
linears = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")

llama = architectures.llama | {
    "bos_token_id": 120, "eos_token_id": 121, "hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1,
    "tie_word_embeddings": True, "torch_dtype": "float16", "vocab_size": 128,
}
qwen2 = llama | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False}


def gptq(bits, group_size, symmetric, **settings):
    return {"quant_method": "gptq", "bits": bits, "group_size": group_size, "sym": symmetric, "desc_act": False,
            "checkpoint_format": "gptq", "damp_percent": 0.01, "static_groups": False, "true_sequential": True} | settings


def awq(group_size, **settings):
    return {"quant_method": "awq", "bits": 4, "group_size": group_size, "version": "gemm", "zero_point": True,
            "modules_to_not_convert": None} | settings


table = {
    # AutoGPTQ writes a bias of zeros beside every linear
    "gptq-4-symmetric-128": (llama, gptq(4, 128, True), {"zero_biases": True}),
    "gptq-4-asymmetric-32": (qwen2, gptq(4, 32, False), {}),
    "gptq-8-symmetric-64": (llama, gptq(8, 64, True), {}),
    "gptq-8-asymmetric-128": (llama, gptq(8, 128, False), {}),
    # the second version of the format stores zeros as they are
    "gptq-v2-4-asymmetric-64": (llama, gptq(4, 64, False, checkpoint_format="gptq_v2"), {}),
    # must be refused: the inputs of a group are not neighbours
    "gptq-4-activation-order": (llama, gptq(4, 32, True, desc_act=True), {"shuffled": True}),
    "awq-128": (qwen2, awq(128), {}),
    "awq-64": (llama, awq(64), {}),
    "awq-32": (llama, awq(32), {}),
}


def quantise(weight, settings, groups):
    """Codes (in, out), zeros and float16 scales (groups, out) of a weight (out, in); groups: each input's group."""
    columns = weight.float().t()  # (in, out)
    largest = 2 ** settings["bits"] - 1
    count = int(groups.max()) + 1
    scales = torch.empty(count, columns.shape[1], dtype=torch.float16)
    zeros = torch.empty(count, columns.shape[1], dtype=torch.int64)
    for group in range(count):
        part = columns[groups == group]
        if settings.get("sym"):
            scales[group] = part.abs().amax(0) * 2 / largest
            zeros[group] = 2 ** (settings["bits"] - 1)
        else:
            scales[group] = (part.amax(0) - part.amin(0)) / largest
            # a zero of 0 has no sound form in the first version of GPTQ's format
            zeros[group] = (-part.amin(0) / scales[group].float()).round().clamp(1, largest)
    codes = (columns / scales[groups].float() + zeros[groups]).round().clamp(0, largest).to(torch.int64)
    return codes, zeros, scales


def dequantise(codes, zeros, scales, groups):
    """The weight (out, in) in float32."""
    return (scales[groups].float() * (codes - zeros[groups]).float()).t().contiguous()


def pack(values, bits, axis, order=None):
    """Packs values of some bits into int32 along an axis, the lowest bits first; `order`: which of each word's values
    comes first, second, ..."""
    per_word = 32 // bits
    values = values.movedim(axis, -1).reshape(*[size for i, size in enumerate(values.shape) if i != axis % 2], -1, per_word)
    if order:
        values = values[..., order]
    words = torch.zeros(values.shape[:-1], dtype=torch.int64)
    for place in range(per_word):
        words |= values[..., place] << (bits * place)
    words = torch.where(words >= 2**31, words - 2**32, words).to(torch.int32)
    return words.movedim(-1, axis).contiguous()


def packed_tensors(name, codes, zeros, scales, groups, settings):
    bits = settings["bits"]
    if settings["quant_method"] == "awq":
        order = [0, 2, 4, 6, 1, 3, 5, 7]
        return {f"{name}.qweight": pack(codes, bits, 1, order), f"{name}.qzeros": pack(zeros, bits, 1, order),
                f"{name}.scales": scales}
    stored = zeros if settings["checkpoint_format"] == "gptq_v2" else zeros - 1
    return {f"{name}.qweight": pack(codes, bits, 0), f"{name}.qzeros": pack(stored, bits, 1),
            f"{name}.scales": scales, f"{name}.g_idx": groups.to(torch.int32)}


def quantise_checkpoint(checkpoint, settings, options, seed):
    """The packed tensors of a checkpoint, whose weights are replaced by the dequantised ones."""
    generator = torch.Generator().manual_seed(seed)
    plain, packed = {}, {}
    for name, tensor in load_file(checkpoint / "model.safetensors").items():
        module = name.removesuffix(".weight")
        if not (name.endswith(".weight") and module.endswith(linears)):
            plain[name] = packed[name] = tensor
            continue
        groups = torch.arange(tensor.shape[1]) // settings["group_size"]
        if options.get("shuffled"):
            groups = groups[torch.randperm(len(groups), generator=generator)]
        parts = quantise(tensor, settings, groups)
        plain[name] = dequantise(*parts, groups)
        packed |= packed_tensors(module, *parts, groups, settings)
        if options.get("zero_biases"):
            packed[f"{module}.bias"] = torch.zeros(tensor.shape[0], dtype=torch.float16)
    save_file(plain, checkpoint / "model.safetensors", metadata={"format": "pt"})
    return packed


def make(name):
    config, settings, options = table[name]
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        checkpoint = Path(temporary) / name
        for seed in range(1, 200):
            make_checkpoint(checkpoint, config, seed)
            packed = quantise_checkpoint(checkpoint, settings, options, seed)
            margin = write_goldens(checkpoint, seed)
            if margin >= smallest_margin:
                break
        for file in checkpoint.iterdir():
            shutil.copyfile(file, target / file.name)
    write_json(target / "config.json", config | {"quantization_config": settings}, indent=1)
    save_file(packed, target / "model.safetensors", metadata={"format": "pt"})
    print(f"{name}: seed {seed}, smallest margin {margin:.4f}")


if __name__ == "__main__":
    for name in sys.argv[1:] or table:
        make(name)
