/** From a line of the training data to token ids: what stands before the virtual tokens, after them, and is learnt. */
import type { Tokenizer } from '../../checkpoint/tokenizer.ts';
import type { ModelConfig } from '../../checkpoint/types.ts';
import { UserError } from '../../protocol/errors.ts';
import type { PromptPiece } from '../../protocol/comparison.ts';
import type { Passage } from '../../protocol/passages.ts';
import type { TrainingSettings } from '../../protocol/training.ts';
import { chatPieces, noChatTemplate } from '../chatPrompt.ts';
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
    if (item.kind === 'raw' || this.settings.promptForm || tail >= maxLength) {
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
    const passages = this.drawPassages(item, index, epoch);
    if (this.settings.promptForm) return this.encodeChat(item, passages);
    const pieces = springPrompt(item.question, passages, 1);
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

  /**
   * The same within the model's chat template. Its beginning must stay, so of an example that is too long whole passages
   * are left out, the last first.
   */
  private encodeChat(item: QuestionItem, passages: readonly Passage[]): EncodedExample {
    const pieces = chatPieces(this.tokenizer, springPrompt(item.question, passages, 1));
    if (!pieces) throw new UserError(noChatTemplate);
    const [prefix, , suffix] = pieces as [{ text: string }, PromptPiece, { text: string }];
    const suffixIds = this.encodeInside(suffix.text);
    const eos = this.config.eosTokenIds[0];
    const example = {
      prefixIds: this.encodeInside(prefix.text),
      suffixIds,
      completionIds: [
        ...this.encodeAfter(suffix.text, suffixIds, item.answers[0]!),
        ...(eos === undefined ? [] : [eos]),
      ],
    };
    const { maxLength, numTokens } = this.settings;
    const length = Object.values(example).reduce((sum, ids) => sum + ids.length, numTokens);
    if (length <= maxLength || passages.length === 0) return example;
    return this.encodeChat(item, passages.slice(0, -1));
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
