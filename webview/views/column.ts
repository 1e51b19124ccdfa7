/** One column of the comparison: its way to ask, its answer, figures, warnings and prompt. */
import type { Answer, PromptPiece } from '../../src/protocol/comparison.ts';
import type { PanelColumn } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { element, onChange, setAttribute, setText, setVisible, type ItemView } from '../dom.ts';
import { textOf, type ShownColumn } from '../shownColumns.ts';
import { count, duration } from '../text/format.ts';
import { button } from '../toolkit.ts';
import { AnswerText, type Marks } from './answerText.ts';
import type { TokenPopover } from './popover.ts';

export interface ColumnItem {
  column: ShownColumn;
  total: number;
  marks: Marks;
  /** How the answer differs from the reference, in words; "Reference" for that one itself. */
  comparison: string;
  running: boolean;
  move: (key: string, to: number) => void;
  remove: (key: string) => void;
}

/** One way to ask and its answer. */
export function columnView(key: string, controller: Controller, popover: TokenPopover): ItemView<ColumnItem> {
  let item: ColumnItem;
  let place = 0;
  const title = element('h3', { id: `column-${key}`, class: 'column-title' });
  const icon = (label: string, text: string, onClick: () => void) =>
    button(text, onClick, {
      appearance: 'icon',
      class: 'text-button on-hover',
      'aria-label': label,
      title: label,
    });
  const left = icon('Move the column to the left', '←', () => item.move(key, place - 1));
  const right = icon('Move the column to the right', '→', () => item.move(key, place + 1));
  const remove = icon('Remove the column', '✕', () => item.remove(key));
  const answer = new AnswerText(controller, popover);
  const state = element('p', { class: 'column-state' });
  const metrics = element('p', { class: 'column-metrics' });
  const size = element('span', {
    class: 'prompt-size',
    title: 'Shared tokens are computed once for all columns',
  });
  const comparison = element('p', { class: 'column-metrics' });
  const warning = element('p', { class: 'column-warning' });
  const promptText = element('div', { class: 'prompt-text', dir: 'auto' });
  const prompt = element('details', { class: 'prompt' }, element('summary', {}, 'Prompt ', size), promptText);
  const updatePrompt = onChange((pieces: PromptPiece[] | null) => {
    setVisible(prompt, pieces !== null);
    promptText.replaceChildren(...(pieces ?? []).map(promptPiece));
  });
  return {
    root: element(
      'article',
      { class: 'column', 'aria-labelledby': title.id },
      element(
        'header',
        { class: 'column-bar' },
        title,
        element('span', { class: 'column-tools' }, left, right, remove),
      ),
      answer.root,
      state,
      warning,
      element('footer', { class: 'column-foot' }, metrics, comparison, prompt),
    ),
    update(next, index) {
      item = next;
      place = index;
      const { column, total, marks } = next;
      const { result } = column;
      setText(title, column.title);
      setAttribute(left, 'disabled', index === 0);
      setAttribute(right, 'disabled', index === total - 1);
      setVisible(answer.root, result !== null && (result.tokens.length > 0 || textOf(result) !== ''));
      if (result) answer.update(result, marks);
      setText(state, stateText(column, next.running));
      setVisible(state, state.textContent !== '');
      answer.root.classList.toggle('streaming', result?.status === 'streaming');
      setText(metrics, result ? metricsText(result) : '');
      setText(size, promptSize(result?.answer ?? null));
      setText(comparison, next.comparison);
      setVisible(comparison, next.comparison !== '');
      setText(warning, warningText(column));
      setVisible(warning, warning.textContent !== '');
      updatePrompt(result?.prompt ?? null);
    },
  };
}

function stateText({ result }: ShownColumn, running: boolean): string {
  if (result === null) return running ? 'Waiting…' : 'Not run yet';
  const empty = textOf(result) === '';
  switch (result.status) {
    case 'waiting':
      return 'Waiting…';
    case 'streaming':
      return empty ? 'Reading the prompt…' : '';
    case 'done':
      return empty ? 'The answer is empty' : '';
    case 'cancelled':
      return empty ? 'Cancelled before the first token' : 'Cancelled';
    case 'failed':
      return 'Failed';
  }
}

function metricsText({ answer, tokens, status }: PanelColumn): string {
  if (answer === null)
    return tokens.length === 0 ? '' : `${count(tokens.length, 'token')}${status === 'streaming' ? '…' : ''}`;
  const { prefillMs, decodeMs, decodeTokensPerSecond } = answer.timings;
  const speed = Number.isFinite(decodeTokensPerSecond) && decodeTokensPerSecond > 0;
  return [
    count(answer.tokenIds.length, 'token'),
    duration(prefillMs + decodeMs),
    ...(speed ? [`${decodeTokensPerSecond.toFixed(0)} tok/s`] : []),
  ].join(' · ');
}

function promptSize(answer: Answer | null): string {
  if (answer === null) return '';
  const { promptTokens, sharedTokens } = answer;
  const shared = sharedTokens > 0 ? `, ${sharedTokens.toLocaleString('en')} shared` : '';
  return `${count(promptTokens, 'token')}${shared}`;
}

function warningText({ result, otherK, choice }: ShownColumn): string {
  const parts: string[] = [];
  if (otherK && result) parts.push(`Ran with k=${result.k}; the slider has moved since.`);
  if (result?.answer?.stopReason === 'length') parts.push('Stopped at the longest length.');
  if (result?.answer && result.answer.truncatedTokens > 0)
    parts.push(
      `The prompt was too long: its first ${count(result.answer.truncatedTokens, 'token')} were left out.`,
    );
  if (choice.kind === 'spring' && result?.k === 0) parts.push('Without virtual tokens this is the baseline.');
  return parts.join(' ');
}

function promptPiece(piece: PromptPiece): Node {
  if ('text' in piece) return new Text(piece.text);
  return element('span', { class: 'prompt-tokens' }, `[${count(piece.virtualTokens, 'virtual token')}]`);
}
