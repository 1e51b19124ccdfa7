/** The choice of k, the number of virtual tokens in the prompt. */
import type { Controller } from '../controller.ts';
import { element, onChange, setAttribute } from '../dom.ts';
import { problemOfSelected, rowsOfSelected } from '../selection.ts';
import type { View } from './view.ts';

/** k, the number of virtual tokens: a slider over 0 to the rows of the embedding file, and a number field. */
export function tokenCountView(controller: Controller): View {
  const set = (value: string) => {
    const k = Number.parseInt(value, 10);
    if (Number.isNaN(k)) return;
    controller.edit({ k: Math.min(Math.max(k, 0), Number(slider.max)) });
  };
  const slider = element('input', {
    type: 'range',
    class: 'slider',
    min: 0,
    step: 1,
    'aria-label': 'k, virtual tokens',
    oninput: () => set(slider.value),
  });
  const number: HTMLInputElement = element('input', {
    type: 'number',
    class: 'number',
    min: 0,
    step: 1,
    'aria-label': 'k, virtual tokens, as a number',
    oninput: () => set(number.value),
    onblur: () => {
      number.value = slider.value;
    },
  });
  const note = element('div', { class: 'field-note' });
  const update = onChange((k: number, rows: number, problem: string | null) => {
    const usable = rows > 0 && problem === null;
    setAttribute(slider, 'max', Math.max(rows, 1));
    setAttribute(number, 'max', rows);
    slider.disabled = number.disabled = !usable;
    const shown = Math.min(k, Math.max(rows, 0));
    slider.value = String(usable ? shown : 0);
    if (document.activeElement !== number || Number(number.value) !== k)
      number.value = String(usable ? shown : k);
    setAttribute(slider, 'aria-valuetext', `${shown} of ${rows} virtual tokens`);
    note.textContent = !usable
      ? 'Needs an embedding file that fits the model'
      : shown === 0
        ? `0 of ${rows}: the prompt is the baseline’s`
        : `The first ${shown} of ${rows} virtual tokens`;
  });
  return {
    root: element(
      'div',
      { class: 'field' },
      element('span', { class: 'field-label' }, 'Virtual tokens k'),
      element('div', { class: 'field-row' }, slider, number),
      note,
    ),
    update({ panel }) {
      if (panel) update(panel.inputs.k, rowsOfSelected(panel), problemOfSelected(panel));
    },
  };
}
