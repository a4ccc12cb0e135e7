/** The end of a connection: a close code (RFC 6455, 7.4) and its reason. */
export interface Close {
    /** The code; 1006 if the connection was lost without a close frame, or never opened. */
    readonly code: number;
    /** The reason, which may be empty. */
    readonly reason: string;
}
/** The connection was lost, or never opened (RFC 6455, 7.1.5). */
export declare const LOST = 1006;
/**
 * Returns whether the client stays closed: the server was done (1000), a policy was violated
 * (1008), or the user has to log in (4401) or may not use the connection (4403).
 */
export declare function isFinal(code: number): boolean;
/** Returns the milliseconds that a reason such as `retry_after=7.31` asks to wait; 0 without one. */
export declare function retryAfter(reason: string): number;
/** Returns the close that stands for a response other than the expected one. */
export declare function closeOf({ status, headers }: Response, step: string): Close;
