/** What screen readers are told while a run goes on. */
import type { PanelState } from '../../src/protocol/panel.ts';
import { element } from '../dom.ts';
import { textOf } from '../shownColumns.ts';
import { count } from '../text/format.ts';
import type { View } from './view.ts';

/** Screen readers need time to speak: what happens meanwhile is said together. */
const pauseMs = 1500;

/** Says to screen readers what the eye sees happen: the run's states and each answer once it is complete. */
export function announcerView(): View {
  const root = element('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
  let last: PanelState | null = null;
  let waiting: string[] = [];
  let timer: ReturnType<typeof setTimeout> | undefined;
  const say = () => {
    timer = undefined;
    if (waiting.length === 0) return;
    root.textContent = waiting.join(' ');
    waiting = [];
    timer = setTimeout(say, pauseMs);
  };
  return {
    root,
    update({ panel }) {
      // What stands there when the panel opens is read in place, not announced.
      if (panel !== null && last !== null) waiting.push(...happened(last, panel));
      last = panel;
      if (timer === undefined && waiting.length > 0) say();
    },
  };
}

/** What is new in `after`, in sentences. */
export function happened(before: PanelState, after: PanelState): string[] {
  const sentences: string[] = [];
  if (before.run.kind !== after.run.kind) sentences.push(...runSentence(after));
  for (const column of after.columns) {
    const earlier = before.columns.find(({ variant }) => variant === column.variant);
    if (column.status === 'done' && earlier && earlier.status !== 'done')
      sentences.push(`${column.label}: ${textOf(column) || 'empty answer'}.`);
  }
  if (before.index.kind !== after.index.kind && after.index.kind === 'ready')
    sentences.push(`${count(after.index.files, 'file')} indexed.`);
  return sentences;
}

function runSentence({ run, passages }: PanelState): string[] {
  switch (run.kind) {
    case 'idle':
      return [];
    case 'retrieving':
      return ['Finding passages.'];
    case 'loading':
      return [run.message];
    case 'streaming':
      return [`Answering from ${count(passages.filter(({ ticked }) => ticked).length, 'passage')}.`];
    case 'done':
      return ['All answers are complete.'];
    case 'cancelled':
      return ['Cancelled.'];
    case 'failed':
      return [`Failed: ${run.message}`];
  }
}
