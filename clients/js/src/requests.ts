/** Why a request has no result. */
export type RequestFailure<E = unknown> =
  /** The server refused it; `error` is the method's own error. */
  | { readonly kind: "error"; readonly error: E }
  /** The server could not decode it (`malformed`) or failed (`failed`). */
  | { readonly kind: "fault"; readonly fault: "malformed" | "failed"; readonly reason?: string }
  /** No reply within the time-out. It may have been carried out, unless `sent` is false. */
  | { readonly kind: "timeout"; readonly sent: boolean }
  /** The connection ended before the reply. It may have been carried out. */
  | { readonly kind: "lost" }
  /** The queue for the time without a connection is full. It was not sent. */
  | { readonly kind: "full" }
  /** The socket is closed for good. It may have been carried out if `sent`. */
  | { readonly kind: "closed"; readonly sent: boolean };

/** The rejection of a request; `failure.kind` says which. */
export class RequestError<E = unknown> extends Error {
  override readonly name = "RequestError";

  constructor(
    /** The `type` of the request. */
    readonly type: string,
    readonly failure: RequestFailure<E>,
  ) {
    const detail = failure.kind === "error" ? JSON.stringify(failure.error)
      : failure.kind === "fault" ? `${failure.fault} ${failure.reason ?? ""}`
      : "";
    super(`${type}: ${failure.kind} ${detail}`.trimEnd());
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
  readonly type: string;
  sent: boolean;
  readonly resolve: (ok: unknown) => void;
  readonly reject: (error: RequestError) => void;
  readonly timer: ReturnType<typeof setTimeout>;
  readonly abandon: () => void;
}

/** The longest time that a timer of a browser can run, in milliseconds: 24 days. */
const LONGEST = 2 ** 31 - 1;

/** The requests that wait for their replies, by id. */
export class Requests {
  #open = new Map<number, Open>();
  #last = 0;

  /**
   * Sends a request, and returns the promise of its reply. `send` gets the id and a function to
   * call once the request is on its way; it returns a function that takes it back from the queue,
   * or a failure.
   */
  begin(
    type: string,
    timeout: number,
    send: (id: number, sent: () => void) => (() => void) | RequestFailure,
  ): Promise<unknown> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      const expire = () => {
        open.abandon();
        this.#fail(id, open, { kind: "timeout", sent: open.sent });
      };
      let abandon = () => {};
      const timer = setTimeout(expire, Math.min(timeout, LONGEST));
      const open: Open = { type, sent: false, resolve, reject, timer, abandon: () => abandon() };
      this.#open.set(id, open);
      const outcome = send(id, () => (open.sent = true));
      if (typeof outcome === "function") abandon = outcome;
      else this.#fail(id, open, outcome);
    });
  }

  /** Settles the request that this is the reply to; a late reply is ignored. */
  settle({ id, ok, error, fault }: Reply): void {
    const open = this.#open.get(id as number);
    if (!open) return;
    if (fault) {
      const { kind, reason } = fault;
      const failure = { kind: "fault", fault: kind } as const;
      this.#fail(id as number, open, reason === undefined ? failure : { ...failure, reason });
    } else if (error !== undefined) this.#fail(id as number, open, { kind: "error", error });
    else {
      this.#remove(id as number, open);
      open.resolve(ok);
    }
  }

  /** Rejects the requests that were sent: the connection has ended. Those in the queue remain. */
  lose(): void {
    for (const [id, open] of this.#open) if (open.sent) this.#fail(id, open, { kind: "lost" });
  }

  /** Rejects all requests: the socket is closed for good. */
  close(): void {
    for (const [id, open] of this.#open) this.#fail(id, open, { kind: "closed", sent: open.sent });
  }

  #fail(id: number, open: Open, failure: RequestFailure): void {
    this.#remove(id, open);
    open.reject(new RequestError(open.type, failure));
  }

  #remove(id: number, open: Open): void {
    this.#open.delete(id);
    clearTimeout(open.timer);
  }
}
