/**
 * What happens in a comparison panel, without VS Code: inputs are edited, a question is asked, passages are
 * ticked, answers stream in. VS Code's part (pickers, files, the webview) is panelHost.ts.
 */
import type {
  ComparisonEvent,
  ComparisonRequest,
  ModelInfo,
  ModelSelection,
  TokenFileInfo,
} from '../../protocol/comparison.ts';
import type { SearchHit } from '../../protocol/engine.ts';
import { methodOf, variantFrom, type Method } from '../../protocol/methods.ts';
import type { Catalogue } from '../../hub/types.ts';
import { CancelledError, messageOf, throwIfCancelled, UserError } from '../../protocol/errors.ts';
import {
  changesAnswers,
  type IndexState,
  type Notice,
  type PanelAction,
  type ColumnChoice,
  type PanelColumn,
  type PanelInputs,
  type PanelState,
} from '../../protocol/panel.ts';
import type { Passage } from '../../protocol/passages.ts';
import { comparisonRequest, consistentInputs, modelOf, wantedVariants } from './comparisonInputs.ts';
import { MissingIndexError, selectTokenFile, waysOut, waysOutOf } from './failures.ts';
import { fitTable, fitWarnings, misfitOf, tokenFileForModel } from './fit.ts';
import { PanelStore } from './panelStore.ts';
import { addPassage, mergeHits, movePassage, offeredPassages, tickPassages } from './passageList.ts';

/** What is kept in the settings as soon as it is chosen, wherever it is chosen. */
export type Choices = Partial<Pick<PanelInputs, 'model' | 'tokenFile' | 'device' | 'precision'>>;

/** What a session needs from the rest of the extension. */
export interface SessionServices {
  /** Resolves when the models and embedding files of this window have been looked at once. */
  libraryKnown: () => Promise<void>;
  /** Makes sure that there is an index, building it if that is allowed; resolves to the state it is in. */
  ensureIndexed: (signal: AbortSignal) => Promise<IndexState>;
  search: (query: string, count: number, signal: AbortSignal) => Promise<SearchHit[]>;
  /** Runs a comparison in the engine; resolves when all answers have ended. */
  compare: (
    request: ComparisonRequest,
    signal: AbortSignal,
    onEvents: (events: ComparisonEvent[]) => void,
  ) => Promise<void>;
  questionAsked: (question: string) => void;
  /** A comparison with this model follows soon: it may be loaded while passages are retrieved. */
  warmUp: (selection: ModelSelection) => void;
  /** The user has chosen these: they are what the next window begins with. */
  keepChoices: (choices: Choices) => Promise<void>;
  /** The list of models and embedding files: says which file was trained for which model. */
  catalogue: () => Catalogue;
}

export class ComparisonSession {
  readonly store: PanelStore;
  readonly #services: SessionServices;
  #run: AbortController | null = null;
  /** Settled when what was chosen last is kept. */
  choicesKept: Promise<void> = Promise.resolve();
  #lastAttempt: 'ask' | 'rerun' = 'ask';
  #nextNotice = 1;
  /** By model, the embedding file last chosen with it. */
  readonly #chosenTokenFiles = new Map<string, string>();
  /** What the user has tried in this window: steps of the walkthrough. */
  readonly tried = { passages: false, virtualTokens: false, model: false };

  constructor(state: PanelState, services: SessionServices) {
    this.store = new PanelStore(state);
    this.#services = services;
  }

  get state(): PanelState {
    return this.store.state;
  }

  get busy(): boolean {
    return this.#run !== null;
  }

  /** Answers that would be lost if others took their place. */
  get unsaved(): boolean {
    const { record, columns } = this.state;
    return record === null && columns.some(({ answer }) => answer !== null);
  }

