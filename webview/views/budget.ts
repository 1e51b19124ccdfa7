/** How much of the model's context the ticked passages will take, and what will not fit. */
import type { PanelState } from '../../src/protocol/panel.ts';
import { element, onChange, setText, setVisible } from '../dom.ts';
import type { View } from './view.ts';

export function budgetView(): View {
  const bar = element('meter', { class: 'budget-bar', min: 0, 'aria-label': 'Tokens of the longest prompt' });
  const text = element('span', { class: 'section-note' });
  const warning = element('span', { class: 'budget-warning', role: 'status' });
  const root = element('div', { class: 'budget', hidden: true }, bar, text, warning);
  const update = onChange((budget: PanelState['budget'], passages: PanelState['passages'], cuts: boolean) => {
    setVisible(root, budget !== null);
    if (budget === null) return;
    const { tokens, room, leftOut } = budget;
    bar.max = room;
    // The colour of a meter says what the words beside it say.
    bar.high = room * 0.9;
    bar.optimum = 0;
    bar.value = Math.min(tokens, room);
    setText(
      text,
      `${tokens.toLocaleString('en')} of ${room.toLocaleString('en')} tokens for the longest prompt`,
    );
    const numbers = leftOut
      .map((id) => passages.findIndex((item) => item.id === id) + 1)
      .sort((a, b) => a - b);
    setText(warning, tokens <= room ? '' : overflowText(numbers, cuts));
    setVisible(warning, warning.textContent !== '');
  });
  return {
    root,
    update({ panel }) {
      if (panel) update(panel.budget, panel.passages, panel.inputs.settings.longPrompt === 'cut-left');
    },
  };
}

function overflowText(numbers: readonly number[], cuts: boolean): string {
  if (cuts) return 'Too long: the start of the prompt, with the first passages, will be cut off.';
  if (numbers.length === 0) return 'Too long: the start of the prompt will be cut off.';
  return numbers.length === 1
    ? `Too long: passage ${numbers[0]!} will be left out.`
    : `Too long: passages ${numbers.slice(0, -1).join(', ')} and ${numbers.at(-1)!} will be left out.`;
}
