"""
Golden values of test/unit/checkpoint/gguf/blocks.test.ts: sha256 of what gguf-py (0.19) makes of 64 blocks of every type.
The bytes are those of a xorshift generator; values that are not finite count as 0.

    python ggufBlocks.py
"""

import hashlib

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize

TYPES = (
    "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS MXFP4 NVFP4 TQ1_0 TQ2_0 "
    "IQ2_XXS IQ2_XS IQ2_S IQ3_XXS IQ3_S IQ1_S IQ1_M"
).split()


def pseudo_random(count):
    state = 0x9E3779B9
    values = np.empty(count, dtype=np.uint8)
    for i in range(count):
        state ^= (state << 13) & 0xFFFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0xFFFFFFFF
        values[i] = state >> 24
    return values


for name in TYPES:
    kind = GGMLQuantizationType[name]
    _, size = GGML_QUANT_SIZES[kind]
    with np.errstate(all="ignore"):
        values = dequantize(pseudo_random(64 * size).reshape(1, -1), kind).astype("<f4")
    values[~np.isfinite(values)] = 0
    print(f"  {name}: '{hashlib.sha256(values.tobytes()).hexdigest()[:32]}',")