  /** Changes inputs. What does not hold together is corrected, and the correction is sent to the panel. */
  edit(changes: Partial<PanelInputs>): void {
    this.tried.model ||= changes.model !== undefined && changes.model !== this.state.inputs.model;
    this.tried.virtualTokens ||= changes.k !== undefined && changes.k !== this.state.inputs.k;
    const inputs = { ...this.state.inputs, ...changes, ...this.#tokenFileOf(changes) };
    const corrected = consistentInputs(inputs, this.state);
    // The panel has drawn what the user edited; sending it back would disturb typing. Corrections are news.
    const news = Object.entries(changes).some(
      ([name, value]) => corrected[name as keyof PanelInputs] !== value,
    );
    if (news) this.store.patch({ inputs: corrected });
    else this.store.keep({ inputs: corrected });
    const refused = this.state.tokenFiles.find(({ path }) => path === changes.tokenFile);
    const misfit = refused ? misfitOf(refused, modelOf(this.state.models, corrected)) : null;
    if (misfit !== null) this.notify('error', misfit, [selectTokenFile]);
    this.#keep(changes, corrected);
    if (changes.model !== undefined) {
      this.store.patch(this.#fits(modelOf(this.state.models, corrected)));
    }
    if (changesAnswers(changes)) this.#markStale();
    if (changes.model !== undefined || changes.device !== undefined || changes.precision !== undefined) {
      this.store.patch({ model: { kind: 'unloaded' } });
    }
  }

  /** Another model brings its own embedding file with it, if one fits. */
  #tokenFileOf({ model: id, tokenFile }: Partial<PanelInputs>): Partial<PanelInputs> {
    const { inputs, tokenFiles, models } = this.state;
    if (id === undefined || id === null || id === inputs.model || tokenFile !== undefined) return {};
    const choices = { chosenBefore: this.#chosenTokenFiles.get(id) ?? null, now: inputs.tokenFile };
    const model = modelOf(models, { ...inputs, model: id });
    const file = tokenFileForModel(tokenFiles, model, choices, this.#services.catalogue());
    return { tokenFile: file?.path ?? null };
  }

  /** What the user has chosen stays chosen; what was only corrected does not count. */
  #keep(changes: Partial<PanelInputs>, inputs: PanelInputs): void {
    const { model, tokenFile } = inputs;
    if (model !== null && tokenFile !== null && changes.tokenFile === tokenFile) {
      this.#chosenTokenFiles.set(model, tokenFile);
    }
    const kept = (['model', 'tokenFile', 'device', 'precision'] as const).filter(
      (name) => changes[name] !== undefined && changes[name] === inputs[name],
    );
    if (kept.length === 0) return;
    const choices = Object.fromEntries(kept.map((name) => [name, inputs[name]]));
    this.choicesKept = this.#services.keepChoices(choices);
  }

  /** New lists of what is known; the selection is kept where it still makes sense. */
  setLibrary(models: ModelInfo[], tokenFiles: TokenFileInfo[]): void {
    this.store.patch({ models, tokenFiles });
    const inputs = consistentInputs(this.state.inputs, this.state);
    this.store.patch({ inputs, ...this.#fits(modelOf(models, inputs)) });
  }

  #fits(model: ModelInfo | null): Pick<PanelState, 'tokenFileFit' | 'tokenFileWarnings'> {
    const { tokenFiles } = this.state;
    const catalogue = this.#services.catalogue();
    return {
      tokenFileFit: fitTable(tokenFiles, model),
      tokenFileWarnings: fitWarnings(tokenFiles, model, catalogue),
    };
  }

  /** Selects an embedding file; one that does not fit leaves the selection and says why. Returns whether it fits. */
  selectTokenFile(file: TokenFileInfo): boolean {
    if (!this.state.tokenFiles.some(({ path }) => path === file.path)) {
      this.setLibrary(this.state.models, [...this.state.tokenFiles, file]);
    }
    const misfit = misfitOf(file, modelOf(this.state.models, this.state.inputs));
    if (misfit !== null) {
      this.notify('error', misfit, [selectTokenFile]);
      return false;
    }
    this.edit({ tokenFile: file.path });
    return true;
  }

  /** Retrieves passages for the question, then compares. Resolves when the run has ended, however it did. */
  async ask(question: string): Promise<void> {
    const asked = question.trim();
    if (asked === '') throw new UserError('The question is empty: type one first.');
    this.#lastAttempt = 'ask';
    this.store.patch({ inputs: { ...this.state.inputs, question: asked }, record: null });
    this.#services.questionAsked(asked);
    await this.#runUntilEnd(async (signal, startedAt) => {
      this.store.patch({ run: { kind: 'retrieving' }, columns: [] });
      const { model, device, precision } = this.state.inputs;
      if (model !== null) this.#services.warmUp({ model, device, precision });
      const index = await this.#services.ensureIndexed(signal);
      let firstPassageMs: number | null = null;
      if (index.kind === 'ready' && this.state.inputs.passageCount > 0) {
        const { passageCount } = this.state.inputs;
        const hits = await this.#services.search(asked, Math.max(offeredPassages, passageCount), signal);
        firstPassageMs = performance.now() - startedAt;
        this.store.patch({ passages: mergeHits(hits, this.state.passages, passageCount) });
      } else if (index.kind === 'no-folder' || !this.#wantsPassages()) {
        // There is nothing to search: the answers are without passages, or with the user's own.
        this.store.patch({ passages: mergeHits([], this.state.passages, 0) });
      } else {
        throw new MissingIndexError(index);
      }
      return firstPassageMs;
    });
  }

  /** Whether the columns need passages that are not there yet. */
  #wantsPassages(): boolean {
    const { inputs, passages } = this.state;
    const own = passages.some(({ origin, ticked }) => origin !== 'retrieved' && ticked);
    return inputs.passageCount > 0 && !own && inputs.columns.some(needsPassages);
  }

