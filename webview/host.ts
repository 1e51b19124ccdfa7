import type {
  HostToPanel,
  PanelError,
  PanelReply,
  PanelRequestName,
  PanelRequests,
  PanelToHost,
} from '../src/protocol/panel.ts';

/** A request that the host answered with an error. */
export class HostError extends Error {
  readonly kind: PanelError['kind'];

  constructor({ kind, message }: PanelError) {
    super(message);
    this.kind = kind;
  }
}

/** Sends requests to the extension host and matches its replies to them. */
export class Host {
  readonly #post: (message: PanelToHost) => void;
  readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  #lastId = 0;

  constructor(post: (message: PanelToHost) => void) {
    this.#post = post;
  }

  /** @throws HostError when the host replies with an error */
  request<Name extends PanelRequestName>(
    name: Name,
    params: PanelRequests[Name]['params'],
  ): Promise<PanelRequests[Name]['result']> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      // The compiler cannot pair a name with its parameters across a union.
      this.#post({ type: 'request', id, name, params } as unknown as PanelToHost);
    });
  }

  /** True if the message was a reply. */
  receive(message: HostToPanel): message is PanelReply {
    if (message.type !== 'reply') return false;
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.ok) waiting?.resolve(message.result as never);
    else waiting?.reject(new HostError(message.error));
    return true;
  }
}
