/** Events of long work on their way to the client. */

/** Lets the event loop read messages that have arrived, such as a cancellation. */
export function messagesRead(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/**
 * Sends events several together: an event waits for company for `intervalMs` at most, the first and urgent ones do not
 * wait. What has not been sent yet is sent when the events end, also when they end with an error. Messages are read
 * after every event.
 */
export async function reportInBatches<Event>(
  events: AsyncIterable<Event>,
  report: (batch: Event[]) => void,
  intervalMs: number,
  isUrgent: (event: Event) => boolean = () => false,
): Promise<void> {
  let batch: Event[] = [];
  let sentAt = -Infinity;
  const send = (): void => {
    if (batch.length > 0) report(batch);
    batch = [];
    sentAt = performance.now();
  };
  try {
    for await (const event of events) {
      batch.push(event);
      if (isUrgent(event) || performance.now() - sentAt >= intervalMs) send();
      await messagesRead();
    }
  } finally {
    send();
  }
}
