/** Encoding passages: each becomes an adapter, trained from the model's shared start, and kept in a store. */
import { join } from 'node:path';
import type { EmbeddingTable } from '../checkpoint/embeddingTable.ts';
import { exists } from '../checkpoint/files.ts';
import { readLoraAdapter, writeAdapter } from '../checkpoint/lora.ts';
import { contextLength } from '../checkpoint/ropeConfig.ts';
import type { Tokenizer } from '../checkpoint/tokenizer.ts';
import type { Checkpoint, LoraAdapter } from '../checkpoint/types.ts';
import { TrainingSession } from '../decoder/trainingSession.ts';
import type { Preparation } from '../decoder/types.ts';
import { throwIfCancelled, UserError } from '../protocol/errors.ts';
import type { AdapterIdentity, AdapterStore } from './adapterStore.ts';
import type { Augmenter } from './augmenter.ts';
import { initialAdapter } from './initialAdapter.ts';
import { LoraTraining } from './loraTraining.ts';
import { contentKey, modelKey, type EncodingRecipe } from './recipe.ts';
import { trainingSequences } from './trainingSequences.ts';

/** What encoding yields; `encoded` or `failed` ends each passage. */
export type EncodeProgress = { index: number; total: number; passage: string } & (
  | { type: 'augmenting' }
  | { type: 'step'; step: number; steps: number; loss: number }
  | { type: 'encoded'; adapter: LoraAdapter; folder: string; losses: number[]; fromStore: boolean }
  | { type: 'failed'; reason: string }
);

/** A model whose passages are encoded; the parts of an open Decoder. */
export interface EncoderModel {
  checkpoint: Checkpoint;
  tokenizer: Tokenizer;
  embeddings: EmbeddingTable;
  /** As the user named it: kept with the adapters. */
  name: string;
}

export interface EncoderOptions {
  store: AdapterStore;
  augmenter: Augmenter;
  recipe: EncodingRecipe;
  /** A PEFT folder to start from, such as a warmed-up start; default: the seeded random start of the model. */
  startFolder?: string | undefined;
}

export class PassageEncoder {
  private readonly model: EncoderModel;
  private readonly options: EncoderOptions;
  private readonly modelKey: string;
  private readonly start: LoraAdapter;
  private session: TrainingSession | undefined;

  private constructor(model: EncoderModel, options: EncoderOptions, key: string, start: LoraAdapter) {
    this.model = model;
    this.options = options;
    this.modelKey = key;
    this.start = start;
  }

  /**
   * Weights are loaded when a passage has to be trained, not before.
   * @throws UserError if the start does not fit the model or the recipe
   */
  static async open(model: EncoderModel, options: EncoderOptions): Promise<PassageEncoder> {
    const key = await modelKey(model.checkpoint);
    const start = await openStart(model, options, key);
    return new PassageEncoder(model, options, key, start);
  }

  /**
   * Encodes passages one after the other; those that the store has cost reading. What was encoded before a
   * cancellation stays, so that the same call goes on from there.
   * @throws CancelledError between two steps after the signal fires
   */
  async *encode(passages: readonly string[], signal?: AbortSignal): AsyncGenerator<EncodeProgress> {
    const { store, augmenter } = this.options;
    for (const [index, passage] of passages.entries()) {
      throwIfCancelled(signal);
      const common = { index, total: passages.length, passage };
      const identity = this.identify(passage);
      const stored = await store.read(identity, this.model.checkpoint.config);
      if (stored) {
        const { adapter, record } = stored;
        const folder = store.folderOf(identity);
        yield { ...common, type: 'encoded', adapter, folder, losses: record.losses, fromStore: true };
        continue;
      }
      yield { ...common, type: 'augmenting' };
      const augmented = await augmenter.augment(passage, signal);
      if (!augmented) {
        yield { ...common, type: 'failed', reason: 'There are no questions about it.' };
        continue;
      }
      const { checkpoint, tokenizer, embeddings, name } = this.model;
      const { recipe } = this.options;
      const maximumLength = Math.min(recipe.maximumLength, contextLength(checkpoint.config));
      const sequences = trainingSequences(tokenizer, augmented, { ...recipe, maximumLength });
      this.session ??= await openLoraTraining(checkpoint, { signal });
      const training = new LoraTraining(this.session, embeddings, this.start, recipe);
      const losses: number[] = [];
      for (let step = 0; step < recipe.epochs * sequences.length; step++) {
        throwIfCancelled(signal);
        const sequence = sequences[step % sequences.length]!;
        // an answer beyond the maximum length leaves nothing to learn from
        if (sequence.tokenIds.length <= sequence.labelStart) continue;
        const loss = await training.step(sequence);
        losses.push(loss);
        yield { ...common, type: 'step', step: step + 1, steps: recipe.epochs * sequences.length, loss };
      }
      const adapter = training.adapter();
      const record = { passage, model: name, losses, createdAt: new Date().toISOString() };
      const folder = await store.write(identity, adapter, record, recipe.loraAlpha);
      yield { ...common, type: 'encoded', adapter, folder, losses, fromStore: false };
    }
  }

  /** Whether the store has the adapter of a passage. */
  isEncoded(passage: string): Promise<boolean> {
    return exists(join(this.options.store.folderOf(this.identify(passage)), 'adapter_config.json'));
  }

  /** Identifies the recipe and the start, for experiments. */
  get recipeKey(): string {
    return contentKey([this.options.recipe, this.start.id]);
  }

  /** Frees the weights that training loaded. */
  async dispose(): Promise<void> {
    await this.session?.dispose();
    this.session = undefined;
  }

  private identify(passage: string): AdapterIdentity {
    const { recipe, augmenter } = this.options;
    const key = contentKey([passage, recipe, this.start.id, augmenter.keyOf(passage)]);
    return { model: this.modelKey, key };
  }
}

/** A session for LoraTraining. */
export function openLoraTraining(
  checkpoint: Checkpoint,
  preparation: Preparation = {},
): Promise<TrainingSession> {
  const options = { past: false, lora: true, gradients: { lora: true } };
  return TrainingSession.open(checkpoint, options, preparation);
}

/** The start of a model: the folder that was given, else the stored random start, which is made on first use. */
async function openStart(
  { checkpoint, name }: EncoderModel,
  { store, recipe, startFolder }: EncoderOptions,
  model: string,
): Promise<LoraAdapter> {
  const { rank, loraAlpha, seed } = recipe;
  const folder = startFolder ?? join(store.folder, model, `start-rank${rank}-alpha${loraAlpha}-seed${seed}`);
  if (startFolder !== undefined || (await exists(join(folder, 'adapter_config.json')))) {
    const start = await readLoraAdapter(folder, checkpoint.config);
    for (const pair of start.pairs.values()) {
      if (pair.rank === rank && pair.scaling === loraAlpha / rank) continue;
      throw new UserError(
        `The start in ${folder} has rank ${pair.rank} and alpha ${pair.scaling * pair.rank}; the recipe says rank ` +
          `${rank} and alpha ${loraAlpha}.`,
      );
    }
    return start;
  }
  const start = initialAdapter(checkpoint.config, { rank, loraAlpha, seed });
  await writeAdapter(folder, start, { baseModel: name, loraAlpha });
  return start;
}
