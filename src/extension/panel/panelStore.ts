/** Holds the panel's state and keeps the webview in step: patches for fields, batches for streamed tokens. */
import * as v from 'valibot';
import { deviceChoices, precisionChoices, type AnswerToken } from '../../protocol/comparison.ts';
import { methodNames } from '../../protocol/methods.ts';
import { defaultInputs, type HostToPanel, type PanelState } from '../../protocol/panel.ts';
import { Emitter } from '../event.ts';
import {
  answerSchema,
  answerSettingsSchema,
  promptSchema,
  tokenSchema,
  variantId,
} from '../../protocol/record.ts';
import { count, listOf, longText, shortText, size } from '../../protocol/schema.ts';

/** Tokens wait this long for company, so that a fast model does not flood the webview. */
const tokenBatchMs = 33;

export class PanelStore {
  #state: PanelState;
  #post: ((message: HostToPanel) => void) | null = null;
  readonly #changes = new Emitter<void>();
  /** Fires after every change. */
  readonly onDidChange = this.#changes.event;
  readonly #waitingTokens = new Map<number, AnswerToken[]>();
  #timer: NodeJS.Timeout | null = null;

  constructor(state: PanelState) {
    this.#state = state;
  }

  get state(): PanelState {
    return this.#state;
  }

  /** Connects a webview that has said it is ready (null: none); it is sent the whole state. */
  connect(post: ((message: HostToPanel) => void) | null): void {
    this.#post = post;
    this.#waitingTokens.clear();
    post?.({ type: 'state', state: this.#state });
  }

  post(message: HostToPanel): void {
    this.#post?.(message);
  }

  /** Replaces fields of the state. */
  patch(patch: Partial<PanelState>): void {
    // A patch of the columns carries the waiting tokens; appended later they would stand there twice.
    if (patch.columns) this.#waitingTokens.clear();
    else this.flushTokens();
    this.#state = { ...this.#state, ...patch };
    this.#post?.({ type: 'patch', patch });
    this.changed();
  }

  /** Replaces fields that the panel shows already. */
  keep(patch: Partial<PanelState>): void {
    this.#state = { ...this.#state, ...patch };
    this.changed();
  }

  /** Tells the listeners to look again. */
  changed(): void {
    this.#changes.fire();
  }

  appendToken(column: number, token: AnswerToken): void {
    this.#state.columns[column]?.tokens.push(token);
    const waiting = this.#waitingTokens.get(column);
    if (waiting) waiting.push(token);
    else this.#waitingTokens.set(column, [token]);
    this.#timer ??= setTimeout(() => this.flushTokens(), tokenBatchMs);
  }

  flushTokens(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#waitingTokens.size === 0) return;
    const tokens = [...this.#waitingTokens].map(([column, list]) => ({ column, tokens: list }));
    this.#waitingTokens.clear();
    this.#post?.({ type: 'tokens', tokens });
  }
}

const problemSchema = v.object({
  message: longText,
  actions: listOf(v.object({ label: shortText, action: shortText }), 10),
});

const columnSchema = v.object({
  kind: v.picklist(methodNames),
  k: v.optional(count),
  strength: v.optional(size),
  tokenFile: v.optional(shortText),
});

/** What is taken from a stored state; the rest is what this window knows. */
const storedSchema = v.object({
  version: v.literal(1),
  inputs: v.object({
    question: longText,
    passageCount: count,
    model: v.nullable(shortText),
    device: v.picklist(deviceChoices),
    precision: v.picklist(precisionChoices),
    tokenFile: v.nullable(shortText),
    k: count,
    columns: listOf(columnSchema, 1000),
    settings: answerSettingsSchema,
  }),
  passages: listOf(
    v.object({
      id: shortText,
      passage: v.object({ text: longText, path: v.optional(shortText) }),
      ticked: v.boolean(),
    }),
    10_000,
  ),
  columns: listOf(
    v.object({
      variant: variantId,
      label: shortText,
      k: count,
      status: shortText,
      tokens: listOf(tokenSchema, 1_000_000),
      answer: v.nullable(answerSchema),
      prompt: v.nullable(promptSchema),
      problem: v.optional(problemSchema),
    }),
    1000,
  ),
  run: v.object({ kind: shortText }),
});

/** The state of a panel in which nothing has happened. */
export function emptyState(): PanelState {
  return {
    version: 1,
    workspace: { name: null, trusted: true },
    index: { kind: 'no-folder' },
    model: { kind: 'unloaded' },
    run: { kind: 'idle' },
    models: [],
    tokenFiles: [],
    tokenFileFit: {},
    tokenFileWarnings: {},
    inputs: structuredClone(defaultInputs),
    passages: [],
    budget: null,
    columns: [],
    record: null,
    notices: [],
  };
}

/**
 * A stored state made usable after a reload: what was going on then has been interrupted.
 * Returns null if it is not a state of this version.
 */
export function restoreState(stored: unknown): PanelState | null {
  if (!v.is(storedSchema, stored)) return null;
  const state = stored as Partial<PanelState>;
  const restored: PanelState = { ...emptyState(), ...state, notices: [] };
  restored.inputs = { ...structuredClone(defaultInputs), ...state.inputs };
  restored.model = { kind: 'unloaded' };
  const running = ['retrieving', 'loading', 'streaming'].includes(restored.run.kind);
  if (running) restored.run = { kind: 'cancelled', stale: false };
  restored.columns = restored.columns.map((column) =>
    column.status === 'waiting' || column.status === 'streaming'
      ? { ...column, status: 'cancelled' }
      : column,
  );
  return restored;
}
