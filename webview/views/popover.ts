/** The popover of a token: its probability and what the model would have said instead. */
import type { AnswerToken } from '../../src/protocol/comparison.ts';
import { element } from '../dom.ts';
import { choicesOf, percentOf, visibleText } from '../text/confidence.ts';

/** Long enough to move the pointer from the token onto the popover. */
const leaveMs = 150;

/** What the model thought of one token: its probability and the likeliest others. One for the whole panel. */
export class TokenPopover {
  readonly root = element('div', {
    class: 'popover',
    id: 'token-popover',
    role: 'tooltip',
    hidden: true,
    onpointerenter: () => clearTimeout(this.#leaving),
    onpointerleave: () => this.leave(),
  });
  #leaving: ReturnType<typeof setTimeout> | undefined;
  #anchor: HTMLElement | null = null;

  /** Shows it below (or above) the token. */
  show(anchor: HTMLElement, token: AnswerToken): void {
    clearTimeout(this.#leaving);
    if (this.#anchor === anchor) return;
    this.hide();
    this.#anchor = anchor;
    anchor.setAttribute('aria-describedby', this.root.id);
    this.root.replaceChildren(...contentOf(token));
    this.root.hidden = false;
    this.#place(anchor);
  }

  /** The pointer or the focus has left the token. */
  leave(): void {
    clearTimeout(this.#leaving);
    this.#leaving = setTimeout(() => this.hide(), leaveMs);
  }

  /** True if it was open. */
  hide(): boolean {
    clearTimeout(this.#leaving);
    this.#anchor?.removeAttribute('aria-describedby');
    this.#anchor = null;
    const wasOpen = !this.root.hidden;
    this.root.hidden = true;
    return wasOpen;
  }

  #place(anchor: HTMLElement): void {
    const token = anchor.getClientRects()[0] ?? anchor.getBoundingClientRect();
    const { width, height } = this.root.getBoundingClientRect();
    const { clientWidth, clientHeight } = document.documentElement;
    const below = token.bottom + 4;
    const fitsBelow = below + height <= clientHeight;
    this.root.style.left = `${Math.max(4, Math.min(token.left, clientWidth - width - 4))}px`;
    this.root.style.top = `${fitsBelow ? below : Math.max(4, token.top - height - 4)}px`;
  }
}

function contentOf(token: AnswerToken): HTMLElement[] {
  const rows = choicesOf(token).map(({ chosen, logProbability, ...choice }) =>
    element(
      'tr',
      { class: chosen ? 'chosen' : '' },
      element('td', {}, chosen ? '✓' : ''),
      element('td', { class: 'popover-token', dir: 'auto' }, visibleText(choice)),
      element('td', { class: 'popover-number' }, percentOf(logProbability)),
      element('td', { class: 'popover-number' }, logProbability.toFixed(2)),
    ),
  );
  const heading = (text: string) => element('th', { scope: 'col' }, text);
  const head = element(
    'tr',
    {},
    element('th', { 'aria-label': 'Chosen' }),
    heading('Token'),
    heading('Probability'),
    heading('ln p'),
  );
  const table = element('table', {}, element('thead', {}, head), element('tbody', {}, ...rows));
  return rows.length > 1
    ? [table]
    : [table, element('p', { class: 'field-note' }, 'Alternatives were not asked for (see the settings).')];
}
