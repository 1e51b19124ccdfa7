/** The set-up of a comparison: model, device, precision, embedding file, k, settings. */
import type {
  DeviceChoice,
  ModelInfo,
  PrecisionChoice,
  TokenFileInfo,
} from '../../src/protocol/comparison.ts';
import type { PanelState } from '../../src/protocol/panel.ts';
import type { Controller } from '../controller.ts';
import { element, onChange, setChildren, setVisible } from '../dom.ts';
import { problemOf } from '../selection.ts';
import { bytes, count } from '../text/format.ts';
import { button, dropdown, field, type DropdownOption } from '../toolkit.ts';
import { generationSettings } from './settings.ts';
import { tokenCountView } from './tokenCount.ts';
import type { View } from './view.ts';

const devices: Record<DeviceChoice, string> = {
  auto: 'Auto',
  cpu: 'CPU',
  webgpu: 'GPU (WebGPU)',
  cuda: 'GPU (CUDA)',
  dml: 'GPU (DirectML)',
  coreml: 'Core ML',
};
const precisions: Record<PrecisionChoice, string> = {
  auto: 'Auto',
  exact: 'exact (quantised models)',
  native: 'native (quantised models)',
  f32: 'float32',
  f16: 'float16',
  int8: 'int8',
  int4: 'int4',
};
const sources = {
  'built-in': 'built in',
  workspace: 'workspace',
  folder: 'folder',
  hub: 'hub',
  local: 'of another program',
};

/** Model, device, embedding file, number of virtual tokens and the settings of generation. */
export function setupView(controller: Controller): View & { focusTokenFile(): void } {
  const model = dropdown('Model', (id) => controller.edit({ model: id }));
  const device = dropdown('Device', (value) => controller.edit({ device: value as DeviceChoice }));
  const precision = dropdown('Precision', (value) =>
    controller.edit({ precision: value as PrecisionChoice }),
  );
  const tokenFile = dropdown('Embedding file', (path) => controller.edit({ tokenFile: path }));
  const modelNote = element('div', { class: 'field-note', dir: 'auto' });
  const tokenFileNote = element('div', { class: 'field-note', role: 'status', dir: 'auto' });
  const tokenFileWarning = element('div', { class: 'field-note field-warning', role: 'status', dir: 'auto' });
  const misfits = misfitList();
  const tokenCount = tokenCountView(controller);
  const settings = generationSettings(controller);

  const updateModels = onChange((models: ModelInfo[], selected: string | null) => {
    const usable = models.filter((info) => info.problem === undefined || info.id === selected);
    model.update(withSelected(usable.map(modelOption), selected, 'No model'), selected ?? '');
    const info = models.find(({ id }) => id === selected);
    showNote(modelNote, info?.problem ?? null, info && info.problem === undefined ? describeModel(info) : '');
  });
  const updateTokenFiles = onChange(
    (
      files: TokenFileInfo[],
      fit: PanelState['tokenFileFit'],
      warnings: PanelState['tokenFileWarnings'],
      selected: string | null,
    ) => {
      const fitting = files.filter((info) => info.path === selected || problemOf(info, fit) === null);
      tokenFile.update(withSelected(fitting.map(tokenFileOption), selected, 'None'), selected ?? '');
      const info = files.find(({ path }) => path === selected);
      const problem = info ? problemOf(info, fit) : selected === null ? null : (fit[selected] ?? null);
      const note = fitting.length === 0 ? 'No embedding file fits this model yet.' : '';
      showNote(tokenFileNote, problem, info ? describeTokenFile(info) : note);
      const warning = problem === null && selected !== null ? warnings[selected] : undefined;
      tokenFileWarning.textContent = warning === undefined ? '' : `Warning: ${warning}`;
      setVisible(tokenFileWarning, warning !== undefined);
      misfits.update(
        files
          .filter((other) => !fitting.includes(other))
          .map((other) => ({ name: other.name, path: other.path, reason: problemOf(other, fit)! })),
      );
    },
  );

  return {
    root: element(
      'section',
      { class: 'setup', 'aria-label': 'Model and embedding file' },
      element(
        'div',
        { class: 'setup-fields' },
        field(
          'Model',
          element(
            'div',
            { class: 'field-row' },
            model.root,
            button('…', () => controller.tell('pickModel', {}), {
              'aria-label': 'Choose another model',
              title: 'Choose another model',
            }),
          ),
          modelNote,
        ),
        element(
          'div',
          { class: 'field-pair' },
          field('Device', device.root),
          field('Precision', precision.root),
        ),
        field(
          'Embedding file',
          element(
            'div',
            { class: 'field-row' },
            tokenFile.root,
            button('…', () => controller.tell('pickTokenFile', {}), {
              'aria-label': 'Choose another embedding file',
              title: 'Choose another embedding file',
            }),
          ),
          tokenFileNote,
          tokenFileWarning,
          misfits.root,
        ),
        tokenCount.root,
      ),
      settings.root,
    ),
    focusTokenFile: () => tokenFile.root.focus(),
    update(state) {
      if (state.panel === null) return;
      const { inputs, models, tokenFiles, tokenFileFit, tokenFileWarnings } = state.panel;
      updateModels(models, inputs.model);
      updateTokenFiles(tokenFiles, tokenFileFit, tokenFileWarnings, inputs.tokenFile);
      device.update(optionsOf(devices), inputs.device);
      precision.update(optionsOf(precisions), inputs.precision);
      tokenCount.update(state);
      settings.update(state);
    },
  };
}

