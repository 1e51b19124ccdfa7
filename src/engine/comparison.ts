/** One comparison from request to events: loads what it names, builds the prompts, decodes. Used by CLI and engine. */
import { readVirtualTokens, type VirtualTokens } from '../checkpoint/virtualTokens.ts';
import { Decoder } from '../decoder/decoder.ts';
import type { DecoderOptions } from '../decoder/types.ts';
import type { LoraAdapter } from '../checkpoint/types.ts';
import { buildVariant } from '../methods/prepare.ts';
import {
  describeProgress,
  mergedAdapter,
  openPassageEncoder,
  readFewShotFile,
} from '../prag/passageAdapters.ts';
import { unrelatedTexts } from '../prag/unrelatedPassages.ts';
import { resolveModel, resolveTokenFile } from '../hub/resolve.ts';
import type {
  ComparisonEvent,
  ComparisonRequest,
  LoadedModel,
  ModelSelection,
} from '../protocol/comparison.ts';
import type { EncodeRequest } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import { methodOf, referenceMethod, variantFrom, type AdapterKind } from '../protocol/methods.ts';
import type { PromptTemplates } from '../spring/prompts.ts';
import { whileOpening } from './openFiles.ts';

/** Decoder settings that only the command line and tests set. */
export interface ComparisonOptions {
  signal?: AbortSignal | undefined;
  templates?: PromptTemplates;
  overflow?: 'refuse' | 'truncate-left';
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
    const { device, precision, reason, loadMs } = decoder;
    return { model, folder, device, precision, reason, loadMs };
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
      throw new UserError(`No variant is chosen: take at least one, such as ${referenceMethod}.`);
    yield { type: 'loading', message: `Loading ${request.model}` };
    const decoder = await this.load(request, options.signal);
    yield { type: 'loaded', model: this.model! };
    const tokenFiles = await readTokenFiles(request, decoder);
    const { question, passages } = request;
    const { tokenizer } = decoder;
    const { templates } = options;
    const fewShot = await readFewShotFile(request.prag?.fewShotFile);
    const adapters = yield* encodePassages(request, decoder, fewShot, options.signal);
    const variants = request.variants.map((id) =>
      buildVariant(id, {
        ...{ question, passages, tokenizer, templates, adapters, fewShot },
        virtualTokens: tokenFiles.get(variantFrom(id).tokenFile),
      }),
    );
    yield {
      type: 'prepared',
      variants: variants.map(({ id, label, k, prompt }) => ({ id, label, k, prompt })),
    };
    const events = decoder.compare(
      variants.map(({ decoderPrompt }) => decoderPrompt),
      { ...request.settings, overflow: options.overflow ?? 'truncate-left' },
      options.signal,
    );
    for await (const event of events) {
      const variant = variants[event.index]!.id;
      if (event.type === 'token') yield { type: 'token', variant, token: event.token };
      else yield { type: 'answer', variant, answer: event.generation };
    }
  }
}

/** The embedding files that the variants need, by their label in ids. */
async function readTokenFiles(
  request: ComparisonRequest,
  decoder: Decoder,
): Promise<Map<string | undefined, VirtualTokens>> {
  const { hiddenSize } = decoder.checkpoint.config;
  const files = new Map<string | undefined, VirtualTokens>();
  for (const { k = 0, tokenFile } of request.variants.map(variantFrom)) {
    if (k === 0 || files.has(tokenFile)) continue;
    const named = tokenFile === undefined ? request.tokenFile : request.tokenFiles?.[tokenFile];
    if (named === undefined || named === null) continue;
    const file = await resolveTokenFile(named);
    files.set(tokenFile, await whileOpening(file, () => readVirtualTokens(file, { hiddenSize })));
  }
  return files;
}

/** The passages of a request to encode, then so many unrelated ones. */
export function wantedPassages({
  passages,
  unrelated,
}: Pick<EncodeRequest, 'passages' | 'unrelated'>): string[] {
  return [...passages, ...(unrelated === 0 ? [] : unrelatedTexts(unrelated))];
}

/** The merged adapters that the variants need; passages that have none yet are encoded now. */
async function* encodePassages(
  { variants, passages, model, prag = {} }: ComparisonRequest,
  decoder: Decoder,
  fewShot: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ComparisonEvent, Partial<Record<AdapterKind, LoraAdapter>>> {
  const kinds = new Set(variants.map((id) => methodOf(variantFrom(id)).adapter));
  const adapters: Partial<Record<AdapterKind, LoraAdapter>> = {};
  if (!kinds.has('passages') && !kinds.has('unrelated')) return adapters;
  const encoder = await openPassageEncoder(decoder, model, prag, fewShot);
  try {
    const texts: Record<AdapterKind, string[]> = {
      passages: passages.map(({ text }) => text),
      unrelated: unrelatedTexts(passages.length),
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
