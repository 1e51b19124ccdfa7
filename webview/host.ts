/** The panel's end of the line to the extension host: requests that get a reply or an error. */
import type { PanelError } from '../src/protocol/panel.ts';

/** The requests of a panel: by name what is sent and what comes back. */
type Requests<Table> = Record<keyof Table, { params: unknown; result: unknown }>;

type Reply =
  | { type: 'reply'; id: number; ok: true; result: unknown }
  | { type: 'reply'; id: number; ok: false; error: PanelError };

/** A request that the host answered with an error. */
export class HostError extends Error {
  readonly kind: PanelError['kind'];

  constructor({ kind, message }: PanelError) {
    super(message);
    this.kind = kind;
  }
}

/** Sends requests to the extension host and matches its replies to them. */
export class Host<Table extends Requests<Table>> {
  readonly #post: (message: unknown) => void;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #lastId = 0;

  constructor(post: (message: unknown) => void) {
    this.#post = post;
  }

  /** @throws HostError when the host replies with an error */
  request<Name extends keyof Table>(
    name: Name,
    params: Table[Name]['params'],
  ): Promise<Table[Name]['result']> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#post({ type: 'request', id, name, params });
    });
  }

  receive(message: Reply): void {
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.ok) waiting?.resolve(message.result as never);
    else waiting?.reject(new HostError(message.error));
  }
}
