/**
 * The messages of a consumer, as `seaway::typescript` writes them from Rust.
 *
 * ```ts
 * interface Auction {
 *   events: { type: "lot.raised"; cents: number } | { type: "lot.ended" };
 *   messages: { type: "typing" };
 *   requests: { bid: { params: { cents: number }; ok: Lot; error: Refusal } };
 * }
 * ```
 */
export interface Schema {
    /** What the server sends, by `type`. */
    events: {
        type: string;
    };
    /** What the client sends and gets no reply to, by `type`. */
    messages: {
        type: string;
    };
    /** What the client sends and gets a reply to, by `type`. */
    requests: object;
}
/** The schema of a consumer that is not described: everything is allowed. */
export interface AnySchema extends Schema {
    events: any;
    messages: any;
    requests: Record<string, {
        params: any;
        ok: any;
        error: any;
    }>;
}
/** The event of a `type`. */
export type EventOf<S extends Schema, T extends string> = Extract<S["events"], {
    type: T;
}>;
/** The names of the requests. */
export type RequestName<S extends Schema> = keyof S["requests"] & string;
/**
 * One part of a request: `"params"`, `"ok"` (the result) or `"error"` (why the server refused it).
 *
 * `RequestError<RequestPart<Auction, "bid", "error">>` is the error with which a `bid` rejects.
 */
export type RequestPart<S extends Schema, R extends RequestName<S>, P extends string> = S["requests"][R] extends Record<P, infer T> ? T : never;
/**
 * The parameters of a request. One that may be left out may also be `undefined`, which is not sent.
 */
export type ParamsOf<S extends Schema, R extends RequestName<S>> = OrUndefined<RequestPart<S, R, "params">>;
type OrUndefined<P> = {
    [K in keyof P]: P extends Required<Pick<P, K>> ? P[K] : P[K] | undefined;
};
export {};
