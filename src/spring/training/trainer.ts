/**
 * Trains virtual tokens as the authors of SPRING do (arXiv 2405.19670; methods A.4 to A.7): the model is frozen, each
 * step draws k and trains the first k rows on the answers behind retrieved passages.
 */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { contextLength } from '../../checkpoint/ropeConfig.ts';
import { writeVirtualTokens } from '../../checkpoint/virtualTokens.ts';
import { AdamW, clipGradients, gradientNorm } from '../../decoder/adamW.ts';
import type { Decoder } from '../../decoder/decoder.ts';
import { TrainingSession } from '../../decoder/trainingSession.ts';
import { throwIfCancelled, UserError } from '../../protocol/errors.ts';
import type {
  TrainingEvent,
  TrainingSettings,
  TrainingStep,
  TrainingValidation,
} from '../../protocol/training.ts';
import type { TrainingItem } from './data.ts';
import { exactMatchByK, type ScoreAnswer } from './exactMatch.ts';
import { ExampleEncoder } from './examples.ts';
import { initialRows, type Initialisation } from './initialRows.ts';
import { SpringObjective } from './objective.ts';
import { drawInteger, randomStream, shuffled } from './random.ts';
import { learningRateAt } from './schedule.ts';
import { checkSettings } from './settings.ts';
import { readState, writeState, type TrainingState } from './state.ts';

export interface TrainingRun {
  /** On the CPU, in float32. */
  decoder: Decoder;
  items: readonly TrainingItem[];
  validationItems?: readonly TrainingItem[];
  settings: TrainingSettings;
  initialisation: Initialisation;
  /** Where the virtual tokens go: .pt or .safetensors. */
  path: string;
  /** Kept in the file beside the settings: the backbone's name, the data's hash. */
  metadata?: Readonly<Record<string, string>>;
  /** Go on from the state that an interrupted run left beside `path`, if there is one. */
  resume?: boolean;
  /** Needed for `exactMatchK`. */
  scoreAnswer?: ScoreAnswer;
}

/** The file beside the virtual tokens that holds a run's state until it is done. */
export function statePath(path: string): string {
  return `${path}.state`;
}

/**
 * Trains and writes the file. To pause, fire the signal (or stop iterating) and run again with `resume`: the file is
 * the same as without the pause.
 * @throws UserError for settings or data that make no sense, and when the loss is no longer finite
 * @throws CancelledError soon after the signal fires; the state is saved
 */
export async function* trainVirtualTokens(
  run: TrainingRun,
  signal?: AbortSignal,
): AsyncGenerator<TrainingEvent> {
  const { decoder, settings, items, validationItems = [] } = run;
  checkSettings(settings, contextLength(decoder.checkpoint.config));
  if (items.length === 0) throw new UserError('There are no examples to train on.');
  const training = await TrainingSession.open(
    decoder.checkpoint,
    { past: settings.differentiate === 'tail', lora: false, gradients: { inputsEmbeds: true } },
    { signal },
  );
  try {
    const trainer = await Trainer.start(run, training);
    const resumed = trainer.state.step > 0;
    const counts = { examples: items.length, validationExamples: validationItems.length };
    yield { type: 'start', step: trainer.state.step, steps: settings.steps, ...counts, resumed };
    yield* trainer.run(signal);
  } finally {
    await training.dispose();
  }
}

class Trainer {
  readonly state: TrainingState;
  private readonly options: TrainingRun;
  private readonly settings: TrainingSettings;
  private readonly objective: SpringObjective;
  private readonly encoder: ExampleEncoder;
  private readonly optimizer: AdamW;
  private readonly fingerprint: string;
  private readonly hiddenSize: number;
  private savedStep: number;

  private constructor(
    options: TrainingRun,
    training: TrainingSession,
    state: TrainingState,
    fingerprint: string,
  ) {
    const { decoder, settings } = options;
    this.options = options;
    this.settings = settings;
    this.state = state;
    this.savedStep = state.step;
    this.fingerprint = fingerprint;
    this.hiddenSize = decoder.embeddings.hiddenSize;
    this.objective = new SpringObjective(training, decoder.session, decoder.embeddings, settings);
    this.encoder = new ExampleEncoder(decoder.tokenizer, decoder.checkpoint.config, settings);
    this.optimizer = new AdamW({ weightDecay: settings.weightDecay });
    this.optimizer.step = state.step;
    this.optimizer.moments.set('rows', { first: state.firstMoments, second: state.secondMoments });
  }

  static async start(options: TrainingRun, training: TrainingSession): Promise<Trainer> {
    const fingerprint = fingerprintOf(options);
    const path = statePath(options.path);
    const saved = options.resume ? await readState(path, fingerprint) : undefined;
    if (saved) return new Trainer(options, training, saved, fingerprint);
    const { settings, decoder } = options;
    const { tokenizer, embeddings } = decoder;
    const sources = { tokenizer, embeddings, seed: settings.seed };
    const rows = await initialRows(options.initialisation, settings.numTokens, sources);
    const state: TrainingState = {
      step: 0,
      rows,
      firstMoments: new Float32Array(rows.length),
      secondMoments: new Float32Array(rows.length),
      validatedStep: 0,
      best: undefined,
      validationsWithoutGain: 0,
    };
    return new Trainer(options, training, state, fingerprint);
  }

