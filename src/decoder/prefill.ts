/**
 * Prefilling the prompts of a comparison. The prompts of one adapter are a tree: what they share at their start is run
 * through the model once, and the branches are forks. SPRING's tokens come after the passages, so all variants share
 * the passages.
 */
import { prefillChunk } from '../checkpoint/memory.ts';
import type { LoraAdapter } from '../checkpoint/types.ts';
import { throwIfCancelled } from '../protocol/errors.ts';
import type { Sequence } from './keyValueMemory.ts';
import type { PrefixCache } from './prefixCache.ts';
import { commonPrefixLength, type PromptUnits, type Units } from './promptUnits.ts';
import { ropeRegime } from './rope.ts';
import type { DecoderSession } from './session.ts';

export interface PromptToPrefill {
  index: number;
  units: Units;
  adapter: LoraAdapter | undefined;
}

export interface PrefilledPrompt {
  index: number;
  /** The receiver releases it. */
  sequence: Sequence;
  /** Logits of the prompt's last position (vocabSize). */
  logits: Float32Array;
  /** Positions that were not run for this prompt alone: from the prefix cache or shared with prompts before it. */
  sharedTokens: number;
}

/** A stretch of the tree without branches: units to append to a sequence. */
interface Stretch {
  sequence: Sequence;
  prompt: PromptToPrefill;
  units: Units;
  /** Where a prompt ends with it. */
  end?: { sharedTokens: number };
}

export class Prefill {
  private readonly session: DecoderSession;
  private readonly promptUnits: PromptUnits;
  private readonly prefixCache: PrefixCache;
  private readonly capacity: number;
  private readonly signal: AbortSignal | undefined;
  /** Sequences that have not been handed over. */
  private readonly owned = new Set<Sequence>();

  /** @param capacity positions that every sequence needs room for: the longest prompt and its answer */
  constructor(
    session: DecoderSession,
    promptUnits: PromptUnits,
    prefixCache: PrefixCache,
    capacity: number,
    signal?: AbortSignal,
  ) {
    this.session = session;
    this.promptUnits = promptUnits;
    this.prefixCache = prefixCache;
    this.capacity = capacity;
    this.signal = signal;
  }

  /**
   * Yields every prompt as soon as it is prefilled. Prompts share only with prompts of the same adapter.
   * @param beside a sequence that these are to go through the model with
   */
  async *run(prompts: readonly PromptToPrefill[], beside?: Sequence): AsyncGenerator<PrefilledPrompt> {
    const groups = Map.groupBy(prompts, ({ adapter, units }) =>
      JSON.stringify([adapter?.id ?? '', ropeRegime(this.session.config, units.length)]),
    );
    const expected = this.expectedPositions(prompts);
    try {
      for (const [key, group] of groups) {
        const { sequence, length } = await this.beginning(key, group, beside, expected);
        beside = sequence;
        let stored = false;
        for await (const prefilled of this.passes(this.branches(group, sequence, length, length))) {
          // one prompt of a group is enough for the next question: it holds the passages that all share
          if (!stored) await this.store(key, group, prefilled);
          stored = true;
          this.owned.delete(prefilled.sequence);
          yield prefilled;
        }
      }
    } finally {
      for (const sequence of this.owned) this.session.memory.release(sequence);
    }
  }

  /** Positions of all prompts and their answers, what a prompt shares with the one before it counted once. */
  private expectedPositions(prompts: readonly PromptToPrefill[]): number {
    const longest = Math.max(0, ...prompts.map(({ units }) => units.length));
    return prompts.reduce((sum, { units }, index) => {
      const shared = index === 0 ? 0 : commonPrefixLength([prompts[index - 1]!.units, units]);
      return sum + units.length - shared + this.capacity - longest;
    }, 0);
  }

