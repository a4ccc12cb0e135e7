import type { Data } from "./connection.js";
import { type Stop } from "./listeners.js";
import { type Options } from "./options.js";
import { Presence } from "./presence.js";
import type { AnySchema, EventOf, ParamsOf, RequestName, RequestPart, Schema } from "./schema.js";
import type { State } from "./state.js";
import { type Topic } from "./topic.js";
/** A connection to a Seaway consumer that reconnects by itself. */
export declare class Socket<S extends Schema = AnySchema> {
    #private;
    /**
     * Opens a socket. The address may be a path of the page's own origin: `/ws/lots/7`.
     *
     * Throws a `TypeError` if it is no address, and a `RangeError` for a number that is out of range.
     */
    constructor(url: string | URL, options?: Options);
    /** The state; `onState` tells of its changes. */
    get state(): State;
    /** Calls `handler` with the state now, and with each later one. */
    onState(handler: (state: State) => void): Stop;
    /**
     * Calls `handler` for each event of this `type`, also for those that arrive in a topic. `"*"` is
     * for all of them, and for messages without a `type`, such as text that is not JSON.
     */
    on<T extends S["events"]["type"]>(type: T, handler: (event: EventOf<S, T>) => void): Stop;
    on(type: "*", handler: (message: unknown) => void): Stop;
    /**
     * Sends a message: an object as JSON, text and binary as they are. Without a connection it waits
     * in the queue.
     *
     * Returns `false` if it was refused: the queue is full, the socket is closed, or it is binary and
     * the connection is the fallback, which carries text only. `true` is no promise that it arrives;
     * use `request` where that matters.
     */
    send(message: S["messages"] | Data): boolean;
    /**
     * Sends a request, and returns the promise of its result.
     *
     * Without a connection it waits in the queue, and the timeout runs. It is sent at most once.
     * Rejects with a `RequestError`, with a `RangeError` if the timeout is out of range, or with a
     * `TypeError` if a parameter is named `id` or `type`, which the request has itself.
     */
    request<R extends RequestName<S>>(type: R, params: ParamsOf<S, R>, options?: {
        timeout?: number;
    }): Promise<RequestPart<S, R, "ok">>;
    /** Returns a topic; always the same object for a name. */
    topic<E = S["events"]>(name: string): Topic<E>;
    /** Returns who is present in a group; always the same object for a name. */
    presence<M = unknown>(name: string): Presence<M>;
    /** Opens a closed socket again, as after a login; a waiting one at once. */
    open(): void;
    /**
     * Closes the socket for good: open requests are rejected, and the queue is emptied.
     *
     * A WebSocket throws a `DOMException` and stays open if the code is neither 1000 nor from 3000 to
     * 4999, or if the reason is longer than 123 bytes.
     */
    close(code?: number, reason?: string): void;
}
