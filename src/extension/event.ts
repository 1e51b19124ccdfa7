/** Events of sessions, which know nothing of VS Code, in the shape of VS Code's own. */

/** Calls the listener at every change until what it returns is disposed of. */
export type Event<T> = (listener: (value: T) => unknown) => { dispose: () => void };

/** An event and the right to fire it. */
export class Emitter<T> {
  readonly #listeners = new Set<{ call: (value: T) => unknown }>();

  readonly event: Event<T> = (listener) => {
    const entry = { call: listener };
    this.#listeners.add(entry);
    return { dispose: () => void this.#listeners.delete(entry) };
  };

  fire(value: T): void {
    for (const { call } of [...this.#listeners]) call(value);
  }
}
