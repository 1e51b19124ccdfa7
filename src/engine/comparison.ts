/** One comparison from request to events: loads what it names, builds the prompts, decodes. Used by CLI and engine. */
import { readVirtualTokens, type VirtualTokens } from '../checkpoint/virtualTokens.ts';
import { Decoder } from '../decoder/decoder.ts';
import type { DecoderOptions } from '../decoder/types.ts';
import type { LoraAdapter } from '../checkpoint/types.ts';
import type { AnswerBackend, AnswerRequest } from '../methods/backend.ts';
import { LocalBackend } from '../methods/localBackend.ts';
import { planVariant } from '../methods/plan.ts';
import { tokenFileFacts } from '../methods/prepare.ts';
import { UnavailableError } from '../methods/types.ts';
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
  PromptPiece,
  VariantPlan,
} from '../protocol/comparison.ts';
import type { EncodeRequest } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import {
  referenceMethod,
  variantFrom,
  type AdapterKind,
  type Variant,
  type VariantId,
} from '../protocol/methods.ts';
import type { PromptTemplates } from '../spring/prompts.ts';
import type { Passage } from '../protocol/passages.ts';
import { whileOpening } from './openFiles.ts';
import { fitPassages, type FitModel } from './passageFit.ts';
import { Failures } from './failures.ts';

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

/** What is said while quantised weights are made or repacked, once for each model. */
export function preparationText(model: string, percent: number): string {
  return `Preparing the weights of ${model}: ${percent} %`;
}

/** Holds the model that was used last, so that the next question does not load it again. */
export class ComparisonEngine {
  private readonly listener: EngineListener;
  private loaded: { key: string; decoder: Decoder; backend: AnswerBackend } | undefined;

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
    this.loaded = { key, decoder, backend: new LocalBackend(decoder, { model, folder }) };
    return decoder;
  }

  /** What is loaded now, and where it runs. */
  get model(): LoadedModel | undefined {
    return this.loaded?.backend.model;
  }

  async unload(): Promise<void> {
    const backend = this.loaded?.backend;
    this.loaded = undefined;
    await backend?.dispose();
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
    const { backend } = this.loaded!;
    const { question } = request;
    const { templates } = options;
    const overflow = options.overflow ?? overflowOf(request.settings);
    const fewShot = await readFewShotFile(request.prag?.fewShotFile);
    const failures = new Failures(request.variants);
    const found = await failures.collect(request.variants, async (id) => {
      return { id, rows: await readTokenFile(variantFrom(id), request, decoder) };
    });
    const { tokenizer, checkpoint } = decoder;
    const rowsOf = (id: VariantId): VirtualTokens | undefined => found.find((other) => other.id === id)?.rows;
    const passages =
      overflow === 'keep-best'
        ? fittingPassages(request, { tokenizer, config: checkpoint.config, templates, fewShot, rowsOf })
        : request.passages;
    const input = { question, passages, templates, fewShot };
    const planned = await failures.collect(found, ({ id, rows }) => {
      return { id, plan: planVariant(variantFrom(id), { ...input, tokens: tokenFileFacts(rows) }), rows };
    });
    const kinds = new Set(planned.map(({ plan }) => plan.adapter));
    const adapters = yield* encodePassages(request, kinds, decoder, fewShot, options.signal);
    const asked = await failures.collect(planned, ({ plan, rows }) => {
      const adapter = plan.adapter && adapters[plan.adapter];
      if (adapter instanceof UserError) throw adapter;
      return { plan, rows, adapter };
    });
    const settings = {
      ...request.settings,
      overflow: overflow === 'refuse' ? ('refuse' as const) : ('truncate-left' as const),
    };
    for await (const event of backend.answer(asked, settings, options.signal)) {
      if (event.type === 'unavailable') failures.add(asked[event.index]!.plan.id, event.error);
      else if (event.type === 'prepared') {
        yield* failures.tell();
        yield { type: 'prepared', variants: shownPlans(asked, event.prompts) };
      } else {
        const variant = asked[event.index]!.plan.id;
        if (event.type === 'token') yield { type: 'token', variant, token: event.token };
        else yield { type: 'answer', variant, answer: event.answer };
      }
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

function shownPlans(
  asked: readonly AnswerRequest[],
  prompts: ReadonlyMap<number, PromptPiece[]>,
): VariantPlan[] {
  return [...prompts].map(([index, prompt]) => {
    const { id, label, k } = asked[index]!.plan;
    return { id, label, k, prompt };
  });
}

/** The embedding file of a variant, if it needs one and one is given. */
async function readTokenFile(
  { k = 0, tokenFile }: Variant,
  request: ComparisonRequest,
  decoder: Decoder,
): Promise<VirtualTokens | undefined> {
  const named = tokenFile === undefined ? request.tokenFile : request.tokenFiles?.[tokenFile];
  if (k === 0 || named === undefined || named === null) return undefined;
  const file = await resolveTokenFile(named);
  const { hiddenSize } = decoder.checkpoint.config;
  try {
    return await whileOpening(file, () => readVirtualTokens(file, { hiddenSize }));
  } catch (error) {
    throw error instanceof UserError ? new UnavailableError(error.message, 'token-file') : error;
  }
}

/** The passages of a request to encode, then so many unrelated ones. */
export function wantedPassages({
  passages,
  unrelated,
}: Pick<EncodeRequest, 'passages' | 'unrelated'>): string[] {
  return [...passages, ...(unrelated === 0 ? [] : unrelatedTexts(unrelated))];
}

/** The merged adapters that are needed, or why there are none; passages that have none yet are encoded now. */
async function* encodePassages(
  { passages, model, prag = {} }: ComparisonRequest,
  kinds: ReadonlySet<AdapterKind | undefined>,
  decoder: Decoder,
  fewShot: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<ComparisonEvent, Partial<Record<AdapterKind, LoraAdapter | UserError>>> {
  const adapters: Partial<Record<AdapterKind, LoraAdapter | UserError>> = {};
  if (!kinds.has('passages') && !kinds.has('unrelated')) return adapters;
  const encoder = await openPassageEncoder(decoder, model, prag, fewShot);
  try {
    const texts: Record<AdapterKind, string[]> = {
      passages: passages.map(({ text }) => text),
      unrelated: unrelatedTexts(passages.length),
    };
    for (const kind of ['passages', 'unrelated'] as const) {
      if (!kinds.has(kind)) continue;
      try {
        const encoding = mergedAdapter(encoder, texts[kind], signal);
        let progress = await encoding.next();
        for (; !progress.done; progress = await encoding.next()) {
          yield { type: 'loading', message: describeProgress(progress.value) };
        }
        adapters[kind] = progress.value;
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        adapters[kind] = error;
      }
    }
  } finally {
    await encoder.dispose();
  }
  return adapters;
}
