import { type Stop } from "./listeners.js";
/** What the server tells of as long as a connection is open: a topic, or presence. */
export declare class Tracked {
    #private;
    /** The name of the group. */
    readonly name: string;
    constructor(
    /** The name of the group. */
    name: string);
    /** Whether the open connection has sent what was missed, and sends what follows. */
    get isCurrent(): boolean;
    /** Calls `handler` with `isCurrent` now, and at each change. */
    onCurrent(handler: (isCurrent: boolean) => void): Stop;
}
