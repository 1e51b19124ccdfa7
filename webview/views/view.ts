/** What a part of the panel is, and the pieces that several of them show: lines with a message, buttons of actions. */
import type { PanelAction } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { element } from '../dom.ts';
import type { PanelModel } from '../state.ts';
import { button } from '../toolkit.ts';

/** A part of the panel: made once, updated with every change of the model. */
export interface View {
  root: HTMLElement;
  update(model: PanelModel): void;
}

/** The buttons that lead out of a state; the first is the most likely. */
export function actionButtons(actions: readonly PanelAction[], controller: Controller): HTMLElement[] {
  return actions.map(({ label, action }, place) =>
    button(label, () => controller.tell('runAction', { action }), {
      appearance: place === 0 ? 'primary' : 'secondary',
    }),
  );
}

/** A line that says what the matter is, with buttons behind it. `severity` adds a bar and a word. */
export function face(
  severity: 'plain' | 'info' | 'warning' | 'error',
  content: (Node | string)[],
  buttons: readonly HTMLElement[] = [],
): HTMLElement {
  const words = { plain: '', info: '', warning: 'Warning: ', error: 'Error: ' }[severity];
  return element(
    'div',
    { class: `face face-${severity}` },
    element('span', { class: 'face-text', dir: 'auto' }, ...(words ? [words] : []), ...content),
    ...(buttons.length > 0 ? [element('span', { class: 'face-buttons' }, ...buttons)] : []),
  );
}
