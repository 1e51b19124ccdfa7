/**
 * What the views may do. Every method draws the change at once and tells the host; a request that fails becomes
 * a notice.
 */
import type { PanelInputs, PanelRequestName, PanelRequests } from '../src/protocol/panel.ts';
import { HostError, type Host } from './host.ts';
import {
  addFailure,
  changeView,
  confirmEdit,
  dropFailure,
  edit,
  highlight,
  isRunning,
  sendEdit,
  tick,
  tickedIds,
  toggleUnfolded,
  type PanelModel,
  type ViewState,
} from './state.ts';
import type { Span } from './text/words.ts';

/** Typing is sent to the host when it pauses this long. */
const editPauseMs = 200;

export class Controller {
  readonly #host: Host<PanelRequests>;
  readonly #change: (next: (model: PanelModel) => PanelModel) => void;
  readonly #model: () => PanelModel;
  #unsent: Partial<PanelInputs> = {};
  #sendTimer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  constructor(
    host: Host<PanelRequests>,
    model: () => PanelModel,
    change: (next: (model: PanelModel) => PanelModel) => void,
  ) {
    this.#host = host;
    this.#model = model;
    this.#change = change;
  }

  /** Sends a request; undefined if it failed (the user has been told). */
  async send<Name extends PanelRequestName>(
    name: Name,
    params: PanelRequests[Name]['params'],
  ): Promise<PanelRequests[Name]['result'] | undefined> {
    try {
      return await this.#host.request(name, params);
    } catch (error) {
      if (error instanceof HostError && error.kind === 'cancelled') return undefined;
      const message = error instanceof Error ? error.message : String(error);
      this.#change((model) => addFailure(model, `failure-${++this.#failures}`, message));
      return undefined;
    }
  }

  /** For event handlers: sends a request whose reply nobody needs. */
  tell<Name extends PanelRequestName>(name: Name, params: PanelRequests[Name]['params']): void {
    void this.send(name, params);
  }

  edit(change: Partial<PanelInputs>): void {
    this.#change((model) => edit(model, change));
    this.#unsent = { ...this.#unsent, ...change };
    clearTimeout(this.#sendTimer);
    this.#sendTimer = setTimeout(() => this.flushEdits(), editPauseMs);
  }

  /** Sends edits that wait for a pause; call before anything that depends on them. */
  flushEdits(): void {
    clearTimeout(this.#sendTimer);
    const change = this.#unsent;
    if (Object.keys(change).length === 0) return;
    this.#unsent = {};
    this.#change(sendEdit);
    void this.send('edit', change).then(() => this.#change((model) => confirmEdit(model, change)));
  }

  ask(): void {
    const { panel } = this.#model();
    if (panel === null || isRunning(panel) || panel.inputs.question.trim() === '') return;
    this.flushEdits();
    this.tell('ask', { question: panel.inputs.question });
  }

  rerun(): void {
    const { panel } = this.#model();
    if (panel === null || isRunning(panel)) return;
    this.flushEdits();
    this.tell('rerun', {});
  }

  cancel(): void {
    const { panel } = this.#model();
    if (panel !== null && isRunning(panel)) this.tell('cancel', {});
  }

  tick(ids: string[]): void {
    this.#change((model) => tick(model, ids));
    this.tell('tickPassages', { ids });
  }

  tickOne(id: string, ticked: boolean): void {
    const ids = tickedIds(this.#model().panel?.passages ?? []).filter((other) => other !== id);
    const order = this.#model().panel?.passages.map((passage) => passage.id) ?? [];
    this.tick(order.filter((other) => ids.includes(other) || (ticked && other === id)));
  }

  setView(change: Partial<ViewState>): void {
    this.#change((model) => changeView(model, change));
  }

  toggleUnfolded(id: string): void {
    this.#change((model) => toggleUnfolded(model, id));
  }

  showInPassage(passageId: string, span: Span): void {
    this.#change((model) => highlight(model, passageId, span));
  }

  dropFailure(id: string): void {
    this.#change((model) => dropFailure(model, id));
  }
}
