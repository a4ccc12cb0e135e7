/** Why a request has no result. */
export type RequestFailure<E = unknown> =
  /** The server refused it; `error` is the method's own error. */
  | { readonly kind: "error"; readonly error: E }
  /** The server could not decode it (`malformed`) or failed (`failed`). */
  | { readonly kind: "fault"; readonly fault: "malformed" | "failed"; readonly reason?: string }
  /** No reply within the timeout. It may have been handled, unless `sent` is false. */
  | { readonly kind: "timeout"; readonly sent: boolean }
  /** The connection ended before the reply. It may have been handled. */
  | { readonly kind: "lost" }
  /** The queue for the time without a connection is full. It was not sent. */
  | { readonly kind: "full" }
  /** The socket is closed for good. It may have been handled if `sent`. */
  | { readonly kind: "closed"; readonly sent: boolean };

/**
 * The error with which a request rejects; `failure.kind` says why.
 *
 * What `catch` gets is `unknown`: check it by `error instanceof RequestError`.
 */
export class RequestError<E = unknown> extends Error {
  override readonly name = "RequestError";

  constructor(
    /** The `type` of the request. */
    readonly type: string,
    readonly failure: RequestFailure<E>,
  ) {
    super(`${type}: ${JSON.stringify(failure)}`);
  }

  /** The kind of the failure. */
  get kind(): RequestFailure<E>["kind"] {
    return this.failure.kind;
  }
}

/** The server's answer to a request. */
export interface Reply {
  readonly id: unknown;
  readonly ok?: unknown;
  readonly error?: unknown;
  readonly fault?: { readonly kind: "malformed" | "failed"; readonly reason?: string };
}

/** One request that waits for its reply. */
interface Open {
  sent: boolean;
  /** Settles it, once. */
  readonly end: (failure: RequestFailure | undefined, ok?: unknown) => void;
}

/** The requests that wait for their replies, by id. */
export class Requests {
  #open = new Map<unknown, Open>();
  #last = 0;

  /**
   * Sends a request, and returns the promise of its reply. `send` gets the id and a function to
   * call before the request is handed to a connection, which returns `false` if it is too late; it
   * returns a function that takes it back from the queue, or a failure.
   */
  begin(
    type: string,
    timeout: number,
    send: (id: number, sending: () => boolean) => (() => void) | RequestFailure,
  ): Promise<unknown> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      const open: Open = {
        sent: false,
        end: (failure, ok) => {
          this.#open.delete(id);
          clearTimeout(timer);
          failure ? reject(new RequestError(type, failure)) : resolve(ok);
        },
      };
      // A message that is handed over at once is not late.
      let expires = Infinity;
      const outcome = send(id, () => {
        // The timer does not count the time for which the machine was suspended.
        open.sent = Date.now() <= expires;
        if (!open.sent) open.end({ kind: "timeout", sent: false });
        return open.sent;
      });
      if (typeof outcome !== "function") return reject(new RequestError(type, outcome));
      expires = Date.now() + timeout;
      const timer = setTimeout(() => {
        outcome();
        open.end({ kind: "timeout", sent: open.sent });
      }, timeout);
      this.#open.set(id, open);
    });
  }

  /** Settles the request that this is the reply to; a late reply is ignored. */
  settle({ id, ok, error, fault }: Reply): void {
    const failure: RequestFailure | undefined = fault
      ? { ...fault, kind: "fault", fault: fault.kind }
      : error !== undefined ? { kind: "error", error } : undefined;
    this.#open.get(id)?.end(failure, ok);
  }

  /** Rejects the requests that were sent: the connection has ended. Those in the queue remain. */
  lose(): void {
    for (const { sent, end } of this.#open.values()) if (sent) end({ kind: "lost" });
  }

  /** Rejects all requests: the socket is closed for good. */
  close(): void {
    for (const { sent, end } of this.#open.values()) end({ kind: "closed", sent });
  }
}
