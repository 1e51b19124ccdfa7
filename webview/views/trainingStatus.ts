/** The head of the training panel: status, progress and the buttons of a run. */
import type { TrainingPanelRequests, TrainingPanelState } from '../../src/protocol/trainingPanel.ts';
import { element, onChange, setChildren, setText, setVisible } from '../dom.ts';
import { count, duration } from '../text/format.ts';
import { remainingSeconds } from '../trainingState.ts';
import { button, progressRing } from '../toolkit.ts';
import { face } from './view.ts';

/** How training stands, how far it is, and the buttons that steer it. */
export function trainingStatus(tell: (name: keyof TrainingPanelRequests) => void): {
  root: HTMLElement;
  update(state: TrainingPanelState): void;
} {
  const pause = button('Pause', () => tell('pause'));
  const resume = button('Resume', () => tell('resume'), { appearance: 'primary' });
  const stop = button('Stop', () => tell('stop'), { title: 'End training and keep the best tokens so far' });
  const use = button('Use in Comparison', () => tell('use'), { appearance: 'primary' });
  const log = button('Show Log', () => tell('showLog'), { appearance: 'icon', class: 'text-button' });
  const bar = element('progress', { 'aria-label': 'Training steps', max: 1 });
  const progress = element('p', { class: 'training-progress' });
  const about = element('p', { class: 'field-note', dir: 'auto' });
  const status = element('div', { role: 'status' });
  const updateStatus = onChange((value: TrainingPanelState['status'], path: string) =>
    setChildren(status, [statusFace(value, path)]),
  );
  return {
    root: element(
      'section',
      { class: 'training-status', 'aria-label': 'Training' },
      element('h1', {}, 'Training virtual tokens'),
      about,
      status,
      bar,
      progress,
      element('div', { class: 'button-row' }, pause, resume, use, stop, log),
    ),
    update(state) {
      const { status: value, settings, step, model, data, path } = state;
      setText(
        about,
        `${count(settings.numTokens, 'token')}${settings.fixedK === null ? '' : `, k=${settings.fixedK}`} for ${model}, ` +
          `trained on ${data}, written to ${path}`,
      );
      updateStatus(value, path);
      bar.max = settings.steps;
      bar.value = step;
      setText(progress, progressText(state));
      const going = value.kind === 'running' || value.kind === 'preparing';
      const focused = document.activeElement;
      setVisible(pause, going);
      setVisible(resume, value.kind === 'paused' || value.kind === 'failed');
      setVisible(stop, going || value.kind === 'paused');
      setVisible(use, value.kind === 'done' || (value.kind === 'stopped' && value.path !== null));
      if (focused === pause && pause.hidden) (resume.hidden ? use : resume).focus();
      if (focused === resume && resume.hidden) pause.focus();
    },
  };
}

function statusFace(status: TrainingPanelState['status'], path: string): HTMLElement {
  switch (status.kind) {
    case 'preparing':
      return face('plain', [progressRing('Preparing'), status.message]);
    case 'running':
      return face('plain', [progressRing('Training'), 'Training…']);
    case 'paused':
      return face('info', ['Paused. The state is saved: training can go on at any time.']);
    case 'stopped':
      return status.path === null
        ? face('info', ['Stopped before the first tokens were kept.'])
        : face('info', [`Stopped. The best tokens so far are in ${status.path}.`]);
    case 'done': {
      const why = status.reason === 'finished' ? 'Done.' : 'Ended early: the validation loss no longer fell.';
      return face('info', [`${why} The tokens of step ${status.writtenStep} are in ${path}.`]);
    }
    case 'failed':
      return face('error', [status.message]);
  }
}

function progressText(state: TrainingPanelState): string {
  const { step, steps, settings, status } = state;
  const latest = steps.at(-1);
  const parts = [`Step ${step.toLocaleString('en')} of ${settings.steps.toLocaleString('en')}`];
  if (latest) {
    parts.push(
      `epoch ${latest.epoch}`,
      `loss ${latest.loss.toFixed(3)}`,
      `k=${latest.k}`,
      `learning rate ${latest.learningRate.toExponential(1)}`,
      `${duration(1000 * latest.seconds)} per step`,
    );
  }
  const remaining = remainingSeconds(state);
  if (status.kind === 'running' && remaining !== null) parts.push(`about ${duration(1000 * remaining)} left`);
  return parts.join(' · ');
}
