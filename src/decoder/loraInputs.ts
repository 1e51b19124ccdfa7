/**
 * LoRA factors as inputs of the inference graph: every row of a batch has its own, padded with zeros to the largest
 * rank. They are made (and put on the device) once while the adapters of the rows stay the same.
 */
import { Tensor } from '../onnx/runtime.ts';
import { loraTargets } from '../checkpoint/layers.ts';
import type { LoraAdapter, LoraPair, ModelConfig } from '../checkpoint/types.ts';

export class LoraInputs {
  private readonly config: ModelConfig;
  private readonly upload: ((tensor: Tensor) => Promise<Tensor>) | undefined;
  private key: string | undefined;
  private feeds: Record<string, Tensor> = {};

  /** @param upload puts a tensor on the device; undefined on the CPU */
  constructor(config: ModelConfig, upload: ((tensor: Tensor) => Promise<Tensor>) | undefined) {
    this.config = config;
    this.upload = upload;
  }

  /** `lora_a.L.M` (rows, in, rank) and `lora_b.L.M` (rows, rank, out), the scaling folded into B. */
  async of(adapters: readonly (LoraAdapter | undefined)[]): Promise<Record<string, Tensor>> {
    const key = adapters.map((adapter) => adapter?.id ?? '').join('\n');
    if (this.key === key) return this.feeds;
    this.dispose();
    for (const { key: target, inFeatures, outFeatures } of loraTargets(this.config)) {
      const pairs = adapters.map((adapter) => adapter?.pairs.get(target));
      // the CPU computes with rank 0; a tensor of size zero would crash the WebGPU provider
      const rank = Math.max(this.upload ? 1 : 0, ...pairs.map((pair) => pair?.rank ?? 0));
      const { a, b } = stackPairs(pairs, rank, inFeatures, outFeatures);
      const tensors = {
        [`lora_a.${target}`]: new Tensor('float32', a, [adapters.length, inFeatures, rank]),
        [`lora_b.${target}`]: new Tensor('float32', b, [adapters.length, rank, outFeatures]),
      };
      for (const [name, tensor] of Object.entries(tensors)) {
        this.feeds[name] = this.upload ? await this.upload(tensor) : tensor;
      }
    }
    this.key = key;
    return this.feeds;
  }

  dispose(): void {
    if (this.upload) for (const tensor of Object.values(this.feeds)) tensor.dispose();
    this.feeds = {};
    this.key = undefined;
  }
}

/** @returns a (rows, in, rank) and b (rows, rank, out); zeros where a row has no pair */
function stackPairs(
  pairs: readonly (LoraPair | undefined)[],
  rank: number,
  inFeatures: number,
  outFeatures: number,
): { a: Float32Array; b: Float32Array } {
  const a = new Float32Array(pairs.length * inFeatures * rank);
  const b = new Float32Array(pairs.length * rank * outFeatures);
  pairs.forEach((pair, row) => {
    if (!pair) return;
    for (let r = 0; r < pair.rank; r++) {
      for (let i = 0; i < inFeatures; i++) {
        a[(row * inFeatures + i) * rank + r] = pair.a[r * inFeatures + i]!;
      }
      for (let o = 0; o < outFeatures; o++) {
        b[(row * rank + r) * outFeatures + o] = pair.b[o * pair.rank + r]! * pair.scaling;
      }
    }
  });
  return { a, b };
}
