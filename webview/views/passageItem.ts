/** One passage in the list: tick, place, ranks, buttons and text. */
import type { PanelPassage } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { element, onChange, setAttribute, setText, setVisible, type ItemView } from '../dom.ts';
import type { ViewState } from '../state.ts';
import { placeOf } from '../text/format.ts';
import { button, checkbox, setExpanded } from '../toolkit.ts';

export interface PassageItem {
  item: PanelPassage;
  total: number;
  /** Ticked, but there is no room for it in the prompts. */
  leftOut: boolean;
  unfolded: boolean;
  highlight: ViewState['highlight'];
}

/** One passage: a line that says where it is from and how it was found, and its text below. */
export function passageItem(id: string, controller: Controller): ItemView<PassageItem> {
  const textId = `passage-text-${id}`;
  let place = 0;
  const number = element('span', { class: 'passage-number' });
  const file = element('span', { class: 'passage-place', dir: 'auto' });
  const headings = element('span', { class: 'passage-headings', dir: 'auto' });
  const noRoom = element('span', { class: 'budget-warning', hidden: true }, 'no room');
  const ranks = element('span', { class: 'passage-ranks' });
  const tick = checkbox([number, ' ', file], (ticked) => controller.tickOne(id, ticked), {
    class: 'passage-tick',
    'data-control': 'tick',
  });
  const icon = (label: string, text: string, onClick: () => void, extra: string) =>
    button(text, onClick, {
      appearance: 'icon',
      class: `text-button ${extra}`,
      'data-control': text,
      'aria-label': label,
      title: label,
    });
  const unfold = icon('More of the passage', 'More', () => controller.toggleUnfolded(id), '');
  const open = icon(
    'Open the document at these lines',
    'Open',
    () => controller.tell('openPassage', { id }),
    '',
  );
  const up = icon('Move up', '↑', () => controller.tell('movePassage', { id, to: place - 1 }), 'on-hover');
  const down = icon(
    'Move down',
    '↓',
    () => controller.tell('movePassage', { id, to: place + 1 }),
    'on-hover',
  );
  const remove = icon('Remove', '✕', () => controller.tell('removePassage', { id }), 'on-hover');
  const text = element('blockquote', { class: 'passage-text', id: textId, dir: 'auto', tabindex: -1 });
  const root = element(
    'li',
    { class: 'passage' },
    element(
      'div',
      { class: 'passage-line' },
      tick.root,
      headings,
      noRoom,
      ranks,
      element('span', { class: 'passage-tools' }, up, down, remove, unfold, open),
    ),
    text,
  );
  let lastJump = 0;
  const updateText = onChange((content: string, highlight: ViewState['highlight']) => {
    if (highlight === null) {
      text.replaceChildren(content);
      return;
    }
    const { start, end } = highlight.span;
    const mark = element('mark', { class: 'passage-mark' }, content.slice(start, end));
    text.replaceChildren(content.slice(0, start), mark, content.slice(end));
    if (highlight.serial === lastJump) return;
    lastJump = highlight.serial;
    // After this frame's drawing, when the passage has unfolded.
    requestAnimationFrame(() => {
      text.focus({ preventScroll: true });
      mark.scrollIntoView({ block: 'center' });
    });
  });
  return {
    root,
    update({ item, total, leftOut, unfolded, highlight }, index) {
      place = index;
      const where = placeOf(item);
      setText(number, String(index + 1));
      setText(file, where);
      // The component takes its name once, from what it holds when it enters the page.
      setAttribute(tick.root, 'aria-label', tick.root.textContent);
      setText(headings, item.titlePath.join(' › '));
      setAttribute(headings, 'title', item.titlePath.join(' › '));
      setText(ranks, describeRanks(item, index + 1));
      setVisible(noRoom, leftOut);
      setAttribute(root, 'aria-label', `Passage ${index + 1}, ${where}`);
      tick.update(item.ticked);
      root.classList.toggle('unticked', !item.ticked);
      root.classList.toggle('unfolded', unfolded);
      setText(unfold, unfolded ? 'Less' : 'More');
      setAttribute(unfold, 'aria-label', unfolded ? 'Less of the passage' : 'More of the passage');
      setExpanded(unfold, unfolded);
      setVisible(open, item.passage.path !== undefined);
      setAttribute(up, 'disabled', index === 0);
      setAttribute(down, 'disabled', index === total - 1);
      updateText(item.passage.text, highlight);
    },
  };
}

/** How it was found; its rank only if it has been moved away from there. */
function describeRanks({ passage, rank, bm25Rank, vectorRank }: PanelPassage, number: number): string {
  return [
    passage.score === undefined ? '' : passage.score.toFixed(2),
    rank === null || rank === number ? '' : `rank ${rank}`,
    bm25Rank === null ? '' : `BM25 #${bm25Rank}`,
    vectorRank === null ? '' : `vec #${vectorRank}`,
  ]
    .filter((part) => part !== '')
    .join('  ');
}
