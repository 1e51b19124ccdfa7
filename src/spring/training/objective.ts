/** The loss of examples under given virtual tokens, and its gradient: micro-batches through the training graph. */
import type { EmbeddingTable } from '../../checkpoint/embeddingTable.ts';
import { ropeRegime } from '../../decoder/rope.ts';
import type { DecoderSession } from '../../decoder/session.ts';
import { TrainingSession, type TrainingExample } from '../../decoder/trainingSession.ts';
import { throwIfCancelled } from '../../protocol/errors.ts';
import type { TrainingSettings } from '../../protocol/training.ts';
import type { EncodedExample } from './examples.ts';
import { PassageCache } from './passageCache.ts';

export interface ObjectiveValue {
  /** Mean over all labels. */
  loss: number;
  /** Of the mean with respect to the k rows: (k, hiddenSize). */
  gradient: Float32Array;
  /** How many examples' passages were known. */
  cachedExamples: number;
}

/** An example with its place in the sequence that is run. */
interface PlacedExample {
  example: EncodedExample;
  /** Positions before the virtual tokens within the sequence that is run. */
  start: number;
  length: number;
  regime: string;
}

export class SpringObjective {
  private readonly training: TrainingSession;
  private readonly embeddings: EmbeddingTable;
  private readonly passages: PassageCache;
  private readonly settings: TrainingSettings;

  constructor(
    training: TrainingSession,
    inference: DecoderSession,
    embeddings: EmbeddingTable,
    settings: TrainingSettings,
  ) {
    this.training = training;
    this.embeddings = embeddings;
    this.passages = new PassageCache(inference, embeddings, settings.passageCacheBytes);
    this.settings = settings;
  }

  /**
   * @param rows (k, hiddenSize)
   * @throws CancelledError between micro-batches once the signal has fired
   */
  async evaluate(
    examples: readonly EncodedExample[],
    rows: Float32Array,
    signal?: AbortSignal,
  ): Promise<ObjectiveValue> {
    const k = rows.length / this.embeddings.hiddenSize;
    const labels = examples.reduce((sum, { completionIds }) => sum + completionIds.length, 0);
    const gradient = new Float32Array(rows.length);
    let loss = 0;
    let cachedExamples = 0;
    for (const microBatch of this.microBatches(examples, k)) {
      throwIfCancelled(signal);
      const batch: TrainingExample[] = [];
      for (const placed of microBatch) {
        const { example, wasKnown } = await this.prepare(placed, rows, k, signal);
        batch.push(example);
        if (wasKnown) cachedExamples++;
      }
      const { losses, gradients } = await this.training.run(batch, 1 / labels);
      loss += losses.reduce((sum, value) => sum + value, 0) / labels;
      this.addRowGradients(gradient, gradients.get('inputs_embeds')!, microBatch);
    }
    return { loss, gradient, cachedExamples };
  }

  /** Examples of similar length together, so that little is padded. */
  private microBatches(examples: readonly EncodedExample[], k: number): PlacedExample[][] {
    const { differentiate, microBatchPositions } = this.settings;
    const placed = examples.map((example): PlacedExample => {
      const start = differentiate === 'all' ? example.prefixIds.length : 0;
      const tail = k + example.suffixIds.length + example.completionIds.length - 1;
      const regime = ropeRegime(this.training.config, example.prefixIds.length + tail);
      return { example, start, length: start + tail, regime };
    });
    placed.sort((a, b) => a.length - b.length || a.example.prefixIds.length - b.example.prefixIds.length);
    const batches: PlacedExample[][] = [];
    for (const item of placed) {
      const last = batches.at(-1);
      const fits = last && (last.length + 1) * item.length <= microBatchPositions;
      if (fits && last[0]!.regime === item.regime) last.push(item);
      else batches.push([item]);
    }
    return batches;
  }

  private async prepare(
    { example, start, length }: PlacedExample,
    rows: Float32Array,
    k: number,
    signal: AbortSignal | undefined,
  ): Promise<{ example: TrainingExample; wasKnown: boolean }> {
    const { prefixIds, suffixIds, completionIds } = example;
    const { hiddenSize } = this.embeddings;
    const isTail = this.settings.differentiate === 'tail';
    const inputsEmbeds = new Float32Array(length * hiddenSize);
    if (!isTail) inputsEmbeds.set(await this.embeddings.rows(prefixIds));
    inputsEmbeds.set(rows, start * hiddenSize);
    // the last token predicts nothing that is learnt, so it is left out
    const after = await this.embeddings.rows([...suffixIds, ...completionIds.slice(0, -1)]);
    inputsEmbeds.set(after, (start + k) * hiddenSize);
    const answer = start + k + suffixIds.length;
    const labels = completionIds.map((tokenId, i) => ({ index: answer + i - 1, tokenId }));
    if (!isTail) return { example: { inputsEmbeds, length, labels }, wasKnown: false };
    const whole = prefixIds.length + length;
    const { past, wasKnown } = await this.passages.get(prefixIds, whole, signal);
    return { example: { inputsEmbeds, length, labels, past }, wasKnown };
  }

  /** Sums what every example says about the virtual tokens. */
  private addRowGradients(
    sum: Float32Array,
    gradient: Float32Array,
    microBatch: readonly PlacedExample[],
  ): void {
    const { hiddenSize } = this.embeddings;
    const sequence = gradient.length / microBatch.length;
    microBatch.forEach(({ start }, i) => {
      const from = i * sequence + start * hiddenSize;
      for (let j = 0; j < sum.length; j++) sum[j]! += gradient[from + j]!;
    });
  }
}
