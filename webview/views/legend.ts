/** The legend of the marks in the answers. */
import { element, setVisible } from '../dom.ts';
import { isComplete } from '../shownColumns.ts';
import { sureFrom, unsureFrom } from '../text/confidence.ts';
import type { View } from './view.ts';

/** What the marks in the answers mean; only those that are shown. */
export function legendView(): View {
  const entry = (sample: HTMLElement, text: string) =>
    element('li', { class: 'legend-entry' }, sample, ` ${text}`);
  const difference = entry(
    element('ins', { class: 'difference' }, 'word'),
    'not in the answer compared with',
  );
  const source = entry(
    element('span', { class: 'source' }, 'word', element('sup', { class: 'source-number' }, '1')),
    'found in the passage of that number in the column’s prompt: follow it',
  );
  const unsure = entry(
    element('span', { class: 'token unsure' }, 'word'),
    `probability under ${sureFrom * 100} %`,
  );
  const doubtful = entry(
    element('span', { class: 'token doubtful' }, 'word'),
    `under ${unsureFrom * 100} %: alternatives on hover or focus`,
  );
  const root = element(
    'ul',
    { class: 'legend', 'aria-label': 'Legend' },
    difference,
    source,
    unsure,
    doubtful,
  );
  return {
    root,
    update({ panel, view }) {
      setVisible(root, panel !== null && panel.columns.some(isComplete));
      setVisible(difference, view.differences && !view.confidence);
      setVisible(source, view.sources && !view.confidence);
      setVisible(unsure, view.confidence);
      setVisible(doubtful, view.confidence);
    },
  };
}
