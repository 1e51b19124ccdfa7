/** The part of the panel with the answers: how the run stands, tools for all of them, the columns. */
import type { PanelState, RunState } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { element, KeyedChildren, onChange, setAttribute, setChildren, setVisible } from '../dom.ts';
import { referenceOf, shownColumns } from '../shownColumns.ts';
import { choiceKey } from '../columnKinds.ts';
import { isRunning, type PanelModel } from '../state.ts';
import { duration } from '../text/format.ts';
import { button, checkbox, dropdown, progressRing } from '../toolkit.ts';
import { addColumnView } from './addColumn.ts';
import { AnswerMarks } from './answerMarks.ts';
import { columnView, type ColumnItem } from './column.ts';
import { legendView } from './legend.ts';
import type { TokenPopover } from './popover.ts';
import { actionButtons, face, type View } from './view.ts';

/** The answers side by side, with what can be done with all of them above. */
export function answersView(controller: Controller, popover: TokenPopover): View {
  const columnsElement = element('div', { class: 'columns' });
  const addColumn = addColumnView(controller);
  const legend = legendView();
  const tools = toolsView(controller);
  const run = runView(controller);
  const marks = new AnswerMarks();
  const children = new KeyedChildren<ColumnItem>(
    columnsElement,
    ({ column }) => column.key,
    ({ column }) => columnView(column.key, controller, popover),
  );
  let panel: PanelState | null = null;
  const without = (key: string) =>
    (panel?.inputs.columns ?? []).filter((choice) => choiceKey(choice) !== key);
  const move = (key: string, to: number) => {
    const moved = panel?.inputs.columns.find((choice) => choiceKey(choice) === key);
    if (moved) controller.edit({ columns: without(key).toSpliced(to, 0, moved) });
  };
  const remove = (key: string) => controller.edit({ columns: without(key) });
  return {
    root: element(
      'section',
      { class: 'section', 'aria-labelledby': 'answers-heading' },
      element(
        'div',
        { class: 'section-bar' },
        element('h2', { id: 'answers-heading' }, 'Answers'),
        run.root,
        tools.root,
      ),
      run.faces,
      tools.marks,
      columnsElement,
      legend.root,
    ),
    update(model) {
      if (model.panel === null) return;
      const answering = model.panel.run.kind === 'streaming';
      // Answers that were asked for come into sight; those of a panel that opens stay where they are.
      const begins = answering && panel !== null && panel.run.kind !== 'streaming';
      panel = model.panel;
      const columns = shownColumns(panel);
      const running = isRunning(panel);
      marks.update(panel, model.view);
      run.update(panel.run);
      tools.update(model);
      legend.update(model);
      addColumn.update(model);
      children.update(
        columns.map((column) => ({
          column,
          total: columns.length,
          running,
          ...marks.of(column.result),
          move,
          remove,
        })),
        [addColumn.root],
      );
      if (begins) columnsElement.scrollIntoView({ block: 'nearest' });
    },
  };
}

/** How the run stands: a word in the bar, and below it what needs room. */
function runView(controller: Controller): {
  root: HTMLElement;
  faces: HTMLElement;
  update(run: RunState): void;
} {
  const root = element('span', { class: 'section-note run-note' });
  const faces = element('div', { class: 'run-faces' });
  const rerun = (label: string) => button(label, () => controller.rerun());
  const update = onChange((run: RunState) => {
    switch (run.kind) {
      case 'idle':
        setChildren(root, []);
        setChildren(faces, []);
        break;
      case 'retrieving':
        setChildren(root, [progressRing('Searching'), new Text('Finding passages…')]);
        setChildren(faces, []);
        break;
      case 'loading':
        setChildren(root, [progressRing('Loading'), new Text(run.message)]);
        setChildren(faces, []);
        break;
      case 'streaming':
        setChildren(root, [progressRing('Answering'), new Text('Answering…')]);
        setChildren(faces, []);
        break;
      case 'done': {
        const { firstPassageMs, firstTokenMs, totalMs } = run.timings;
        const parts = [`Done in ${duration(totalMs)}`];
        if (firstPassageMs !== null) parts.push(`first passage ${duration(firstPassageMs)}`);
        if (firstTokenMs !== null) parts.push(`first token ${duration(firstTokenMs)}`);
        setChildren(root, [new Text(parts.join(' · '))]);
        setChildren(faces, run.stale ? [staleFace([rerun('Run Again')])] : []);
        break;
      }
      case 'cancelled':
        setChildren(root, [new Text('Cancelled')]);
        setChildren(faces, [
          run.stale ? staleFace([rerun('Run Again')]) : face('info', ['Cancelled.'], [rerun('Run Again')]),
        ]);
        break;
      case 'failed':
        setChildren(root, [new Text('Failed')]);
        setChildren(faces, [face('error', [run.message], actionButtons(run.actions, controller))]);
        break;
    }
  });
  return { root, faces, update };
}

function staleFace(buttons: HTMLElement[]): HTMLElement {
  return face('info', ['These answers belong to earlier inputs.'], buttons);
}

/** Which marks are shown, and what can be done with the whole comparison. */
function toolsView(controller: Controller): View & { marks: HTMLElement } {
  const differences = checkbox(['Differences from'], (on) => controller.setView({ differences: on }));
  const reference = dropdown(
    'Column with which the others are compared',
    (variant) => controller.setView({ reference: variant }),
    { class: 'reference' },
  );
  const sources = checkbox(['Found in passages'], (on) => controller.setView({ sources: on }));
  const confidence = checkbox(['Confidence'], (on) => controller.setView({ confidence: on }));
  const icon = (label: string, onClick: () => void, title: string) =>
    button(label, onClick, { appearance: 'icon', class: 'text-button', title });
  const copy = icon('Copy as Markdown', () => controller.tell('copyMarkdown', {}), 'Copy the comparison');
  const save = icon(
    'Save…',
    () => controller.tell('saveRecord', {}),
    'Save this experiment with everything needed to repeat it',
  );
  const open = icon('Open…', () => controller.tell('openRecord', {}), 'Open a saved experiment');
  const marks = element(
    'div',
    { class: 'marks', role: 'group', 'aria-label': 'Marks in the answers' },
    differences.root,
    reference.root,
    sources.root,
    confidence.root,
  );
  const updateReference = onChange((key: string, value: string) =>
    reference.update(JSON.parse(key) as { value: string; label: string }[], value),
  );
  return {
    marks,
    root: element('span', { class: 'section-tools' }, copy, save, open),
    update({ panel, view }: PanelModel) {
      if (panel === null) return;
      differences.update(view.differences);
      sources.update(view.sources);
      confidence.update(view.confidence);
      // Where probabilities are shown, nothing else is marked.
      const why = view.confidence ? 'Not shown together with confidence' : undefined;
      for (const control of [differences.root, reference.root, sources.root]) {
        setAttribute(control, 'disabled', view.confidence);
        if (control !== reference.root) setAttribute(control, 'title', why);
      }
      const answered = panel.columns.length > 0;
      setVisible(marks, answered);
      setVisible(copy, answered);
      setVisible(save, answered);
      // Of a run that failed, the engine has not named its columns.
      const titles = new Map(shownColumns(panel).map(({ result, title }) => [result?.variant, title]));
      const options = panel.columns.map(({ variant, label }) => ({
        value: variant,
        label: titles.get(variant) ?? label,
      }));
      const chosen = referenceOf(panel.columns, view.reference);
      if (chosen) updateReference(JSON.stringify(options), chosen.variant);
    },
  };
}
