/** One comparison from request to events: loads what it names, builds the prompts, decodes. Used by CLI and engine. */
import { readVirtualTokens, type VirtualTokens } from '../checkpoint/virtualTokens.ts';
import { Decoder } from '../decoder/decoder.ts';
import type { DecoderOptions } from '../decoder/types.ts';
import type { LoraAdapter } from '../checkpoint/types.ts';
import { adapterOf, buildVariant, virtualTokenCount, type AdapterKind } from '../evaluation/variants.ts';
import {
  describeProgress,
  mergedAdapter,
  openPassageEncoder,
  readFewShotFile,
} from '../prag/passageAdapters.ts';
import { unrelatedPassages } from '../prag/unrelatedPassages.ts';
import { resolveModel, resolveTokenFile } from '../hub/resolve.ts';
import type {
  ComparisonEvent,
  ComparisonRequest,
  LoadedModel,
  ModelSelection,
} from '../protocol/comparison.ts';
import type { EncodeRequest } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import type { PromptTemplates } from '../spring/prompts.ts';
import type { Passage } from '../protocol/passages.ts';
import { whileOpening } from './openFiles.ts';
import { fitPassages, type FitModel } from './passageFit.ts';

/** What is done with a prompt that leaves no room for its answer; `keep-best`: the last passages are left out. */
export type Overflow = 'refuse' | 'truncate-left' | 'keep-best';

/** Decoder settings that only the command line and tests set. */
export interface ComparisonOptions {
  signal?: AbortSignal | undefined;
  templates?: PromptTemplates;
  /** Default: as the request's settings say. */
  overflow?: Overflow | undefined;
}

/** What the engine tells beside the events of a comparison. */
export interface EngineListener {
  /** A message while a model is loaded that takes its time: its weights are being quantised. */
  onLoading?: (message: string) => void;
  /** The model had to leave a device that failed and goes on elsewhere. */
  onModelChanged?: (model: LoadedModel, message: string) => void;
}

/** Holds the model that was used last, so that the next question does not load it again. */
/** What is said while quantised weights are made or repacked, once for each model. */
export function preparationText(model: string, percent: number): string {
  return `Preparing the weights of ${model}: ${percent} %`;
}

export class ComparisonEngine {
  private readonly listener: EngineListener;
  private loaded: { key: string; decoder: Decoder; model: string; folder: string } | undefined;

  constructor(listener: EngineListener = {}) {
    this.listener = listener;
  }

  /** Loads a model, unless it is the one that is loaded. */
  async load(selection: ModelSelection, signal?: AbortSignal): Promise<Decoder> {
    const folder = await resolveModel(selection.model);
    const key = JSON.stringify([folder, selection.device, selection.precision]);
    if (this.loaded?.key === key) return this.loaded.decoder;
    await this.unload();
    const { model, device, precision } = selection;
    let shownPercent = -1;
    const options: DecoderOptions = {
      device,
      precision,
      signal,
      onConversion: ({ done, total }) => {
        const percent = Math.floor((100 * done) / total);
        if (percent === shownPercent) return;
        shownPercent = percent;
        this.listener.onLoading?.(preparationText(model, percent));
      },
      onNotice: (message) => {
        if (this.model) this.listener.onModelChanged?.(this.model, message);
      },
    };
    const decoder = await whileOpening(folder, () => Decoder.open(folder, options));
    this.loaded = { key, decoder, model, folder };
    return decoder;
  }

  /** What is loaded now, and where it runs. */
  get model(): LoadedModel | undefined {
    if (!this.loaded) return undefined;
    const { decoder, model, folder } = this.loaded;
    const { device, precision, reason, warning, loadMs } = decoder;
    return { model, folder, device, precision, reason, warning, loadMs };
  }

  async unload(): Promise<void> {
    const decoder = this.loaded?.decoder;
    this.loaded = undefined;
    await decoder?.dispose();
  }

  /** The passages that a comparison with adapters would have to encode first. */
  async missingAdapters(request: EncodeRequest, signal?: AbortSignal): Promise<string[]> {
    const { model, prag } = request;
    const decoder = await this.load(request, signal);
    const encoder = await openPassageEncoder(decoder, model, prag, await readFewShotFile(prag.fewShotFile));
    try {
      const missing: string[] = [];
      for (const passage of wantedPassages(request)) {
        if (!(await encoder.isEncoded(passage))) missing.push(passage);
      }
      return missing;
    } finally {
      await encoder.dispose();
    }
  }

