/** One comparison from request to events: loads what it names, builds the prompts, decodes. Used by CLI and engine. */
import { readVirtualTokens, type VirtualTokens } from '../checkpoint/virtualTokens.ts';
import { Decoder } from '../decoder/decoder.ts';
import { resolveModel, resolveTokenFile } from '../hub/resolve.ts';
import type {
  ComparisonEvent,
  ComparisonRequest,
  LoadedModel,
  ModelSelection,
  VariantId,
} from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import type { PromptTemplates } from '../spring/prompts.ts';
import { buildVariant } from '../spring/variants.ts';

/** Decoder settings that only the command line and tests set. */
export interface ComparisonOptions {
  signal?: AbortSignal | undefined;
  templates?: PromptTemplates;
  overflow?: 'refuse' | 'truncate-left';
}

/** Holds the model that was used last, so that the next question does not load it again. */
export class ComparisonEngine {
  private loaded: { key: string; decoder: Decoder; description: LoadedModel } | undefined;

  /** Loads a model, unless it is the one that is loaded. */
  async load(selection: ModelSelection, signal?: AbortSignal): Promise<Decoder> {
    const folder = await resolveModel(selection.model);
    const key = JSON.stringify([folder, selection.device, selection.precision]);
    if (this.loaded?.key === key) return this.loaded.decoder;
    await this.unload();
    const { device, precision } = selection;
    const decoder = await Decoder.open(folder, { device, precision, signal });
    const description = {
      model: selection.model,
      folder,
      device: decoder.device,
      precision: decoder.precision,
      loadMs: decoder.loadMs,
    };
    this.loaded = { key, decoder, description };
    return decoder;
  }

  /** What is loaded, as `load` left it. */
  get model(): LoadedModel | undefined {
    return this.loaded?.description;
  }

  async unload(): Promise<void> {
    const decoder = this.loaded?.decoder;
    this.loaded = undefined;
    await decoder?.dispose();
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
    yield { type: 'loaded', model: this.loaded!.description };
    const virtualTokens = await readTokenFile(request, decoder);
    const { question, passages } = request;
    const { tokenizer } = decoder;
    const { templates } = options;
    const variants = request.variants.map((id) =>
      buildVariant(id, { question, passages, tokenizer, virtualTokens, ...(templates && { templates }) }),
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
  return readVirtualTokens(file, { hiddenSize: decoder.checkpoint.config.hiddenSize });
}

function virtualTokenCount(id: VariantId): number {
  return id.startsWith('spring:') ? Number(id.slice('spring:'.length)) : 0;
}
