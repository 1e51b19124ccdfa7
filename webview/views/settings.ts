/** The settings of generation: fields made from a table, and their summary. */
import type { AnswerSettings, LongPrompt } from '../../src/protocol/comparison.ts';
import type { Controller } from '../controller.ts';
import { element, onChange, setVisible } from '../dom.ts';
import { dropdown, field, type DropdownOption } from '../toolkit.ts';
import type { View } from './view.ts';

interface NumberSetting {
  name: 'maxNewTokens' | 'temperature' | 'topP' | 'topK' | 'repetitionPenalty' | 'seed' | 'alternatives';
  label: string;
  help: string;
  min: number;
  max?: number;
  step: number | 'any';
  /** Shown while the field is empty: what the decoder does without a value. */
  absent: string;
}

const numberSettings: readonly NumberSetting[] = [
  {
    name: 'maxNewTokens',
    label: 'Longest answer',
    help: 'The answer ends after so many tokens at the latest.',
    min: 1,
    step: 1,
    absent: '50',
  },
  {
    name: 'temperature',
    label: 'Temperature',
    help: '0: always the likeliest token, so the same answer every time.',
    min: 0,
    step: 'any',
    absent: '0',
  },
  {
    name: 'topP',
    label: 'Top p',
    help: 'Sample from the likeliest tokens that make up this probability.',
    min: 0,
    max: 1,
    step: 'any',
    absent: 'all',
  },
  { name: 'topK', label: 'Top k', help: 'Sample from so many tokens.', min: 0, step: 1, absent: 'all' },
  {
    name: 'repetitionPenalty',
    label: 'Repetition penalty',
    help: '1: none; more makes tokens that occurred less likely.',
    min: 0,
    step: 'any',
    absent: '1',
  },
  {
    name: 'seed',
    label: 'Seed',
    help: 'The same seed gives the same sampled answer.',
    min: 0,
    step: 1,
    absent: 'random',
  },
  {
    name: 'alternatives',
    label: 'Alternatives',
    help: 'How many likely tokens to report beside each token; 0: none.',
    min: 0,
    max: 20,
    step: 1,
    absent: '0',
  },
];

const longPromptOptions: DropdownOption[] = [
  { value: 'keep-best', label: 'Leave out the last passages' },
  { value: 'cut-left', label: 'Cut its start (authors of SPRING)' },
];

/** The settings of generation, folded away until wanted; the summary says what differs from greedy decoding. */
export function generationSettings(controller: Controller): View {
  let settings: AnswerSettings = { maxNewTokens: 50 };
  const change = (part: Partial<AnswerSettings>) => controller.edit({ settings: { ...settings, ...part } });
  const fields = numberSettings.map((setting) => numberField(setting, change));
  const longPrompt = dropdown('Prompt too long', (value) => change({ longPrompt: value as LongPrompt }));
  const stop = element('input', {
    type: 'text',
    id: 'setting-stop',
    class: 'text',
    dir: 'auto',
    placeholder: 'none',
    spellcheck: 'false',
    'aria-describedby': 'setting-stop-help',
    oninput: () => change({ stop: stop.value === '' ? undefined : [unescapeText(stop.value)] }),
  });
  const summary = element('span', { class: 'settings-summary' });
  const root = element(
    'details',
    { class: 'settings', ontoggle: () => controller.setView({ settingsOpen: root.open }) },
    element('summary', {}, 'Generation settings ', summary),
    element(
      'div',
      { class: 'settings-fields' },
      ...fields.map(({ root: fieldRoot }) => fieldRoot),
      field(
        'Prompt too long',
        longPrompt.root,
        element('div', { class: 'field-note' }, 'What is done when prompt and answer exceed the context.'),
      ),
      element(
        'div',
        { class: 'field' },
        element('label', { class: 'field-label', for: 'setting-stop' }, 'Stop before'),
        stop,
        element('div', { class: 'field-note', id: 'setting-stop-help' }, 'A text; \\n is a line break.'),
      ),
    ),
  );
  const update = onChange((next: AnswerSettings) => {
    settings = next;
    fields.forEach((one) => one.update(next));
    longPrompt.update(longPromptOptions, next.longPrompt ?? 'keep-best');
    const stopText = (next.stop ?? []).map(escapeText).join(' ');
    if (document.activeElement !== stop && stop.value !== stopText) stop.value = stopText;
    stop.disabled = (next.stop?.length ?? 0) > 1;
    summary.textContent = describe(next);
    setVisible(summary, summary.textContent !== '');
  });
  return {
    root,
    update({ panel, view }) {
      if (root.open !== view.settingsOpen) root.open = view.settingsOpen;
      if (panel) update(panel.inputs.settings);
    },
  };
}

function describe(settings: AnswerSettings): string {
  const sampling = (settings.temperature ?? 0) > 0 ? `temperature ${settings.temperature!}` : 'greedy';
  return `up to ${settings.maxNewTokens} tokens, ${sampling}`;
}

function numberField(
  setting: NumberSetting,
  change: (part: Partial<AnswerSettings>) => void,
): { root: HTMLElement; update(settings: AnswerSettings): void } {
  const { name, label, help, min, max, step, absent } = setting;
  const id = `setting-${name}`;
  const input = element('input', {
    id,
    type: 'number',
    class: 'number',
    min,
    max,
    step,
    placeholder: absent,
    'aria-describedby': `${id}-help`,
    oninput: () => {
      const value = input.value === '' ? undefined : input.valueAsNumber;
      // The longest answer has no "absent": an emptied field waits for its number.
      if (!input.checkValidity() || (value === undefined && name === 'maxNewTokens')) return;
      change({ [name]: value });
    },
  });
  return {
    root: element(
      'div',
      { class: 'field' },
      element('label', { class: 'field-label', for: id }, label),
      input,
      element('div', { class: 'field-note', id: `${id}-help` }, help),
    ),
    update(settings) {
      const value = settings[name];
      if (document.activeElement === input) return;
      const text = value === undefined ? '' : String(value);
      if (input.value !== text) input.value = text;
    },
  };
}

function escapeText(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('\t', '\\t');
}

function unescapeText(text: string): string {
  return text.replace(/\\([\\nt])/g, (_, letter: string) =>
    letter === 'n' ? '\n' : letter === 't' ? '\t' : '\\',
  );
}
