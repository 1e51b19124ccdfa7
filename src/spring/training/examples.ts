/** From a line of the training data to token ids: what stands before the virtual tokens, after them, and is learnt. */
import type { Tokenizer } from '../../checkpoint/tokenizer.ts';
import type { ModelConfig } from '../../checkpoint/types.ts';
import { UserError } from '../../protocol/errors.ts';
import type { Passage } from '../../protocol/passages.ts';
import type { TrainingSettings } from '../../protocol/training.ts';
import { springPrompt } from '../prompts.ts';
import type { QuestionItem, TrainingItem } from './data.ts';
import { drawInteger, randomStream, shuffled } from './random.ts';

/** Passages per example at most, as the authors train. */
const maximumPassages = 5;

export interface EncodedExample {
  /** BOS and passages. */
  prefixIds: number[];
  /** The question. */
  suffixIds: number[];
  /** The answer and EOS: the labels. */
  completionIds: number[];
}

export class ExampleEncoder {
  private readonly tokenizer: Tokenizer;
  private readonly config: ModelConfig;
  private readonly settings: TrainingSettings;

  constructor(tokenizer: Tokenizer, config: ModelConfig, settings: TrainingSettings) {
    this.tokenizer = tokenizer;
    this.config = config;
    this.settings = settings;
  }

  /**
   * @param index the item's place in its file, which addresses its random draws
   * @throws UserError if an example does not fit the longest allowed sequence
   */
  encode(item: TrainingItem, index: number, epoch: number): EncodedExample {
    const example = item.kind === 'raw' ? this.encodeRaw(item) : this.encodeQuestion(item, index, epoch);
    const { maxLength, numTokens } = this.settings;
    const tail = numTokens + example.suffixIds.length + example.completionIds.length;
    const excess = example.prefixIds.length + tail - maxLength;
    if (excess <= 0) return example;
    if (item.kind === 'raw' || tail >= maxLength) {
      throw new UserError(
        `${item.where} has ${tail + example.prefixIds.length} tokens with the ${numTokens} virtual tokens, more ` +
          `than the ${maxLength} of a sequence. Shorten it, or allow longer sequences.`,
      );
    }
    // the passages lose their beginning, as the authors' left truncation does; BOS stays
    const bos = example.prefixIds[0] === this.config.bosTokenId ? [this.config.bosTokenId] : [];
    const kept = example.prefixIds.slice(Math.min(example.prefixIds.length, excess + bos.length));
    return { ...example, prefixIds: [...bos, ...kept] };
  }

  private encodeRaw({ prefix, suffix, completion }: TrainingItem & { kind: 'raw' }): EncodedExample {
    return {
      prefixIds: this.tokenizer.encode(prefix),
      suffixIds: this.encodeInside(suffix),
      completionIds: this.encodeInside(completion),
    };
  }

  /** `Question: q\nAnswer:`, a space, the answer, EOS: methods A.7. */
  private encodeQuestion(item: QuestionItem, index: number, epoch: number): EncodedExample {
    const pieces = springPrompt(item.question, this.drawPassages(item, index, epoch), 1);
    const [first, last] = [pieces[0]!, pieces.at(-1)!];
    const prefix = 'text' in first && pieces.length === 3 ? first.text : '';
    const suffix = 'text' in last ? last.text : '';
    const suffixIds = this.encodeInside(suffix);
    const eos = this.config.eosTokenIds[0];
    return {
      prefixIds: this.tokenizer.encode(prefix),
      suffixIds,
      completionIds: [
        ...this.encodeAfter(suffix, suffixIds, ` ${item.answers[0]!}`),
        ...(eos === undefined ? [] : [eos]),
      ],
    };
  }

  private drawPassages({ passages }: QuestionItem, index: number, epoch: number): Passage[] {
    const { seed, passages: mode } = this.settings;
    if (mode === 'all' || passages.length === 0) return passages;
    const stream = randomStream(seed, 'passages', index, mode === 'resample' ? epoch : 0);
    const count = drawInteger(stream, 1, Math.min(maximumPassages, passages.length));
    return shuffled(stream, passages).slice(0, count);
  }

  private encodeInside(text: string): number[] {
    return this.tokenizer.encode(text, { addSpecialTokens: false });
  }

  /**
   * The ids of a text that follows another: what the model would have to generate. Tokenising it alone would put a
   * mark of the beginning of a text in front with some tokenizers.
   */
  private encodeAfter(before: string, beforeIds: readonly number[], text: string): number[] {
    const together = this.encodeInside(before + text);
    const isContinued = beforeIds.every((id, i) => together[i] === id);
    return isContinued ? together.slice(beforeIds.length) : this.encodeInside(text);
  }
}
