/** The cell behind the last column, where another way to ask is chosen. */
import type { ColumnChoice, PanelState } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { choiceKey, columnKinds, type ColumnKind } from '../columnKinds.ts';
import { element, onChange, setAttribute, setVisible } from '../dom.ts';
import { chosenTokens, rowsOfSelected } from '../selection.ts';
import { button, setExpanded } from '../toolkit.ts';
import type { View } from './view.ts';

/** The last cell of the columns: adds another. */
export function addColumnView(controller: Controller): View {
  let panel: PanelState | null = null;
  const number = element('input', {
    type: 'number',
    class: 'number',
    id: 'column-k',
    min: 0,
    step: 1,
    value: '10',
    'aria-label': 'k of the column',
    oninput: () => refresh(),
  });
  const add = (kind: ColumnKind) => {
    if (panel === null || (kind.asksForTokens && !number.checkValidity())) return;
    const choice = kind.choice(number.valueAsNumber, chosenTokens(panel));
    if (panel.inputs.columns.some((other) => choiceKey(other) === choiceKey(choice))) return;
    controller.edit({ columns: [...panel.inputs.columns, choice] });
    close();
  };
  const kinds = columnKinds.map((kind) => ({
    kind,
    button: button(kind.title, () => add(kind), { title: kind.description, class: 'kind' }),
  }));
  const opener = button('+ Add', () => (menu.hidden ? open() : close()), {
    'aria-label': 'Add a column',
    title: 'Add a column',
    appearance: 'icon',
    class: 'text-button add-column-opener',
  });
  const menu = element(
    'div',
    {
      class: 'add-column-menu',
      hidden: true,
      role: 'group',
      'aria-label': 'Add a column',
      onkeydown: (event) => {
        if ((event as KeyboardEvent).key !== 'Escape') return;
        event.stopPropagation();
        close();
      },
    },
    ...kinds.map(({ kind, button: kindButton }) =>
      kind.asksForTokens ? element('div', { class: 'field-row' }, kindButton, number) : kindButton,
    ),
  );
  requestAnimationFrame(() => setExpanded(opener, false));
  const open = () => {
    menu.hidden = false;
    setExpanded(opener, true);
    if (panel !== null) number.value = String(proposedK(panel));
    refresh();
    kinds.find((entry) => !entry.button.hidden && !entry.button.hasAttribute('disabled'))?.button.focus();
    menu.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  };
  const close = () => {
    if (menu.contains(document.activeElement)) opener.focus();
    menu.hidden = true;
    setExpanded(opener, false);
  };
  const refresh = () => {
    if (panel === null) return;
    const rows = rowsOfSelected(panel);
    setAttribute(number, 'max', rows);
    const present = new Set(panel.inputs.columns.map(choiceKey));
    for (const { kind, button: kindButton } of kinds) {
      const taken = present.has(choiceKey(kind.choice(number.valueAsNumber, chosenTokens(panel))));
      const invalid = kind.asksForTokens && (taken || !number.checkValidity());
      const tokensMissing = kind.usesTokens && rows === 0;
      setVisible(kindButton, !taken || kind.asksForTokens);
      setAttribute(kindButton, 'disabled', invalid || tokensMissing);
      setAttribute(kindButton, 'title', tokensMissing ? 'Choose an embedding file first.' : kind.description);
    }
  };
  const update = onChange<[ColumnChoice[], number, string | null, number]>(() => refresh());
  return {
    root: element('div', { class: 'add-column' }, opener, menu),
    update(model) {
      panel = model.panel;
      if (panel === null) return;
      update(panel.inputs.columns, rowsOfSelected(panel), panel.inputs.tokenFile, panel.inputs.k);
    },
  };
}

/** A k that no column has, not even that of the slider: equal columns tell nothing. */
function proposedK(panel: PanelState): number {
  const rows = rowsOfSelected(panel);
  const { k: slider, columns } = panel.inputs;
  const taken = new Set([slider, ...columns.flatMap((choice) => ('k' in choice ? [choice.k] : []))]);
  return [rows, 5, 10, 20, 1, 0].find((k) => k <= rows && !taken.has(k)) ?? rows;
}