  /**
   * Answers a question in every variant asked for.
   * @throws UserError for bad input, CancelledError when the signal fires
   */
  async *compare(
    request: ComparisonRequest,
    options: ComparisonOptions = {},
  ): AsyncGenerator<ComparisonEvent> {
    if (request.variants.length === 0)
      throw new UserError('No variant is chosen: take at least one, such as baseline.');
    yield { type: 'loading', message: `Loading ${request.model}` };
    const decoder = await this.load(request, options.signal);
    yield { type: 'loaded', model: this.model! };
    const virtualTokens = await readTokenFile(request, decoder);
    const { question } = request;
    const { tokenizer } = decoder;
    const { templates } = options;
    const overflow = options.overflow ?? overflowOf(request.settings);
    const fewShot = await readFewShotFile(request.prag?.fewShotFile);
    const adapters = yield* encodePassages(request, decoder, fewShot, options.signal);
    const passages =
      overflow === 'keep-best'
        ? fittingPassages(request, { tokenizer, config: decoder.checkpoint.config, templates, fewShot })
        : request.passages;
    const variants = request.variants.map((id) =>
      buildVariant(id, { question, passages, tokenizer, virtualTokens, templates, adapters, fewShot }),
    );
    yield {
      type: 'prepared',
      variants: variants.map(({ id, label, k, prompt }) => ({ id, label, k, prompt })),
    };
    const events = decoder.compare(
      variants.map(({ decoderPrompt }) => decoderPrompt),
      { ...request.settings, overflow: overflow === 'refuse' ? 'refuse' : 'truncate-left' },
      options.signal,
    );
    for await (const event of events) {
      const variant = variants[event.index]!.id;
      if (event.type === 'token') yield { type: 'token', variant, token: event.token };
      else yield { type: 'answer', variant, answer: event.generation };
    }
  }
}

function overflowOf({ longPrompt }: ComparisonRequest['settings']): Overflow {
  return longPrompt === 'cut-left' ? 'truncate-left' : 'keep-best';
}

/** The passages for which there is room. Where not even the question has any, its prompt is cut. */
function fittingPassages(request: ComparisonRequest, model: FitModel): Passage[] {
  const { leftOut } = fitPassages(request, model);
  return request.passages.filter((_, index) => !leftOut.includes(index));
}

/** The token file of a request, if a variant needs it. */
async function readTokenFile(
  request: ComparisonRequest,
  decoder: Decoder,
): Promise<VirtualTokens | undefined> {
  const needed = request.variants.find((id) => virtualTokenCount(id) > 0);
  if (needed === undefined) return undefined;
  if (request.tokenFile === null) {
    throw new UserError(`The variant ${needed} needs virtual tokens, but no embedding file is chosen.`);
  }
  const file = await resolveTokenFile(request.tokenFile);
  const { hiddenSize } = decoder.checkpoint.config;
  return whileOpening(file, () => readVirtualTokens(file, { hiddenSize }));
}

/** The passages of a request to encode, then the placebo's. */
export function wantedPassages({ passages, placebo }: Pick<EncodeRequest, 'passages' | 'placebo'>): string[] {
  return [...passages, ...placeboPassages(placebo)];
}

function placeboPassages(count: number): string[] {
  return unrelatedPassages.slice(0, count).map(({ passage }) => passage);
}

/** The merged adapters that the variants need; passages that have none yet are encoded now. */
async function* encodePassages(
  { variants, passages, model, prag = {} }: ComparisonRequest,
  decoder: Decoder,
  fewShot: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ComparisonEvent, Partial<Record<AdapterKind, LoraAdapter>>> {
  const kinds = new Set(variants.map(adapterOf));
  const adapters: Partial<Record<AdapterKind, LoraAdapter>> = {};
  if (!kinds.has('passages') && !kinds.has('unrelated')) return adapters;
  const encoder = await openPassageEncoder(decoder, model, prag, fewShot);
  try {
    const texts: Record<AdapterKind, string[]> = {
      passages: passages.map(({ text }) => text),
      // as many as the question's own, so that the two differ in content alone
      unrelated: placeboPassages(Math.max(1, passages.length)),
    };
    for (const kind of ['passages', 'unrelated'] as const) {
      if (!kinds.has(kind)) continue;
      const encoding = mergedAdapter(encoder, texts[kind], signal);
      let progress = await encoding.next();
      for (; !progress.done; progress = await encoding.next()) {
        yield { type: 'loading', message: describeProgress(progress.value) };
      }
      adapters[kind] = progress.value;
    }
  } finally {
    await encoder.dispose();
  }
  return adapters;
}
