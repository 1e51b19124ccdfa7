"""Unpacks the fixtures of makeQuantized.py with the code of auto-gptq 0.7.1 and autoawq 0.2.9 and compares transformers'
logits on those weights with the golden ones. `python checkQuantized.py AUTO_GPTQ_FOLDER AUTOAWQ_FOLDER` (unpacked,
nothing of them is installed).
"""
import importlib.util
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from fixtures import Inputs, fixtures, load, write_json

folder = fixtures / "quantized"


def module_at(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


auto_gptq = Path(sys.argv[1]) / "auto_gptq/nn_modules/qlinear"
plain_order, any_order = (module_at(auto_gptq / name) for name in ("qlinear_cuda_old.py", "qlinear_cuda.py"))
autoawq = module_at(Path(sys.argv[2]) / "awq/utils/packing_utils.py")


def unpacked(tensors, name, settings):
    qweight, qzeros, scales = (tensors[f"{name}.{part}"] for part in ("qweight", "qzeros", "scales"))
    bits, size = settings["bits"], settings["group_size"]
    if settings["quant_method"] == "awq":
        return autoawq.dequantize_gemm(qweight, qzeros, scales.float(), bits, size).t()
    inputs, outputs = qweight.shape[0] * 32 // bits, qweight.shape[1]
    kind = any_order if settings["desc_act"] else plain_order
    linear = kind.QuantLinear(bits, size, inputs, outputs, bias=False, weight_dtype=torch.float32)
    if settings["checkpoint_format"] == "gptq_v2":  # this package knows the first version only
        step = sum(1 << place for place in range(0, 32, bits))
        qzeros = ((qzeros.long() & 0xFFFFFFFF) - step).where(qzeros >= 0, (qzeros.long() & 0xFFFFFFFF) - step - 2**32)
        qzeros = qzeros.to(torch.int32)
    linear.qweight, linear.qzeros, linear.scales = qweight, qzeros, scales.float()
    linear.g_idx = tensors[f"{name}.g_idx"]
    return linear(torch.eye(inputs)).t()


for fixture in sorted(folder.iterdir()):
    config = json.loads((fixture / "config.json").read_text())
    settings = config.pop("quantization_config")
    tensors = load_file(fixture / "model.safetensors")
    weights = {name: tensor for name, tensor in tensors.items() if name.endswith(("weight", "bias")) and
               not name.endswith("qweight")}
    for name in tensors:
        if name.endswith(".qweight"):
            module = name.removesuffix(".qweight")
            weights[f"{module}.weight"] = unpacked(tensors, module, settings).contiguous()
    golden = json.loads((fixture / "golden.json").read_text())
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary)
        write_json(target / "config.json", config)
        save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
        inputs = Inputs(load(target))
        with torch.no_grad():
            logits = inputs.logits(inputs.tokens(golden["prefix_ids"] + golden["suffix_ids"])).logits[0]
    entry = golden["tensors"]["baseline/logits"]
    values = np.frombuffer((fixture / "golden.bin").read_bytes(), np.float32, int(np.prod(entry["shape"])),
                           entry["offset"]).reshape(entry["shape"])
    rows = logits[golden["scenarios"]["baseline"]["logits_at"]].numpy()
    print(f"{fixture.name}: logits differ by {np.abs(rows - values).max():.2g}")
