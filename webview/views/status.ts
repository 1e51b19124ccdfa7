/** What stands above the question: notices, and the state of workspace, index, model and record. */
import type { IndexState, ModelState, PanelState } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { element, onChange, setChildren, KeyedChildren } from '../dom.ts';
import { count, duration, moment } from '../text/format.ts';
import { button, progressRing } from '../toolkit.ts';
import { actionButtons, face, type View } from './view.ts';

/** Above everything: what stands between the user and an answer, with the way out. */
export function noticesView(controller: Controller): View {
  const root = element('div', { class: 'notices' });
  interface Item {
    id: string;
    severity: 'info' | 'warning' | 'error';
    message: string;
    actions: PanelState['notices'][number]['actions'];
    dismiss: () => void;
  }
  const list = new KeyedChildren<Item>(
    root,
    ({ id }) => id,
    ({ severity, message, actions, dismiss }) => {
      const dismissButton = button('Dismiss', dismiss, { appearance: 'icon', class: 'text-button' });
      const view = face(severity, [message], [...actionButtons(actions, controller), dismissButton]);
      view.setAttribute('role', severity === 'info' ? 'status' : 'alert');
      return { root: view, update: () => undefined };
    },
  );
  return {
    root,
    update({ panel, failures }) {
      list.update([
        ...(panel?.notices ?? []).map((notice) => ({
          ...notice,
          dismiss: () => controller.tell('dismissNotice', { id: notice.id }),
        })),
        ...failures.map((failure) => ({ ...failure, dismiss: () => controller.dropFailure(failure.id) })),
      ]);
    },
  };
}

/** The state of workspace, index and model: one line each, quiet when all is well. */
export function statusView(controller: Controller): View {
  const root = element('section', { class: 'status', 'aria-label': 'Index and model' });
  const indexing = indexingFace();
  const update = onChange(
    (workspace: PanelState['workspace'], index: IndexState, model: ModelState, record) => {
      const faces = [
        ...recordFaces(record),
        ...trustFaces(workspace, controller),
        index.kind === 'indexing' ? indexing.update(index) : indexFace(index, controller),
        modelFace(model, controller),
      ];
      setChildren(root, faces);
    },
  ) satisfies (
    workspace: PanelState['workspace'],
    index: IndexState,
    model: ModelState,
    record: PanelState['record'],
  ) => void;
  return {
    root,
    update({ panel }) {
      if (panel) update(panel.workspace, panel.index, panel.model, panel.record);
    },
  };
}

function recordFaces(record: PanelState['record']): HTMLElement[] {
  if (record === null) return [];
  return [face('info', [`Saved experiment of ${moment(record.createdAt)}: `, code(record.path)])];
}

function trustFaces({ name, trusted }: PanelState['workspace'], controller: Controller): HTMLElement[] {
  if (trusted || name === null) return [];
  return [
    face(
      'warning',
      ['this workspace is not trusted, so only the built-in model and embedding file can be used.'],
      actionButtons([{ label: 'Manage Trust', action: 'trust-workspace' }], controller),
    ),
  ];
}

function indexFace(index: Exclude<IndexState, { kind: 'indexing' }>, controller: Controller): HTMLElement {
  switch (index.kind) {
    case 'no-folder':
      return face(
        'info',
        ['No folder is open. Open one to ask its documents, or add passages by hand.'],
        actionButtons([{ label: 'Open Folder', action: 'open-folder' }], controller),
      );
    case 'none':
      return face(
        'info',
        ['This workspace has not been indexed yet.'],
        actionButtons([{ label: 'Index Workspace', action: 'index-workspace' }], controller),
      );
    case 'ready': {
      const { files, chunks, errors, updatedAt } = index;
      const found = `${count(files, 'file')} indexed in ${count(chunks, 'passage')}, ${moment(updatedAt)}`;
      if (errors === 0 && files > 0) return face('plain', [found]);
      if (files === 0)
        return face(
          'warning',
          ['the index is empty: no file that can be read was found.'],
          actionButtons(
            [
              { label: 'Index Again', action: 'index-workspace' },
              { label: 'Show Log', action: 'show-log' },
            ],
            controller,
          ),
        );
      return face(
        'plain',
        [`${found}; ${count(errors, 'file')} could not be read`],
        [
          button('Show Log', () => controller.tell('runAction', { action: 'show-log' }), {
            appearance: 'icon',
            class: 'text-button',
          }),
        ],
      );
    }
    case 'failed':
      return face('error', [index.message], actionButtons(index.actions, controller));
  }
}

/** Kept from one progress report to the next, so that the bar moves instead of being replaced. */
function indexingFace(): { update(index: Extract<IndexState, { kind: 'indexing' }>): HTMLElement } {
  const text = element('span', {});
  const file = element('code', { class: 'face-file', dir: 'auto' });
  const bar = element('progress', { 'aria-label': 'Indexing' });
  const root = face('info', [text, bar, file]);
  return {
    update({ filesDone, filesTotal, chunks, currentFile }) {
      const progress =
        filesTotal === null
          ? `${count(filesDone, 'file')} found`
          : `${filesDone.toLocaleString('en')} of ${count(filesTotal, 'file')}`;
      text.textContent = `Indexing: ${progress}, ${count(chunks, 'passage')} `;
      file.textContent = currentFile ?? '';
      if (filesTotal === null || filesTotal === 0) bar.removeAttribute('value');
      else {
        bar.max = filesTotal;
        bar.value = filesDone;
      }
      return root;
    },
  };
}

function modelFace(model: ModelState, controller: Controller): HTMLElement {
  switch (model.kind) {
    case 'none':
      return face('info', ['No model is selected.'], actionButtons(model.actions, controller));
    case 'unloaded':
      return face('plain', ['The model is loaded with the first question']);
    case 'loading':
      return face('plain', [progressRing('Loading the model'), model.message]);
    case 'ready':
      return face('plain', [
        `Model ready on ${model.device} in ${model.precision}, loaded in ${duration(model.loadMs)}`,
      ]);
    case 'failed':
      return face('error', [model.message], actionButtons(model.actions, controller));
  }
}

function code(text: string): HTMLElement {
  return element('code', { dir: 'auto' }, text);
}
