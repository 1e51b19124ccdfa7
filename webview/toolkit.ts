/**
 * The one module that knows @vscode/webview-ui-toolkit. It registers the components that the panel uses and
 * wraps each in a small function, so that the toolkit (which is archived) can be replaced here alone.
 * A slider, number fields and progress bars are native HTML: the toolkit has none.
 */
import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
  vsCodeTextArea,
} from '@vscode/webview-ui-toolkit/dist/toolkit.js';
import { element, setAttribute, setChildren, setProps, type Child, type Props } from './dom.ts';

/** Call once, before anything is drawn. */
export function registerToolkit(): void {
  provideVSCodeDesignSystem().register(
    vsCodeButton(),
    vsCodeCheckbox(),
    vsCodeDropdown(),
    vsCodeOption(),
    vsCodeProgressRing(),
    vsCodeTextArea(),
  );
}

function create(tag: string, props: Props, children: Child[]): HTMLElement {
  const created = document.createElement(tag);
  setProps(created, props);
  created.append(...children);
  return created;
}

/** A push button. `icon`: no frame, for actions in a row of things; give it an aria-label if it has no words. */
export function button(
  label: string,
  onClick: () => void,
  props: Props & { appearance?: 'primary' | 'secondary' | 'icon' } = {},
): HTMLElement {
  // Without a label of its own the component calls a frameless button “Icon Button”.
  return create(
    'vscode-button',
    { appearance: 'secondary', 'aria-label': label, ...props, onclick: onClick },
    [label],
  );
}

/**
 * Says whether what a button unfolds is open. The component hands `aria-label` on to the real button inside it,
 * but not `aria-expanded`.
 */
export function setExpanded(target: HTMLElement, expanded: boolean): void {
  const control = target.shadowRoot?.querySelector('[part=control]');
  if (control) setAttribute(control, 'aria-expanded', expanded ? 'true' : 'false');
  // The inside exists from the moment on that the button is in the page.
  else requestAnimationFrame(() => target.isConnected && setExpanded(target, expanded));
}

export function progressRing(label: string): HTMLElement {
  return create('vscode-progress-ring', { 'aria-label': label }, []);
}

export interface CheckboxControl {
  root: HTMLElement;
  update(checked: boolean): void;
}

/** A checkbox whose label are `children`; `onToggle` is called for the user's changes only. */
export function checkbox(
  children: Child[],
  onToggle: (checked: boolean) => void,
  props: Props = {},
): CheckboxControl {
  const root = create('vscode-checkbox', props, children) as HTMLElement & { checked: boolean };
  let shown = false;
  // The component reports changes made by the program as well.
  root.addEventListener('change', () => {
    if (root.checked === shown) return;
    shown = root.checked;
    onToggle(shown);
  });
  return {
    root,
    update(checked) {
      shown = checked;
      if (root.checked !== checked) root.checked = checked;
    },
  };
}

export interface TextAreaControl {
  root: HTMLElement;
  readonly value: string;
  /** Leaves the caret alone when the text is the same. */
  update(value: string): void;
  focus(): void;
}

/** A text area with a visible label; grows with its text, up to the style sheet's maximum. */
export function textArea(
  label: string,
  onInput: (value: string) => void,
  props: Props & { placeholder?: string } = {},
): TextAreaControl {
  const root = create('vscode-text-area', { resize: 'vertical', ...props }, [label]) as HTMLElement & {
    value: string;
    control?: HTMLTextAreaElement;
  };
  root.addEventListener('input', () => onInput(root.value));
  // The inner control exists from the first update of the component on; `dir` is not passed on to it.
  requestAnimationFrame(() => {
    if (!root.control) return;
    // The direction of the text is that of its first strong letter.
    root.control.dir = 'auto';
    root.control.spellcheck = false;
  });
  return {
    root,
    get value() {
      return root.value;
    },
    update(value) {
      if (root.value === value) return;
      root.value = value;
    },
    focus: () => (root.control ?? root).focus(),
  };
}

export interface DropdownOption {
  value: string;
  label: string;
}

export interface DropdownControl {
  root: HTMLElement;
  update(options: readonly DropdownOption[], value: string): void;
}

/** A drop-down list; `label` is for screen readers, a visible one stands beside it. */
export function dropdown(
  label: string,
  onSelect: (value: string) => void,
  props: Props = {},
): DropdownControl {
  const root = create('vscode-dropdown', { 'aria-label': label, ...props }, []) as HTMLElement & {
    value: string;
    open: boolean;
  };
  let shownOptions = '';
  let shownValue = '';
  root.addEventListener('change', () => {
    if (root.value === shownValue || root.value === '') return;
    shownValue = root.value;
    onSelect(shownValue);
  });
  return {
    root,
    update(options, value) {
      const key = JSON.stringify(options);
      if (key !== shownOptions) {
        shownOptions = key;
        setChildren(
          root,
          options.map((option) =>
            create('vscode-option', { value: option.value, selected: option.value === value }, [
              option.label,
            ]),
          ),
        );
      }
      shownValue = value;
      // The component learns of new options a moment after they are in the page.
      requestAnimationFrame(() => {
        if (root.value !== shownValue && !root.open) root.value = shownValue;
        setAttribute(root, 'title', options.find((option) => option.value === shownValue)?.label);
      });
    },
  };
}

/** A group: something visible that labels the control below or beside it. */
export function field(label: string, ...controls: Child[]): HTMLElement {
  return element('div', { class: 'field' }, element('span', { class: 'field-label' }, label), ...controls);
}