  /** Compares again with the passages as they are ticked. */
  async rerun(): Promise<void> {
    if (this.state.inputs.question.trim() === '')
      throw new UserError('There is no question yet: type one first.');
    this.#lastAttempt = 'rerun';
    await this.#runUntilEnd(() => Promise.resolve(null));
  }

  retry(): Promise<void> {
    return this.#lastAttempt === 'ask' ? this.ask(this.state.inputs.question) : this.rerun();
  }

  cancel(): void {
    this.#run?.abort();
  }

  tick(ids: readonly string[]): void {
    this.tried.passages = true;
    this.store.patch({ passages: tickPassages(this.state.passages, ids) });
    this.#markStale();
  }

  addPassage(passage: Passage, origin: 'by-hand' | 'editor'): void {
    this.store.patch({ passages: addPassage(this.state.passages, passage, origin) });
    this.#markStale();
  }

  removePassage(id: string): void {
    this.store.patch({ passages: this.state.passages.filter((passage) => passage.id !== id) });
    this.#markStale();
  }

  movePassage(id: string, to: number): void {
    this.store.patch({ passages: movePassage(this.state.passages, id, to) });
    this.#markStale();
  }

  notify(severity: Notice['severity'], message: string, actions: PanelAction[] = []): void {
    const notices = this.state.notices.filter((notice) => notice.message !== message);
    const id = `notice-${String(this.#nextNotice++)}`;
    this.store.patch({ notices: [...notices, { id, severity, message, actions }].slice(-5) });
  }

  dismissNotice(id: string): void {
    this.store.patch({ notices: this.state.notices.filter((notice) => notice.id !== id) });
  }

