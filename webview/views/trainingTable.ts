/** The table of a run's validations. */
import type { TrainingPanelState } from '../../src/protocol/trainingPanel.ts';
import type { TrainingStep } from '../../src/protocol/training.ts';
import { element, onChange, setVisible } from '../dom.ts';
import { exactMatchAt, measuredK } from '../trainingState.ts';

/** The validations as a table, newest first: what the curves show, for reading and for screen readers. */
export function trainingTable(): { root: HTMLElement; update(state: TrainingPanelState): void } {
  const head = element('tr', {});
  const body = element('tbody', {});
  const table = element(
    'table',
    { class: 'validations' },
    element('caption', {}, 'Validations, newest first'),
    element('thead', {}, head),
    body,
  );
  const root = element(
    'div',
    { class: 'table-frame', tabindex: 0, role: 'region', 'aria-label': 'Validations' },
    table,
  );
  const draw = onChange((validations: TrainingPanelState['validations'], steps: TrainingStep[]) => {
    const all = measuredK(validations);
    const heading = (text: string) => element('th', { scope: 'col' }, text);
    head.replaceChildren(
      ...['Step', 'Loss of the steps since', 'Validation loss'].map(heading),
      ...all.map((k) => heading(`Exact match k=${k}`)),
      heading('Kept'),
    );
    const rows = validations.map((validation, place) => {
      const since = validations[place - 1]?.step ?? 0;
      const matches = all.map((k) => exactMatchAt(validation, k));
      return element(
        'tr',
        {},
        element('th', { scope: 'row' }, validation.step.toLocaleString('en')),
        element('td', {}, meanLoss(steps, since, validation.step)),
        element('td', {}, validation.loss.toFixed(4)),
        ...matches.map((value) => element('td', {}, value === null ? '' : `${(100 * value).toFixed(1)} %`)),
        element('td', {}, validation.isBest ? 'best so far' : ''),
      );
    });
    body.replaceChildren(...rows.reverse());
  });
  let drawn = -1;
  return {
    root,
    update({ validations, steps }) {
      setVisible(root, validations.length > 0);
      // Rows change with validations only; steps come many times a second.
      if (validations.length === drawn) return;
      drawn = validations.length;
      draw(validations, steps);
    },
  };
}

function meanLoss(steps: readonly TrainingStep[], after: number, upTo: number): string {
  const losses = steps.filter(({ step }) => step > after && step <= upTo).map(({ loss }) => loss);
  return losses.length === 0 ? '' : (losses.reduce((sum, loss) => sum + loss, 0) / losses.length).toFixed(4);
}
