/** The adapters of a data set's questions: of their own passages, and of unrelated ones as a control. */
import type { LoraAdapter } from '../checkpoint/types.ts';
import type { EncodeProgress, PassageEncoder } from '../prag/encode.ts';
import { mergeAdapters } from '../prag/passageAdapters.ts';
import { unrelatedTexts } from '../prag/unrelatedPassages.ts';
import { methodOf, variantFrom, type AdapterKind } from '../protocol/methods.ts';
import type { Condition } from './conditions.ts';
import type { EvaluationItem } from './questions.ts';

const noAdapter: LoraAdapter = { id: 'none', pairs: new Map() };

export class ItemAdapters {
  /** Ids of items that were asked without what their variant promises: say so beside the scores. */
  readonly withoutAdapter = new Set<string>();
  private readonly encoder: PassageEncoder;
  private readonly items: readonly EvaluationItem[];
  /** The merged adapter that was used last, by the passages' texts: the conditions of an item share it. */
  private last: { key: string; adapter: LoraAdapter } | undefined;

  constructor(encoder: PassageEncoder, items: readonly EvaluationItem[]) {
    this.encoder = encoder;
    this.items = items;
  }

  /** Encodes every passage that the conditions need, so that answering does not wait; each once. */
  encodeAll(conditions: readonly Condition[], signal?: AbortSignal): AsyncGenerator<EncodeProgress> {
    const wanted = this.items.flatMap((item) =>
      conditions.flatMap((condition) => this.passagesOf(item, condition)?.texts ?? []),
    );
    return this.encoder.encode([...new Set(wanted)], signal);
  }

  /**
   * The merged adapter of an item under a condition, empty for conditions without. Passages that cannot be encoded are
   * left out; where none can, the adapter changes nothing, and the item is noted in `withoutAdapter`.
   */
  async adaptersOf(
    item: EvaluationItem,
    condition: Condition,
    signal?: AbortSignal,
  ): Promise<Partial<Record<AdapterKind, LoraAdapter>>> {
    const wanted = this.passagesOf(item, condition);
    if (!wanted) return {};
    const key = JSON.stringify(wanted.texts);
    if (this.last?.key !== key) {
      const adapters: LoraAdapter[] = [];
      for await (const progress of this.encoder.encode(wanted.texts, signal)) {
        if (progress.type === 'encoded') adapters.push(progress.adapter);
      }
      if (adapters.length === 0) this.withoutAdapter.add(item.id);
      this.last = { key, adapter: adapters.length === 0 ? noAdapter : mergeAdapters(adapters) };
    }
    return { [wanted.kind]: this.last.adapter };
  }

  private passagesOf(
    item: EvaluationItem,
    { variant, passages: count }: Condition,
  ): { kind: AdapterKind; texts: string[] } | undefined {
    const kind = methodOf(variantFrom(variant)).adapter;
    if (!kind) return undefined;
    const own = item.passages.slice(0, count).map(({ text }) => text);
    return { kind, texts: kind === 'passages' ? own : unrelatedTexts(own.length) };
  }
}
