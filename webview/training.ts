/** The training panel: live curves of a run, and the buttons that pause, resume and stop it. */
import 'uplot/dist/uPlot.min.css';
import './panel.css';
import './training.css';
import type {
  HostToTrainingPanel,
  TrainingPanelRequests,
  TrainingPanelState,
} from '../src/protocol/trainingPanel.ts';
import { element } from './dom.ts';
import { Host, HostError } from './host.ts';
import { exactMatchCurves, lossCurves, receiveTraining } from './trainingState.ts';
import { registerToolkit } from './toolkit.ts';
import { chartView } from './views/chart.ts';
import { trainingStatus } from './views/trainingStatus.ts';
import { trainingTable } from './views/trainingTable.ts';
import { face } from './views/view.ts';

const vscode = acquireVsCodeApi();

registerToolkit();
const host = new Host<TrainingPanelRequests>((message) => vscode.postMessage(message));
const failures = element('div', { class: 'notices', role: 'alert' });

async function send(name: keyof TrainingPanelRequests): Promise<void> {
  try {
    await host.request(name, {});
    failures.replaceChildren();
  } catch (error) {
    if (error instanceof HostError && error.kind === 'cancelled') return;
    failures.replaceChildren(face('error', [error instanceof Error ? error.message : String(error)]));
  }
}

const status = trainingStatus((name) => void send(name));
const loss = chartView({ title: 'Loss', format: (value) => value.toFixed(2), faint: 'Each step' });
const exactMatch = chartView({
  title: 'Exact match on the validation data',
  range: [0, 1],
  format: (value) => `${Math.round(100 * value)} %`,
});
const table = trainingTable();

// What VS Code keeps of the panel names the run; the host has the state itself.
let state: TrainingPanelState | null = null;
let drawing = false;

function draw(): void {
  drawing = false;
  main.classList.toggle('waiting', state === null);
  if (state === null) return;
  status.update(state);
  loss.update(lossCurves(state));
  exactMatch.update(exactMatchCurves(state));
  table.update(state);
}

const main =
  document.getElementById('training') ?? document.body.appendChild(element('main', { id: 'training' }));
main.append(
  failures,
  status.root,
  element('div', { class: 'charts' }, loss.root, exactMatch.root),
  table.root,
);

window.addEventListener('message', ({ data }: MessageEvent<HostToTrainingPanel>) => {
  if (data.type === 'reply') {
    host.receive(data);
    return;
  }
  state = receiveTraining(state, data);
  if (state) vscode.setState({ version: 1, path: state.path });
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(draw);
});

draw();
void send('ready');
