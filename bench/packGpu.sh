#!/bin/sh
# Packs what bench/gpu.ts needs on a machine without network (Node and a few packages) into bench/out/gpu-bench.tar.xz.
# There: tar xJf bench/out/gpu-bench.tar.xz && node_modules/node/bin/node bench/gpu.ts
set -e
cd "$(dirname "$0")/.."
mkdir -p bench/out
tar cf - node_modules/node/bin/node node_modules/onnxruntime-node/package.json node_modules/onnxruntime-node/dist \
  node_modules/onnxruntime-node/bin/napi-v6/linux/x64 node_modules/onnxruntime-common node_modules/pbf \
  node_modules/lru-cache node_modules/pure-rand node_modules/@huggingface/tokenizers |
  xz -T2 -1 >bench/out/gpu-bench.tar.xz
ls -l bench/out/gpu-bench.tar.xz
