/** Who rewrites passages and asks about them: here the local decoder; endpoint.ts has models behind a server. */
import { renderChat } from '../checkpoint/chatTemplate.ts';
import type { Decoder } from '../decoder/decoder.ts';

export interface TextGenerator {
  /** Names the model in augmented data. */
  readonly name: string;
  /** Tells it from another model of the same name, in caches. */
  readonly identity: string;
  /** What a model says to a message. The same seed gives the same text, as far as the model can. */
  generate(message: string, seed: number, signal?: AbortSignal): Promise<string>;
}

/** As the authors sample. */
export const sampling = { maxNewTokens: 512, temperature: 0.7, topK: 50 } as const;

/** The local model, in its chat template (plain text without one). */
export class LocalGenerator implements TextGenerator {
  readonly name: string;
  readonly identity: string;
  private readonly decoder: Decoder;

  constructor(decoder: Decoder, name: string) {
    this.decoder = decoder;
    this.name = name;
    this.identity = JSON.stringify([name, decoder.checkpoint.path]);
  }

  async generate(message: string, seed: number, signal?: AbortSignal): Promise<string> {
    const { tokenizer } = this.decoder;
    const messages = [{ role: 'user', content: message } as const];
    // models that can think aloud would use up their tokens before they answer
    const chat = renderChat(tokenizer, messages, { enable_thinking: false });
    const opensThoughts = /<think>\s*$/.test(chat ?? '');
    const tokenIds =
      chat === undefined
        ? tokenizer.encode(`${message}\n`)
        : tokenizer.encode(chat, { addSpecialTokens: false });
    const settings = { ...sampling, seed, overflow: 'truncate-left' } as const;
    for await (const event of this.decoder.compare([{ parts: [{ tokenIds }] }], settings, signal)) {
      // Some templates open the thoughts themselves; then the answer holds their end alone.
      if (event.type === 'done') return (opensThoughts ? '<think>' : '') + event.generation.text;
    }
    throw new Error('The decoder gave no answer.');
  }
}
