/** The log of a run: its events, one JSON object per line. */
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { parseEvents, type TrainingEvent } from '../../protocol/training.ts';

/**
 * Passes events through and appends each to the file. A resumed run drops what an interrupted one logged after its
 * last saved state; a new run replaces the file.
 */
export async function* logged(
  events: AsyncIterable<TrainingEvent>,
  path: string,
): AsyncGenerator<TrainingEvent> {
  for await (const event of events) {
    if (event.type === 'start') await keepUntil(path, event.resumed ? event.step : 0, event.resumed);
    await appendFile(path, `${JSON.stringify(event)}\n`);
    yield event;
  }
}

async function keepUntil(path: string, step: number, resumed: boolean): Promise<void> {
  const text = resumed ? await readFile(path, 'utf8').catch(() => '') : '';
  const events = parseEvents(text).filter((event) => event.step <= step);
  await writeFile(path, events.map((event) => `${JSON.stringify(event)}\n`).join(''));
}
