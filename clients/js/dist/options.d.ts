/**
 * The settings of a socket; times in milliseconds.
 *
 * A number below 1 (for the queue: below 0), or that is none, is a `RangeError`. Numbers above
 * 2^31 - 1, such as `Infinity`, count as that: as a time, 24 days.
 */
export interface Options {
    /**
     * The token of a user without a cookie, or a function that gets one before each attempt. It is
     * sent as a subprotocol (`["bearer", token]`), never in the address.
     */
    token?: string | (() => string | Promise<string>);
    /** Subprotocols to offer. */
    protocols?: readonly string[];
    /** Whether to use server-sent events and POST where WebSockets are blocked (default: true). */
    fallback?: boolean;
    /** The upper bound of the wait before the first attempt to reconnect (default: 1,000). */
    backoff?: number;
    /** The upper bound of all waits (default: 30,000). */
    backoffCap?: number;
    /** How long an attempt may take (default: 10,000). */
    connectTimeout?: number;
    /** How long a request waits for its reply, unless it has its own `timeout` (default: 10,000). */
    requestTimeout?: number;
    /** How many messages wait without a connection (default: 100); further ones are refused. */
    queueMessages?: number;
    /** The same in bytes (default: 262,144). */
    queueBytes?: number;
    /**
     * When a silent connection is probed, and how long the answer may take (default: 25,000 and
     * 10,000); `false` for never. By default a WebSocket is watched once the server has replied to a
     * request, so that the probe, the request `ping`, is one that it replies to; if you set this, from
     * the start.
     */
    heartbeat?: {
        interval?: number;
        timeout?: number;
    } | false;
}
/** Returns the given numbers, and the defaults of those that are not given. */
export declare function numbers<K extends string>(given: {
    readonly [name in NoInfer<K>]?: number | undefined;
}, defaults: Record<K, number>, least?: number): Record<K, number>;
