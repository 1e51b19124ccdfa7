/** Numbers and places as the panel words them. */
import { placeOf as placeInDocument } from '../../src/protocol/passages.ts';
import type { PanelPassage } from '../../src/protocol/panel.ts';

export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount.toLocaleString('en')} ${amount === 1 ? one : many}`;
}

/** "85 ms", "1.2 s", "2 min 5 s". */
export function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

/** "services/harbor.md:12–18"; for a passage without a file where it comes from. */
export function placeOf({ passage, origin }: PanelPassage): string {
  if (passage.path === undefined) return origin === 'editor' ? 'From the editor' : 'Added by hand';
  return placeInDocument(passage);
}

/** Date and time of an ISO 8601 text as the user's locale writes them; the text itself if it is no date. */
export function moment(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime())
    ? iso
    : date.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

export function bytes(amount: number): string {
  const units = ['bytes', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = amount;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit]!}`;
}
