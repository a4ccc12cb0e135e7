import { type Stop } from "./listeners.js";
import { Tracked } from "./tracked.js";
/** A position in the history of a topic. */
export interface Position {
    readonly offset: number;
    /** Changes when the history was lost; offsets of two epochs cannot be compared. */
    readonly epoch: string;
}
/** The end of a resume, or a gap on an open connection. */
export interface Recovered extends Position {
    /** Whether nothing was missed. If `false`, load the state anew. */
    readonly recovered: boolean;
}
/** A topic as the server sends it. */
export interface TopicMessage extends Position {
    readonly topic: string;
    readonly event?: unknown;
    readonly recovered?: boolean;
}
/** Returns whether a message without a `type` is about a topic. */
export declare function isTopicMessage(message: object): message is TopicMessage;
/** One topic: its events, each once, and the position from which it is resumed. */
export declare class Topic<E = unknown> extends Tracked {
    #private;
    /** The position of the last event; `undefined` before the first. */
    get position(): Position | undefined;
    /**
     * Sets the position to resume from, as one that a page stored; `undefined` resumes nothing. Another
     * value than a position is a gap.
     */
    set position(position: Position | undefined);
    /** Calls `handler` for each event; none is passed on twice. */
    on(handler: (event: E, position: Position) => void): Stop;
    /** Calls `handler` at the end of each resume, and for a gap. */
    onRecovered(handler: (recovered: Recovered) => void): Stop;
}
/** All topics of a socket, the one with the latest message last. */
export declare class Topics {
    #private;
    values(): Iterable<Topic>;
    get(name: string): Topic;
    /**
     * Returns the query parameter `resume`, the positions in the latest topics:
     * `lot.7:12:k3x9,chat.3:5:abc`. Those above the bounds are omitted.
     */
    resume(): string;
    /** Reports a gap in the omitted topics: what their pages load from now on is followed by events. */
    forget(): void;
}
