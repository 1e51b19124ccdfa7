/**
 * A list of rows with controls that is one stop of the Tab key: the arrow keys lead from row to row and along a row, Home
 * and End to the first and the last.
 */

const controlsOf = 'vscode-checkbox, vscode-button';

/**
 * Returns the function to call after every change of the list.
 * @param list its children are the rows
 */
export function oneTabStop(list: HTMLElement): () => void {
  let current: HTMLElement | null = null;
  const controls = (row: Element): HTMLElement[] =>
    [...row.querySelectorAll<HTMLElement>(controlsOf)].filter(
      (control) => !control.hidden && !control.hasAttribute('disabled'),
    );
  const refresh = (): void => {
    const all = [...list.children].flatMap(controls);
    if (current === null || !all.includes(current)) current = all[0] ?? null;
    // A negative index on a component takes the button inside it out of the order, too.
    for (const control of list.querySelectorAll<HTMLElement>(controlsOf)) {
      const wanted = control === current ? '0' : '-1';
      if (control.getAttribute('tabindex') !== wanted) control.setAttribute('tabindex', wanted);
    }
  };
  const moveTo = (control: HTMLElement | undefined): boolean => {
    if (!control) return false;
    current = control;
    refresh();
    control.focus();
    return true;
  };
  list.addEventListener('focusin', ({ target }) => {
    if (!(target instanceof HTMLElement) || !target.matches(controlsOf) || target === current) return;
    current = target;
    refresh();
  });
  list.addEventListener('keydown', (event) => {
    const { target, key, altKey, ctrlKey, metaKey } = event;
    if (!(target instanceof HTMLElement) || !target.matches(controlsOf) || altKey || ctrlKey || metaKey)
      return;
    const rows = [...list.children];
    const row = rows.findIndex((candidate) => candidate.contains(target));
    const own = controls(rows[row]!);
    const place = own.indexOf(target);
    /** The same control of another row, or the row's first where it has none such. */
    const inRow = (index: number): HTMLElement | undefined => {
      const there = rows[index] ? controls(rows[index]) : [];
      const name = target.getAttribute('data-control');
      return there.find((control) => control.getAttribute('data-control') === name) ?? there[0];
    };
    const next = {
      ArrowDown: () => inRow(row + 1),
      ArrowUp: () => inRow(row - 1),
      ArrowRight: () => own[place + 1],
      ArrowLeft: () => own[place - 1],
      Home: () => inRow(0),
      End: () => inRow(rows.length - 1),
    }[key];
    if (next && moveTo(next())) event.preventDefault();
  });
  return refresh;
}
