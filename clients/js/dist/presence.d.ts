import { type Stop } from "./listeners.js";
import { Tracked } from "./tracked.js";
/** Someone who is present: one entry, however many connections it has. */
export interface Present<M = unknown> {
    readonly key: string;
    /** The number of open connections; 0 within the grace time after the last one. */
    readonly count: number;
    readonly meta: M;
}
/** What has changed. */
export interface PresenceChange<M = unknown> {
    readonly joined: readonly Present<M>[];
    /** With another count or other metadata than before. */
    readonly updated: readonly Present<M>[];
    readonly left: readonly Present<M>[];
}
/** Presence as the server sends it: the whole state first, then changes. */
export interface PresenceMessage {
    readonly presence: string;
    readonly state?: readonly Present[];
    readonly joined?: readonly Present[];
    readonly updated?: readonly Present[];
    readonly left?: readonly {
        readonly key: string;
    }[];
}
/**
 * Returns whether a message without a `type` is about presence: it has lists of people only, or
 * nothing else, for a change of people whom the server cannot decode.
 */
export declare function isPresenceMessage(message: object): message is PresenceMessage;
/**
 * Who is present in one group, kept from the state and the changes that the server sends. Without
 * a connection it is the last known state, which is not current.
 */
export declare class Presence<M = unknown> extends Tracked {
    #private;
    /** Who is present, in the order in which they came. */
    get list(): readonly Present<M>[];
    /** Returns the entry of a key, if it is present. */
    get(key: string): Present<M> | undefined;
    /**
     * Calls `handler` with each change and the list after it. After a reconnect the change is the
     * difference from the list before, and there is no call without one.
     */
    onChange(handler: (change: PresenceChange<M>, list: readonly Present<M>[]) => void): Stop;
}
