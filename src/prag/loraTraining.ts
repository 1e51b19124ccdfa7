/** Steps of AdamW on the factors of one adapter, the model frozen. */
import type { EmbeddingTable } from '../checkpoint/embeddingTable.ts';
import { adapterId } from '../checkpoint/lora.ts';
import type { LoraAdapter } from '../checkpoint/types.ts';
import { AdamW } from '../decoder/adamW.ts';
import type { TrainingSession } from '../decoder/trainingSession.ts';
import type { TrainingSequence } from './trainingSequences.ts';

export interface OptimizerSettings {
  learningRate: number;
  /** torch's AdamW: 0.01. */
  weightDecay: number;
}

export class LoraTraining {
  /** By the names of the training graph's inputs, `lora_a.LAYER.MODULE` and `lora_b.LAYER.MODULE`. */
  readonly factors: Map<string, Float32Array>;
  readonly optimizer: AdamW;
  private readonly session: TrainingSession;
  private readonly embeddings: EmbeddingTable;
  private readonly start: LoraAdapter;
  private readonly learningRate: number;
  private readonly rank: number;
  private readonly scaling: number;

  /**
   * @param session of a graph with LoRA and its gradients, without a past
   * @param start all pairs of one rank and scaling; it is not changed
   */
  constructor(
    session: TrainingSession,
    embeddings: EmbeddingTable,
    start: LoraAdapter,
    { learningRate, weightDecay }: OptimizerSettings,
  ) {
    this.session = session;
    this.embeddings = embeddings;
    this.start = start;
    this.learningRate = learningRate;
    this.optimizer = new AdamW({ weightDecay });
    const [first] = start.pairs.values();
    this.rank = first!.rank;
    this.scaling = first!.scaling;
    this.factors = new Map(
      [...start.pairs].flatMap(([key, { a, b }]) => [
        [`lora_a.${key}`, a.slice()] as const,
        [`lora_b.${key}`, b.slice()] as const,
      ]),
    );
  }

  /** One step on one sequence; returns its mean loss before the step (natural logarithm per token). */
  async step({ tokenIds, labelStart }: TrainingSequence): Promise<number> {
    const labels = tokenIds.slice(labelStart).map((tokenId, i) => ({ index: labelStart + i - 1, tokenId }));
    const example = {
      inputsEmbeds: await this.embeddings.rows(tokenIds),
      length: tokenIds.length,
      labels,
    };
    const { factors, rank, scaling } = this;
    const { losses, gradients } = await this.session.run([example], 1 / labels.length, {
      factors,
      rank,
      scaling,
    });
    this.optimizer.update(factors, gradients, this.learningRate);
    return losses[0]! / labels.length;
  }

  /** The adapter as it is now; its factors are copies. */
  adapter(): LoraAdapter {
    const pairs = new Map(
      [...this.start.pairs].map(([key, pair]) => {
        const a = this.factors.get(`lora_a.${key}`)!.slice();
        const b = this.factors.get(`lora_b.${key}`)!.slice();
        return [key, { ...pair, a, b }] as const;
      }),
    );
    return { id: adapterId(pairs), pairs };
  }
}
