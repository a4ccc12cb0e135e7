import type { Close } from "./close.js";
/** What a client may send: text, or binary over a WebSocket. */
export type Data = string | ArrayBuffer | ArrayBufferView<ArrayBuffer>;
/** The way that messages take: a WebSocket, or server-sent events with POST. */
export type Transport = "websocket" | "sse";
/** One connection, from the first attempt to its end. */
export interface Connection {
    readonly transport: Transport;
    /** Whether a message can be handed over now; if not, `drained` says when to ask again. */
    hasRoom(): boolean;
    /** Hands a message over. */
    send(data: Data): void;
    /** Ends the connection. No listener is called any more. */
    end(code?: number, reason?: string): void;
}
/** The listeners of one connection. After `closed` none is called. */
export interface ConnectionListeners {
    opened(): void;
    received(data: string | ArrayBuffer): void;
    /** Bytes arrived that are no message: the connection is alive. */
    alive(): void;
    drained(): void;
    closed(close: Close): void;
}
/** Where a connection leads, and with which token. */
export interface Target {
    /** With the scheme `ws` or `wss`. */
    readonly url: URL;
    readonly protocols: readonly string[];
    readonly token: string | undefined;
}
