/** The question's field and the buttons that ask, ask again and cancel. */
import type { Controller } from '../controller.ts';
import { element, setAttribute, setVisible } from '../dom.ts';
import { isRunning, type PanelModel } from '../state.ts';
import { button, textArea } from '../toolkit.ts';
import type { View } from './view.ts';

/** The question with its Ask button, which turns into Cancel while an answer is under way. */
export function questionView(controller: Controller): View & { focus(): void } {
  const input = textArea('Question', (question) => controller.edit({ question }), {
    class: 'question-input',
    placeholder: 'Ask the documents of this workspace (Ctrl+Enter), such as: What has to be installed first?',
  });
  const ask = button('Ask', () => controller.ask(), {
    appearance: 'primary',
    title: 'Find passages and answer (Ctrl+Enter)',
  });
  const rerun = button('Run Again', () => controller.rerun(), {
    title: 'Answer again with the passages as they are ticked, without retrieving (Ctrl+Shift+Enter)',
  });
  const cancel = button('Cancel', () => controller.cancel(), { title: 'Stop answering (Escape)' });
  const root = element(
    'section',
    { class: 'question', 'aria-label': 'Question' },
    input.root,
    element('div', { class: 'question-buttons' }, ask, cancel, rerun),
  );
  let wasRunning = false;
  return {
    root,
    focus: () => input.focus(),
    update({ panel }: PanelModel) {
      if (panel === null) return;
      input.update(panel.inputs.question);
      const running = isRunning(panel);
      setAttribute(ask, 'disabled', panel.inputs.question.trim() === '');
      // A button that vanishes hands the focus to the one that takes its place.
      const focused = document.activeElement;
      setVisible(ask, !running);
      setVisible(cancel, running);
      setVisible(rerun, !running && panel.passages.length > 0);
      if (running && !wasRunning && (focused === ask || focused === rerun)) cancel.focus();
      if (!running && wasRunning && focused === cancel) ask.focus();
      wasRunning = running;
    },
  };
}
