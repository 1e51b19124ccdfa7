/**
 * The few helpers with which the panel builds its page. Text enters the page only as text nodes and plain
 * attributes, never as HTML: documents and answers are not trusted.
 */

export type Child = Node | string;

/** `class`, `id`, `aria-...`: attributes (false and undefined: none). `onclick`, ...: listeners. */
export type Props = Record<string, string | number | boolean | undefined | ((event: Event) => void)>;

/** Creates an element; strings among the children become text nodes. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const created = document.createElement(tag);
  setProps(created, props);
  created.append(...children);
  return created;
}

/** Sets attributes and adds listeners. */
export function setProps(target: Element, props: Props): void {
  for (const [name, value] of Object.entries(props)) {
    if (typeof value === 'function') target.addEventListener(name.slice(2), value);
    else setAttribute(target, name, value);
  }
}

/** Sets, changes or removes an attribute; leaves the page alone when nothing changes. */
export function setAttribute(
  target: Element,
  name: string,
  value: string | number | boolean | undefined,
): void {
  if (value === undefined || value === false) {
    if (target.hasAttribute(name)) target.removeAttribute(name);
  } else {
    const text = value === true ? '' : String(value);
    if (target.getAttribute(name) !== text) target.setAttribute(name, text);
  }
}

/** Replaces an element's text; leaves the page alone when it is the same already. */
export function setText(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Shows or hides; a hidden element is out of the tab order and of the accessibility tree. */
export function setVisible(target: HTMLElement, visible: boolean): void {
  if (target.hidden === visible) target.hidden = !visible;
}

/** Replaces the children unless they are the same nodes in the same order. */
export function setChildren(parent: Element, children: readonly Node[]): void {
  const current = parent.childNodes;
  if (current.length === children.length && children.every((child, i) => current[i] === child)) return;
  for (const child of [...current]) if (!children.includes(child)) child.remove();
  children.forEach((child, i) => {
    if (parent.childNodes[i] !== child) parent.insertBefore(child, parent.childNodes[i] ?? null);
  });
}

export interface ItemView<Item> {
  root: HTMLElement;
  update(item: Item, index: number): void;
}

/**
 * A parent whose children follow a list: a child is made once per key, then updated, moved or removed, so that
 * focus, selection and scroll positions outlive updates.
 */
export class KeyedChildren<Item> {
  readonly #parent: HTMLElement;
  readonly #create: (item: Item) => ItemView<Item>;
  readonly #keyOf: (item: Item) => string;
  #views = new Map<string, ItemView<Item>>();

  constructor(parent: HTMLElement, keyOf: (item: Item) => string, create: (item: Item) => ItemView<Item>) {
    this.#parent = parent;
    this.#keyOf = keyOf;
    this.#create = create;
  }

  /** `after`: nodes that stay behind the list's own. Of items with the same key only the first is shown. */
  update(items: readonly Item[], after: readonly Node[] = []): void {
    const next = new Map<string, ItemView<Item>>();
    items.forEach((item, index) => {
      const key = this.#keyOf(item);
      if (next.has(key)) return;
      const view = this.#views.get(key) ?? this.#create(item);
      view.update(item, index);
      next.set(key, view);
    });
    this.#views = next;
    setChildren(this.#parent, [...[...next.values()].map((view) => view.root), ...after]);
  }

  view(key: string): ItemView<Item> | undefined {
    return this.#views.get(key);
  }
}

/** Calls `update` only when a value differs (by identity) from the last call's. */
export function onChange<Values extends readonly unknown[]>(
  update: (...values: Values) => void,
): (...values: Values) => void {
  let last: Values | undefined;
  return (...values) => {
    if (last?.every((value, i) => Object.is(value, values[i]))) return;
    last = values;
    update(...values);
  };
}
