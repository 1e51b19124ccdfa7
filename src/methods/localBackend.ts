/** Answers of the model in this process: tokenises the plans and gives them all to the decoder at once. */
import { keyValueBytes } from '../checkpoint/memory.ts';
import { contextLength } from '../checkpoint/ropeConfig.ts';
import type { Decoder } from '../decoder/decoder.ts';
import type { GenerationSettings, Prompt } from '../decoder/types.ts';
import type { LoadedModel } from '../protocol/comparison.ts';
import { UserError } from '../protocol/errors.ts';
import type { AnswerBackend, AnswerEvent, AnswerRequest } from './backend.ts';
import { preparePlan, type PreparedVariant } from './prepare.ts';

/** Keys, values and adapters of one batch, in bytes, at most. */
const batchBytes = 512 * 1024 * 1024;
/** More rows than this make a step of decoding slower, not faster. */
const maximumRows = 64;

export class LocalBackend implements AnswerBackend {
  private readonly decoder: Decoder;
  private readonly name: { model: string; folder: string };
  /** Requests are asked about before they are answered. */
  private readonly prepared = new WeakMap<AnswerRequest, PreparedVariant>();

  /** @param name how the user named the model, and what that resolved to */
  constructor(decoder: Decoder, name: { model: string; folder: string }) {
    this.decoder = decoder;
    this.name = name;
  }

  get model(): LoadedModel {
    const { device, precision, reason, warning, loadMs } = this.decoder;
    return { ...this.name, device, precision, reason, warning, loadMs };
  }

  async *answer(
    requests: readonly AnswerRequest[],
    settings: GenerationSettings,
    signal?: AbortSignal,
  ): AsyncGenerator<AnswerEvent> {
    const asked: { index: number; variant: PreparedVariant }[] = [];
    for (const [index, request] of requests.entries()) {
      try {
        const variant = this.prepare(request);
        this.decoder.checkLength(variant.decoderPrompt, settings);
        asked.push({ index, variant });
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        yield { type: 'unavailable', index, error };
      }
    }
    yield { type: 'prepared', prompts: new Map(asked.map(({ index, variant }) => [index, variant.prompt])) };
    const prompts = asked.map(({ variant }) => variant.decoderPrompt);
    for await (const event of this.decoder.compare(prompts, settings, signal)) {
      const { index } = asked[event.index]!;
      if (event.type === 'token') yield { type: 'token', index, token: event.token };
      else yield { type: 'answer', index, answer: event.generation };
    }
  }

  /** As many rows as long as the longest of these prompts as fit in the memory of a batch; at least one. */
  batchSize(requests: readonly AnswerRequest[], { maxNewTokens }: GenerationSettings): number {
    const { config } = this.decoder.checkpoint;
    const prompts = requests.map((request) => this.prepare(request).decoderPrompt);
    const longest = Math.max(...prompts.map(promptLength));
    const positions = Math.min(longest, contextLength(config)) + maxNewTokens;
    const bytes =
      keyValueBytes(config, positions, this.decoder.session.memory.elementBytes) +
      Math.max(...prompts.map(adapterBytes));
    const rows = Math.min(maximumRows, Math.floor(batchBytes / bytes));
    return Math.max(1, Math.floor(rows / Math.max(...prompts.map(({ against }) => (against ? 2 : 1)))));
  }

  dispose(): Promise<void> {
    return this.decoder.dispose();
  }

  private prepare(request: AnswerRequest): PreparedVariant {
    const known = this.prepared.get(request);
    if (known) return known;
    const variant = preparePlan(request.plan, this.decoder.tokenizer, request);
    this.prepared.set(request, variant);
    return variant;
  }
}

/** Every row of a batch carries its adapter's factors; rows without one are padded to the largest. */
function adapterBytes({ adapter }: Prompt): number {
  let values = 0;
  for (const { a, b } of adapter?.pairs.values() ?? []) values += a.length + b.length;
  return 4 * values;
}

function promptLength({ parts }: Prompt): number {
  return parts.reduce((sum, part) => sum + ('tokenIds' in part ? part.tokenIds.length : part.rows.count), 0);
}
