/** A download's progress in words. */
import { formatBytes, formatSeconds } from '../../hub/format.ts';
import type { DownloadEvent } from '../../hub/types.ts';

/** One line for an event; null: nothing to say. */
export function progressText(event: DownloadEvent): string | null {
  switch (event.type) {
    case 'plan':
      return event.presentBytes > 0 && event.presentBytes < event.totalBytes
        ? `going on at ${formatBytes(event.presentBytes)} of ${formatBytes(event.totalBytes)}`
        : formatBytes(event.totalBytes);
    case 'progress': {
      const size = `${formatBytes(event.doneBytes)} of ${formatBytes(event.totalBytes)}`;
      if (event.phase === 'verify') return `${size}, checking`;
      const left = event.secondsLeft === null ? '' : `, ${formatSeconds(event.secondsLeft)} left`;
      return `${size}, ${formatBytes(event.bytesPerSecond)}/s${left}`;
    }
    case 'waiting':
      return `waiting ${formatSeconds(event.seconds)} (${event.reason})`;
    case 'done':
      return null;
  }
}
