/** Why a request has no result. */
export type RequestFailure<E = unknown> = 
/** The server refused it; `error` is the method's own error. */
{
    readonly kind: "error";
    readonly error: E;
}
/** The server could not decode it (`malformed`) or failed (`failed`). */
 | {
    readonly kind: "fault";
    readonly fault: "malformed" | "failed";
    readonly reason?: string;
}
/** No reply within the timeout. It may have been handled, unless `sent` is false. */
 | {
    readonly kind: "timeout";
    readonly sent: boolean;
}
/** The connection ended before the reply. It may have been handled. */
 | {
    readonly kind: "lost";
}
/** The queue for the time without a connection is full. It was not sent. */
 | {
    readonly kind: "full";
}
/** The socket is closed for good. It may have been handled if `sent`. */
 | {
    readonly kind: "closed";
    readonly sent: boolean;
};
/**
 * The error with which a request rejects; `failure.kind` says why.
 *
 * What `catch` gets is `unknown`: check it by `error instanceof RequestError`.
 */
export declare class RequestError<E = unknown> extends Error {
    /** The `type` of the request. */
    readonly type: string;
    readonly failure: RequestFailure<E>;
    readonly name = "RequestError";
    constructor(
    /** The `type` of the request. */
    type: string, failure: RequestFailure<E>);
    /** The kind of the failure. */
    get kind(): RequestFailure<E>["kind"];
}
/** The server's answer to a request. */
export interface Reply {
    readonly id: unknown;
    readonly ok?: unknown;
    readonly error?: unknown;
    readonly fault?: {
        readonly kind: "malformed" | "failed";
        readonly reason?: string;
    };
}
/** The requests that wait for their replies, by id. */
export declare class Requests {
    #private;
    /**
     * Sends a request, and returns the promise of its reply. `send` gets the id and a function to
     * call before the request is handed to a connection, which returns `false` if it is too late; it
     * returns a function that takes it back from the queue, or a failure.
     */
    begin(type: string, timeout: number, send: (id: number, sending: () => boolean) => (() => void) | RequestFailure): Promise<unknown>;
    /** Settles the request that this is the reply to; a late reply is ignored. */
    settle({ id, ok, error, fault }: Reply): void;
    /** Rejects the requests that were sent: the connection has ended. Those in the queue remain. */
    lose(): void;
    /** Rejects all requests: the socket is closed for good. */
    close(): void;
}
