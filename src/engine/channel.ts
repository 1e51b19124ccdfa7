/**
 * Typed requests over one JSON-RPC connection, the same on both sides: ids and cancellation are vscode-jsonrpc's,
 * progress travels beside the reply, and errors keep their kind across the process boundary.
 */
import {
  type CancellationToken,
  CancellationTokenSource,
  type Disposable,
  ErrorCodes,
  type MessageConnection,
  ProgressType,
  ResponseError,
} from 'vscode-jsonrpc/node';
import {
  type EngineNotifications,
  type EngineRoles,
  type EngineRole,
  engineErrorCodes,
} from '../protocol/engine.ts';
import { CancelledError, messageOf, UserError } from '../protocol/errors.ts';

type Requests<Role extends EngineRole> = EngineRoles[Role];
export type RequestName<Role extends EngineRole> = keyof Requests<Role> & string;
export type ParamsOf<Role extends EngineRole, Name extends RequestName<Role>> = Field<
  Requests<Role>[Name],
  'params'
>;
export type ProgressOf<Role extends EngineRole, Name extends RequestName<Role>> = Field<
  Requests<Role>[Name],
  'progress'
>;
export type ResultOf<Role extends EngineRole, Name extends RequestName<Role>> = Field<
  Requests<Role>[Name],
  'result'
>;
type Field<T, Key extends string> = T extends Record<Key, infer Value> ? Value : never;

export interface HandlerContext<Progress> {
  signal: AbortSignal;
  report: (progress: Progress) => void;
}

/** What a role's server implements: one async function per request. */
export type Handlers<Role extends EngineRole> = {
  [Name in RequestName<Role>]: (
    params: ParamsOf<Role, Name>,
    context: HandlerContext<ProgressOf<Role, Name>>,
  ) => Promise<ResultOf<Role, Name>>;
};

/** What travels as a request's parameters. */
interface Envelope {
  progressToken: number;
  params: unknown;
}

const progressType = new ProgressType<unknown>();
let nextProgressToken = 1;

/** Answered by every process that is not stuck. */
const ping = 'ping';

/** Answers a role's requests on `connection`. */
export function serve<Role extends EngineRole>(
  connection: MessageConnection,
  handlers: Handlers<Role>,
): void {
  connection.onRequest(ping, () => null);
  for (const [name, handler] of Object.entries<Handlers<Role>[RequestName<Role>]>(handlers)) {
    connection.onRequest(name, async (envelope: Envelope, token: CancellationToken) => {
      const abort = new AbortController();
      const cancellation = token.onCancellationRequested(() => abort.abort());
      try {
        return await handler(envelope.params as never, {
          signal: abort.signal,
          // A client that has gone is noticed elsewhere; its progress may get lost.
          report: (value) => {
            connection
              .sendProgress(progressType, envelope.progressToken, value as never)
              .catch(() => undefined);
          },
        });
      } catch (error) {
        throw toResponseError(error);
      } finally {
        cancellation.dispose();
      }
    });
  }
}

export interface RequestOptions<Progress> {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

/**
 * Sends one request and waits for its reply. When the signal fires, it rejects at once and the server is told.
 * @throws UserError, CancelledError, or Error for anything unexpected in the server
 */
export async function sendRequest<Role extends EngineRole, Name extends RequestName<Role>>(
  connection: MessageConnection,
  name: Name,
  params: ParamsOf<Role, Name>,
  options: RequestOptions<ProgressOf<Role, Name>>,
): Promise<ResultOf<Role, Name>> {
  const { signal, onProgress } = options;
  if (signal?.aborted) throw new CancelledError();
  const envelope: Envelope = { progressToken: nextProgressToken++, params };
  const cancellation = new CancellationTokenSource();
  let progress: Disposable | undefined;
  if (onProgress) {
    progress = connection.onProgress(progressType, envelope.progressToken, (value) =>
      onProgress(value as never),
    );
  }
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => {
    progress?.dispose();
    cancellation.cancel();
    reject(new CancelledError());
  };
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([
      connection.sendRequest<ResultOf<Role, Name>>(name, envelope, cancellation.token),
      aborted,
    ]);
  } catch (error) {
    throw fromResponseError(error);
  } finally {
    signal?.removeEventListener('abort', onAbort);
    progress?.dispose();
    cancellation.dispose();
  }
}

/** Whether the other side takes messages within this time; one that computes without a pause does not. */
export async function reacts(connection: MessageConnection, withinMs: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), withinMs);
    timer.unref();
  });
  // A connection that is gone is no sign of a stuck process.
  const answered = connection.sendRequest(ping).then(
    () => true,
    () => true,
  );
  try {
    return await Promise.race([answered, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Tells the other side something that no request asked for. */
export function notify<Name extends keyof EngineNotifications>(
  connection: MessageConnection,
  name: Name,
  params: EngineNotifications[Name],
): void {
  connection.sendNotification(name, params).catch(() => undefined);
}

export function onNotification<Name extends keyof EngineNotifications>(
  connection: MessageConnection,
  name: Name,
  handler: (params: EngineNotifications[Name]) => void,
): void {
  connection.onNotification(name, handler);
}

function toResponseError(error: unknown): ResponseError<{ stack: string | undefined } | undefined> {
  if (error instanceof UserError) return new ResponseError(engineErrorCodes.user, error.message);
  if (error instanceof CancelledError) return new ResponseError(engineErrorCodes.cancelled, error.message);
  const stack = error instanceof Error ? error.stack : undefined;
  return new ResponseError(ErrorCodes.InternalError, messageOf(error), { stack });
}

function fromResponseError(error: unknown): Error {
  if (error instanceof ResponseError) {
    if (error.code === engineErrorCodes.user) return new UserError(error.message);
    if (error.code === engineErrorCodes.cancelled) return new CancelledError(error.message);
    const stack = (error.data as { stack?: string } | undefined)?.stack;
    return new Error(error.message, { cause: stack });
  }
  return error instanceof Error ? error : new Error(String(error));
}
