/** The parts of the panel as stops of their own: a link to the answers, and two keys that lead from part to part. */
import { element } from '../dom.ts';

/**
 * A link, seen when it has the focus, that leads past everything to the answers.
 * @param regions sections in the order of the page; the last is that of the answers
 */
export function skipLink(regions: readonly HTMLElement[]): HTMLElement {
  return element(
    'a',
    {
      class: 'skip-link',
      href: '#answers-heading',
      title: 'Alt+Page Down and Alt+Page Up lead from part to part',
      onclick: (event) => {
        event.preventDefault();
        focusRegion(regions.at(-1)!);
      },
    },
    'Skip to the answers',
  );
}

/** Moves the focus to the next (1) or the previous (-1) part, around the ends. */
export function moveAmongRegions(regions: readonly HTMLElement[], step: 1 | -1): void {
  const shown = regions.filter((region) => region.offsetParent !== null);
  const place = shown.findIndex((region) => region.contains(document.activeElement));
  const from = place < 0 && step < 0 ? 0 : place;
  const next = shown[(from + step + shown.length) % shown.length];
  if (next) focusRegion(next);
}

/** The part itself takes the focus, so that its name is read; Tab goes on inside it. */
function focusRegion(region: HTMLElement): void {
  region.tabIndex = -1;
  region.focus({ preventScroll: true });
  region.scrollIntoView({ block: 'nearest' });
}
