/** The list of passages, with adding one by hand. */
import type { PanelPassage, PanelState } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { element, KeyedChildren, onChange, setText, setVisible } from '../dom.ts';
import type { PanelModel, ViewState } from '../state.ts';
import { oneTabStop } from '../oneTabStop.ts';
import { button, setExpanded, textArea } from '../toolkit.ts';
import { budgetView } from './budget.ts';
import { passageItem, type PassageItem } from './passageItem.ts';
import type { View } from './view.ts';

const nothing: readonly string[] = [];

/** The passages: what was found and what was added, each to tick, read, open and move. */
export function passagesView(controller: Controller): View & { focus(): void } {
  const summary = element('span', { class: 'section-note' });
  const outOfRange = element('span', { class: 'field-error', role: 'status', hidden: true }, '1 to 50');
  const retrieve = element('input', {
    type: 'number',
    class: 'number',
    id: 'passage-count',
    min: 1,
    max: 50,
    step: 1,
    oninput: () => {
      const valid = retrieve.checkValidity() && retrieve.value !== '';
      setVisible(outOfRange, !valid);
      if (valid) controller.edit({ passageCount: retrieve.valueAsNumber });
    },
  });
  let items: PanelPassage[] = [];
  const all = button('Tick all', () => controller.tick(items.map(({ id }) => id)), {
    appearance: 'icon',
    class: 'text-button',
    'aria-label': 'Tick all passages',
  });
  const none = button('Untick all', () => controller.tick([]), {
    appearance: 'icon',
    class: 'text-button',
    'aria-label': 'Untick all passages',
  });
  const form = addForm(controller, () => add.focus());
  const add = button('Add…', () => form.toggle(), {
    appearance: 'icon',
    class: 'text-button',
    'aria-label': 'Add a passage by hand',
  });
  form.opener = add;
  requestAnimationFrame(() => setExpanded(add, false));
  const fromEditor = button('Add selection', () => controller.tell('addPassageFromEditor', {}), {
    appearance: 'icon',
    class: 'text-button',
    'aria-label': 'Add selection of the editor as a passage',
  });
  const budget = budgetView();
  const empty = element('p', { class: 'empty' });
  const list = element('ol', { class: 'passages', 'aria-label': 'Passages' });
  const children = new KeyedChildren<PassageItem>(
    list,
    ({ item }) => item.id,
    ({ item }) => passageItem(item.id, controller),
  );
  const refreshTabStop = oneTabStop(list);
  const update = onChange((passages: PanelPassage[], view: ViewState, leftOut: readonly string[]) => {
    items = passages;
    const ticked = passages.filter((item) => item.ticked).length;
    setText(summary, passages.length === 0 ? '' : `${ticked} of ${passages.length} ticked`);
    setVisible(all, passages.length > 0);
    setVisible(none, passages.length > 0);
    setVisible(list, passages.length > 0);
    setVisible(empty, passages.length === 0);
    children.update(
      passages.map((item) => ({
        item,
        total: passages.length,
        leftOut: leftOut.includes(item.id),
        unfolded: view.unfolded.includes(item.id),
        highlight: view.highlight?.passageId === item.id ? view.highlight : null,
      })),
    );
    refreshTabStop();
  });
  return {
    root: element(
      'section',
      { class: 'section', 'aria-labelledby': 'passages-heading' },
      element(
        'div',
        { class: 'section-bar' },
        element('h2', { id: 'passages-heading' }, 'Passages'),
        summary,
        element(
          'span',
          { class: 'section-tools' },
          element('label', { class: 'inline-label', for: 'passage-count' }, 'Tick the first', retrieve),
          outOfRange,
          add,
          fromEditor,
          all,
          none,
        ),
      ),
      budget.root,
      form.root,
      empty,
      list,
    ),
    focus: () => list.querySelector<HTMLElement>('[tabindex="0"]')?.focus(),
    update(model: PanelModel) {
      const { panel, view } = model;
      if (panel === null) return;
      if (document.activeElement !== retrieve) retrieve.value = String(panel.inputs.passageCount);
      setText(empty, emptyText(panel));
      budget.update(model);
      update(panel.passages, view, panel.budget?.leftOut ?? nothing);
    },
  };
}

function emptyText({ run, index }: PanelState): string {
  if (index.kind === 'no-folder')
    return 'Without a folder the answers have no passages but those added by hand.';
  if (run.kind === 'retrieving') return 'Searching the index…';
  if (run.kind === 'done')
    return 'No passage was found for this question. Word it differently, or add one by hand.';
  return index.kind === 'ready'
    ? 'The passages found for a question are listed here, to be ticked before the answers are compared.'
    : 'Without an index, passages can be added by hand.';
}

/** A text area that opens below the heading. */
function addForm(
  controller: Controller,
  focusOpener: () => void,
): { root: HTMLElement; opener: HTMLElement | null; toggle(): void } {
  const close = () => {
    root.hidden = true;
    if (form.opener) setExpanded(form.opener, false);
    focusOpener();
  };
  const input = textArea('Text of the passage', () => undefined, { class: 'add-input' });
  const submit = () => {
    const text = input.value.trim();
    if (text === '') {
      input.focus();
      return;
    }
    controller.tell('addPassage', { text });
    input.update('');
    close();
  };
  const root = element(
    'div',
    {
      class: 'add-form',
      hidden: true,
      onkeydown: (event) => {
        const { key, ctrlKey, metaKey } = event as KeyboardEvent;
        if (key !== 'Escape' && !(key === 'Enter' && (ctrlKey || metaKey))) return;
        event.preventDefault();
        event.stopPropagation();
        if (key === 'Escape') close();
        else submit();
      },
    },
    input.root,
    element(
      'div',
      { class: 'button-row' },
      button('Add Passage', submit, { appearance: 'primary' }),
      button('Close', close),
    ),
  );
  const form = {
    root,
    opener: null as HTMLElement | null,
    toggle() {
      if (!root.hidden) {
        close();
        return;
      }
      root.hidden = false;
      if (form.opener) setExpanded(form.opener, true);
      requestAnimationFrame(() => input.focus());
    },
  };
  return form;
}