  /** The sequence that a group's tree grows from: what an earlier question left, or an empty one. */
  private async beginning(
    key: string,
    group: readonly PromptToPrefill[],
    beside: Sequence | undefined,
    expected: number,
  ): Promise<{ sequence: Sequence; length: number }> {
    const { memory } = this.session;
    const limit = commonLength(group);
    const known = this.prefixCache.find(key, group[0]!.units, limit);
    const sequence = known
      ? await memory.copy(known.sequence, known.length, this.capacity, beside, expected)
      : await memory.create(this.capacity, beside, expected);
    this.owned.add(sequence);
    return { sequence, length: known?.length ?? 0 };
  }

  private async store(
    key: string,
    group: readonly PromptToPrefill[],
    { index, sequence }: PrefilledPrompt,
  ): Promise<void> {
    const { units } = group.find((prompt) => prompt.index === index)!;
    const copy = await this.session.memory.copy(sequence, units.length, units.length);
    this.prefixCache.store(key, units, copy);
  }

  /**
   * The tree's stretches, each behind what it follows. The branch of the most prompts goes on with its trunk's sequence;
   * then the others are forked from it, each when its stretch is asked for. `null`: what was asked for must be run.
   * @param position where `sequence` ends once all stretches before are run
   * @param shared how many of those positions the group's first prompt did not pay for
   */
  private async *branches(
    group: readonly PromptToPrefill[],
    sequence: Sequence,
    position: number,
    shared: number,
  ): AsyncGenerator<Stretch | null> {
    const first = group[0]!;
    if (group.length === 1) {
      yield { sequence, prompt: first, units: first.units.slice(position), end: { sharedTokens: shared } };
      return;
    }
    const common = commonLength(group);
    if (common > position) yield { sequence, prompt: first, units: first.units.slice(position, common) };
    const members = Map.groupBy(group, (prompt) =>
      prompt.units.length === common + 1 ? prompt : prompt.units[common],
    );
    const [largest, ...others] = [...members.values()].toSorted((a, b) => b.length - a.length);
    yield* this.branches(largest!, sequence, common, shared);
    for (const branch of others) {
      if (sequence.length < common) yield null;
      const fork = await this.session.memory.fork(sequence, common, this.capacity);
      this.owned.add(fork);
      yield* this.branches(branch, fork, common, common);
    }
  }

  /** Runs stretches through the model, a chunk of positions at a time: between passes a cancellation is felt. */
  private async *passes(stretches: AsyncIterable<Stretch | null>): AsyncGenerator<PrefilledPrompt> {
    let pass: Stretch[] = [];
    let room = prefillChunk;
    for await (const next of stretches) {
      if (!next) {
        yield* this.pass(pass);
        pass = [];
        room = prefillChunk;
        continue;
      }
      const { units, end, ...stretch } = next;
      for (let start = 0; start < units.length;) {
        const piece = units.slice(start, start + room);
        start += piece.length;
        room -= piece.length;
        pass.push({ ...stretch, units: piece, ...(end && start === units.length ? { end } : {}) });
        if (room > 0 && this.session.memory.mixesSequences) continue;
        yield* this.pass(pass);
        pass = [];
        room = prefillChunk;
      }
    }
    if (pass.length > 0) yield* this.pass(pass);
  }

  private async *pass(stretches: readonly Stretch[]): AsyncGenerator<PrefilledPrompt> {
    throwIfCancelled(this.signal);
    const runs = stretches.map(async ({ sequence, prompt, units, end }) => ({
      sequence,
      inputsEmbeds: await this.promptUnits.embeddings(units),
      adapter: prompt.adapter,
      ropeLength: prompt.units.length,
      logitsAt: end ? [units.length - 1] : [],
    }));
    const logits = await this.session.forward(await Promise.all(runs));
    for (const [run, { sequence, prompt, end }] of stretches.entries()) {
      if (end) yield { index: prompt.index, sequence, logits: logits[run]!, ...end };
    }
  }
}

/** What the prompts share at their start; each keeps at least one position of its own, whose logits it needs. */
function commonLength(group: readonly PromptToPrefill[]): number {
  const shortest = Math.min(...group.map(({ units }) => units.length));
  return Math.min(commonPrefixLength(group.map(({ units }) => units)), shortest - 1);
}
