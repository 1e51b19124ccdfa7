/** Keeps the panel's token budget: what the prompts will take of the model's context, known before they are run. */
import type { FitRequest, PassageFit } from '../../protocol/engine.ts';
import type { PanelState, PassageBudget } from '../../protocol/panel.ts';
import { comparisonRequest } from './comparisonInputs.ts';
import type { PanelStore } from './panelStore.ts';

/** Ticks and typing are measured when they pause this long. */
const pauseMs = 150;

export class BudgetWatch {
  readonly #store: PanelStore;
  readonly #fit: (request: FitRequest) => Promise<PassageFit>;
  readonly #listening: { dispose: () => void };
  #measured: readonly unknown[] = [];
  #timer: NodeJS.Timeout | undefined;

  /** @param fit asks the engine */
  constructor(store: PanelStore, fit: (request: FitRequest) => Promise<PassageFit>) {
    this.#store = store;
    this.#fit = fit;
    this.#listening = store.onDidChange(() => this.#look());
  }

  dispose(): void {
    this.#listening.dispose();
    clearTimeout(this.#timer);
  }

  /** Measures again if something has changed on which the lengths depend. */
  #look(): void {
    const { passages, inputs, tokenFiles } = this.#store.state;
    const { question, model, columns, k, tokenFile, settings } = inputs;
    const now = [passages, question, model, columns, k, tokenFile, settings, tokenFiles];
    if (now.every((value, place) => value === this.#measured[place])) return;
    this.#measured = now;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#measure(now), pauseMs);
  }

  async #measure(of: readonly unknown[]): Promise<void> {
    const budget = await this.#budget(this.#store.state);
    // Meanwhile it may be that of other inputs.
    if (of !== this.#measured) return;
    const { state } = this.#store;
    if (JSON.stringify(budget) !== JSON.stringify(state.budget)) this.#store.patch({ budget });
  }

  /** Null if nothing is ticked, or if it cannot be known: then the run says why. */
  async #budget(state: PanelState): Promise<PassageBudget | null> {
    const ticked = state.passages.filter((passage) => passage.ticked);
    if (ticked.length === 0 || state.inputs.question.trim() === '') return null;
    try {
      const { tokens, room, leftOut } = await this.#fit(comparisonRequest(state).request);
      const cut = state.inputs.settings.longPrompt === 'cut-left';
      return { tokens, room, leftOut: cut ? [] : leftOut.map((place) => ticked[place]!.id) };
    } catch {
      return null;
    }
  }
}