  /** Retrieval (if any), then the comparison; whatever ends it becomes the run's state. */
  async #runUntilEnd(
    retrieve: (signal: AbortSignal, startedAt: number) => Promise<number | null>,
  ): Promise<void> {
    this.#run?.abort();
    const run = new AbortController();
    this.#run = run;
    const startedAt = performance.now();
    const isCurrent = (): boolean => this.#run === run;
    try {
      // A question may come before the first look at the files has ended.
      await this.#services.libraryKnown();
      if (!isCurrent()) return;
      throwIfCancelled(run.signal);
      const firstPassageMs = await retrieve(run.signal, startedAt);
      const firstTokenMs = await this.#compare(run.signal, startedAt, isCurrent);
      if (!isCurrent()) return;
      this.store.flushTokens();
      const totalMs = performance.now() - startedAt;
      this.store.patch({
        run: { kind: 'done', timings: { firstPassageMs, firstTokenMs, totalMs }, stale: false },
      });
    } catch (error) {
      if (!isCurrent()) return;
      this.#endWith(error);
    } finally {
      if (isCurrent()) this.#run = null;
      // Listeners look at `busy`.
      this.store.changed();
    }
  }

  async #compare(signal: AbortSignal, startedAt: number, isCurrent: () => boolean): Promise<number | null> {
    const { request, unavailable } = comparisonRequest(this.state);
    this.store.patch({
      record: null,
      run: { kind: 'loading', message: 'Preparing the model' },
      columns: wantedVariants(this.state.inputs).map((variant): PanelColumn => {
        const { k = 0 } = variantFrom(variant);
        return { variant, label: variant, k, status: 'waiting', tokens: [], answer: null, prompt: null };
      }),
    });
    let firstTokenMs: number | null = null;
    for (const event of unavailable) this.#apply(event);
    await this.#services.compare(request, signal, (events) => {
      if (signal.aborted || !isCurrent()) return;
      for (const event of events) {
        if (event.type === 'token') firstTokenMs ??= performance.now() - startedAt;
        this.#apply(event);
      }
    });
    return firstTokenMs;
  }

  #apply(event: ComparisonEvent): void {
    const { store } = this;
    switch (event.type) {
      case 'loading':
        store.patch({
          run: { kind: 'loading', message: event.message },
          // A model that is loaded stays so while passages are encoded.
          ...(this.state.model.kind === 'ready'
            ? {}
            : { model: { kind: 'loading', message: event.message } }),
        });
        break;
      case 'loaded': {
        const { device, precision, loadMs, warning } = event.model;
        if (warning !== undefined) this.notify('warning', warning);
        store.patch({ model: { kind: 'ready', device, precision, loadMs } });
        break;
      }
      case 'unavailable': {
        const { variant, label, k, message, needs } = event;
        const problem = { message, actions: waysOutOf(needs) };
        store.patch({
          columns: this.state.columns.map((column) =>
            column.variant === variant ? { ...column, label, k, status: 'failed', problem } : column,
          ),
        });
        break;
      }
      case 'prepared':
        store.patch({
          run: { kind: 'streaming' },
          columns: this.state.columns.map((column) => {
            const plan = event.variants.find(({ id }) => id === column.variant);
            return plan
              ? { ...column, label: plan.label, k: plan.k, prompt: plan.prompt, status: 'streaming' }
              : column;
          }),
        });
        break;
      case 'token':
        store.appendToken(this.#columnOf(event.variant), event.token);
        break;
      case 'answer': {
        const place = this.#columnOf(event.variant);
        store.patch({
          columns: this.state.columns.map((column, index) =>
            index === place ? { ...column, status: 'done', answer: event.answer } : column,
          ),
        });
        break;
      }
    }
  }

  #columnOf(variant: string): number {
    return this.state.columns.findIndex((column) => column.variant === variant);
  }

  #endWith(error: unknown): void {
    this.store.flushTokens();
    const cancelled = error instanceof CancelledError;
    const columns = this.state.columns.map((column): PanelColumn =>
      column.status === 'done' ? column : { ...column, status: cancelled ? 'cancelled' : 'failed' },
    );
    if (cancelled) {
      this.store.patch({ columns, run: { kind: 'cancelled', stale: false } });
      return;
    }
    if (this.state.model.kind === 'loading') this.store.patch({ model: { kind: 'unloaded' } });
    this.store.patch({
      columns,
      run: { kind: 'failed', message: messageOf(error), actions: waysOut(error) },
    });
  }

  /** The answers shown no longer belong to the inputs, and both together are no longer those of a record. */
  #markStale(): void {
    const { run, record } = this.state;
    if (record !== null) this.store.patch({ record: null });
    if ((run.kind === 'done' || run.kind === 'cancelled') && !run.stale) {
      this.store.patch({ run: { ...run, stale: true } });
    }
  }
}

/** Whether passages matter to a column, in its prompt or as adapters. */
function needsPassages({ kind }: ColumnChoice): boolean {
  const { showsPassages, adapter }: Method = methodOf({ method: kind });
  return showsPassages || adapter !== undefined;
}