function optionsOf(labels: Record<string, string>): DropdownOption[] {
  return Object.entries(labels).map(([value, label]) => ({ value, label }));
}

/** A selection that is not among the known ones (or none at all) must be seen as well. */
function withSelected(options: DropdownOption[], selected: string | null, none: string): DropdownOption[] {
  if (selected === null) return [{ value: '', label: none }, ...options];
  if (options.some(({ value }) => value === selected)) return options;
  return [{ value: selected, label: selected }, ...options];
}

function modelOption({ id, name }: ModelInfo): DropdownOption {
  return { value: id, label: name };
}

function tokenFileOption({ path, name, rows, hiddenSize, source }: TokenFileInfo): DropdownOption {
  return { value: path, label: `${name}  ${rows}×${hiddenSize}, ${sources[source]}` };
}

function describeModel(info: ModelInfo): string {
  const size = `${count(info.numLayers, 'layer')}, width ${info.hiddenSize}, ${bytes(info.weightBytes)}`;
  return `${info.architecture}, ${size}, ${sources[info.source]}`;
}

function describeTokenFile(info: TokenFileInfo): string {
  return `${count(info.rows, 'virtual token')} of width ${info.hiddenSize}, ${info.dtype}, ${sources[info.source]}`;
}

function showNote(note: HTMLElement, problem: string | null, description: string): void {
  note.classList.toggle('field-error', problem !== null);
  note.textContent = note.title = problem === null ? description : `Error: ${problem}`;
  setVisible(note, note.textContent !== '');
}

/** The files that were left out of the list, and why: folded, for those who miss one. */
function misfitList(): {
  root: HTMLElement;
  update(files: { name: string; path: string; reason: string }[]): void;
} {
  const summary = element('summary', {});
  const list = element('ul', {});
  const root = element('details', { class: 'misfits' }, summary, list);
  return {
    root,
    update(files) {
      setVisible(root, files.length > 0);
      summary.textContent = `${count(files.length, 'other file does', 'other files do')} not fit`;
      setChildren(
        list,
        files.map(({ name, path, reason }) =>
          element(
            'li',
            { dir: 'auto', title: path },
            element('span', { class: 'misfit-name' }, name),
            `: ${reason}`,
          ),
        ),
      );
    },
  };
}
