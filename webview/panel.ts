/** The comparison panel: connects the host's messages, the state and the views. */
import './panel.css';
import type { HostToPanel, PanelRequests } from '../src/protocol/panel.ts';
import { Controller } from './controller.ts';
import { element } from './dom.ts';
import { Host } from './host.ts';
import { fromStored, isRunning, receive, toStored, type PanelModel } from './state.ts';
import { registerToolkit } from './toolkit.ts';
import { announcerView } from './views/announcer.ts';
import { answersView } from './views/answers.ts';
import { passagesView } from './views/passages.ts';
import { TokenPopover } from './views/popover.ts';
import { questionView } from './views/question.ts';
import { moveAmongRegions, skipLink } from './views/regions.ts';
import { setupView } from './views/setup.ts';
import { noticesView, statusView } from './views/status.ts';

const vscode = acquireVsCodeApi();
const storePauseMs = 1000;

registerToolkit();
let model: PanelModel = fromStored(vscode.getState());
const host = new Host<PanelRequests>((message) => vscode.postMessage(message));
const controller = new Controller(host, () => model, change);
const popover = new TokenPopover();
const question = questionView(controller);
const setup = setupView(controller);
const passages = passagesView(controller);
const status = statusView(controller);
const answers = answersView(controller, popover);
const views = [noticesView(controller), question, status, setup, passages, answers, announcerView()];
const regions = [question, status, setup, passages, answers].map(({ root }) => root);

let drawing = false;
let storing: ReturnType<typeof setTimeout> | undefined;

function change(next: (model: PanelModel) => PanelModel): void {
  const changed = next(model);
  if (changed === model) return;
  model = changed;
  scheduleDrawing();
  // While tokens stream, the host has the state and storing it over and over would cost frames.
  if (model.panel && !isRunning(model.panel)) storing ??= setTimeout(store, storePauseMs);
}

/** However many messages come, the page is drawn once per frame. */
function scheduleDrawing(): void {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    draw();
  });
}

function draw(): void {
  main.classList.toggle('waiting', model.panel === null);
  for (const view of views) view.update(model);
}

function store(): void {
  clearTimeout(storing);
  storing = undefined;
  const stored = toStored(model);
  if (stored) vscode.setState(stored);
}

const main = document.getElementById('panel') ?? document.body.appendChild(element('main', { id: 'panel' }));
main.append(
  element('h1', { class: 'visually-hidden' }, 'Comparison'),
  skipLink(regions),
  ...views.map((view) => view.root),
  popover.root,
);

window.addEventListener('message', ({ data }: MessageEvent<HostToPanel>) => {
  if (data.type === 'reply') host.receive(data);
  else if (data.type === 'focus') focus(data.target);
  else change((before) => receive(before, data));
});

function focus(target: Extract<HostToPanel, { type: 'focus' }>['target']): void {
  // The state that came just before may not be drawn yet.
  requestAnimationFrame(() => {
    if (target === 'question') question.focus();
    else if (target === 'passages') passages.focus();
    else setup.focusTokenFile();
  });
}

document.addEventListener('keydown', (event) => {
  const { key, altKey, ctrlKey, metaKey, shiftKey } = event;
  if (event.defaultPrevented) return;
  if (key === 'Enter' && (ctrlKey || metaKey)) {
    event.preventDefault();
    if (shiftKey) controller.rerun();
    else controller.ask();
  } else if (altKey && (key === 'PageDown' || key === 'PageUp')) {
    event.preventDefault();
    moveAmongRegions(regions, key === 'PageDown' ? 1 : -1);
  } else if (key === 'Escape') {
    if (popover.hide()) return;
    if (model.panel && isRunning(model.panel)) controller.cancel();
  }
});
window.addEventListener('pagehide', () => {
  controller.flushEdits();
  store();
});

// First of all, so that the host's state comes even if what was stored could not be drawn.
controller.tell('ready', {});
draw();