  async *run(signal: AbortSignal | undefined): AsyncGenerator<TrainingEvent> {
    const { settings, state } = this;
    try {
      for (;;) {
        throwIfCancelled(signal);
        if (this.isValidationDue()) yield await this.validate(signal);
        if (state.step % settings.saveEvery === 0 && state.step > this.savedStep) yield await this.save();
        if (state.step >= settings.steps || this.hasLostPatience()) break;
        yield await this.step(signal);
      }
      const path = this.options.path;
      const writtenStep = await this.writeResult();
      this.savedStep = state.step;
      await rm(statePath(path), { force: true });
      const reason = state.step < settings.steps ? 'early stop' : 'finished';
      yield { type: 'done', step: state.step, writtenStep, reason, path };
    } finally {
      if (state.step > this.savedStep) await this.save();
    }
  }

  /** One optimizer step. The state changes only at its end, so an interruption leaves the one before. */
  private async step(signal: AbortSignal | undefined): Promise<TrainingStep> {
    const start = performance.now();
    const { settings, state, hiddenSize } = this;
    const { batchSize, fixedK, numTokens, seed, maxGradientNorm } = settings;
    const index = state.step;
    const k = fixedK ?? drawInteger(randomStream(seed, 'virtualTokens', index), 1, numTokens);
    const examples = Array.from({ length: batchSize }, (_, i) => this.example(index * batchSize + i));
    const rows = state.rows.subarray(0, k * hiddenSize);
    const { loss, gradient, cachedExamples } = await this.objective.evaluate(examples, rows, signal);
    if (!Number.isFinite(loss) || !gradient.every(Number.isFinite)) {
      throw new UserError(
        `The loss is no longer a finite number after ${index} steps: training has diverged. ` +
          'Use a lower learning rate, a longer warm-up or gradient clipping.',
      );
    }
    const learningRate = learningRateAt(index, settings);
    const norm =
      maxGradientNorm === null ? gradientNorm([gradient]) : clipGradients([gradient], maxGradientNorm);
    // rows beyond k were not used: torch gives them a gradient of zero, so their moments decay and still move them
    const whole = new Float32Array(state.rows.length);
    whole.set(gradient);
    this.optimizer.update(new Map([['rows', state.rows]]), new Map([['rows', whole]]), learningRate);
    state.step++;
    return {
      type: 'step',
      step: state.step,
      epoch: Math.floor((index * batchSize) / this.options.items.length),
      loss,
      k,
      learningRate,
      gradientNorm: norm,
      cachedExamples,
      seconds: (performance.now() - start) / 1000,
    };
  }

  /** The n-th example since the start: every epoch has its own order. */
  private example(n: number): ReturnType<ExampleEncoder['encode']> {
    const { items } = this.options;
    const epoch = Math.floor(n / items.length);
    if (this.order?.epoch !== epoch) {
      const stream = randomStream(this.settings.seed, 'order', epoch);
      this.order = { epoch, indices: shuffled(stream, [...items.keys()]) };
    }
    const index = this.order.indices[n % items.length]!;
    return this.encoder.encode(items[index]!, index, epoch);
  }
  private order: { epoch: number; indices: number[] } | undefined;

  private isValidationDue(): boolean {
    const { validationItems = [] } = this.options;
    const { step, validatedStep } = this.state;
    const { validateEvery, steps } = this.settings;
    if (validationItems.length === 0 || step === validatedStep) return false;
    return step % validateEvery === 0 || step === steps;
  }

  private async validate(signal: AbortSignal | undefined): Promise<TrainingValidation> {
    const { state, settings, options, hiddenSize } = this;
    const { validationItems = [], scoreAnswer, decoder } = options;
    const examples = validationItems.map((item, i) => ({
      // numbers of their own, and the same passages every time
      ...this.encoder.encode(item, -1 - i, 0),
      answers: item.kind === 'question' ? item.answers : [item.completion],
    }));
    const rows = state.rows.subarray(0, (settings.fixedK ?? settings.numTokens) * hiddenSize);
    const { loss } = await this.objective.evaluate(examples, rows, signal);
    const exactMatch =
      scoreAnswer && settings.exactMatchK.length > 0
        ? await exactMatchByK(decoder, examples, state.rows, settings.exactMatchK, scoreAnswer, signal)
        : [];
    state.validatedStep = state.step;
    const isBest = state.best === undefined || loss < state.best.loss;
    if (isBest) state.best = { step: state.step, loss, rows: state.rows.slice() };
    state.validationsWithoutGain = isBest ? 0 : state.validationsWithoutGain + 1;
    return { type: 'validation', step: state.step, loss, exactMatch, isBest };
  }

  private hasLostPatience(): boolean {
    const { patience } = this.settings;
    return patience !== null && this.state.validationsWithoutGain >= patience;
  }

  private async save(): Promise<TrainingEvent> {
    const path = statePath(this.options.path);
    await writeState(path, this.state, this.hiddenSize, this.fingerprint);
    this.savedStep = this.state.step;
    return { type: 'saved', step: this.state.step, path };
  }

  /** Writes the best rows, or the last if nothing was validated. @returns the step they are of */
  private async writeResult(): Promise<number> {
    const { state, options, settings } = this;
    const { step, rows } = state.best ?? state;
    await writeVirtualTokens(options.path, rows, this.hiddenSize, {
      ...options.metadata,
      steps: String(step),
      ...(state.best && { validationLoss: String(state.best.loss) }),
      training: JSON.stringify(settings),
    });
    return step;
  }
}

/** A hash of everything that the result depends on. */
function fingerprintOf({
  decoder,
  items,
  validationItems = [],
  settings,
  initialisation,
}: TrainingRun): string {
  const relevant = { ...settings, saveEvery: null, passageCacheBytes: null };
  const weights = [...decoder.checkpoint.tensors.values()].map(({ name, dtype, length }) => [
    name,
    dtype,
    length,
  ]);
  const parts = [decoder.checkpoint.config, weights, items, validationItems, relevant, initialisation];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}
