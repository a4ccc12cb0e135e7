import { Listeners, type Stop } from "./listeners.js";
import { Tracked } from "./tracked.js";

/** A position in the history of a topic. */
export interface Position {
  readonly offset: number;
  /** Changes when the history was lost; offsets of two epochs cannot be compared. */
  readonly epoch: string;
}

const textOf = ({ offset, epoch }: Position) => `${offset}:${epoch}`;

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
export function isTopicMessage(message: object): message is TopicMessage {
  const { topic, offset, epoch } = message as Partial<TopicMessage>;
  return typeof topic === "string" && typeof offset === "number" && typeof epoch === "string";
}

/** One topic: its events, each once, and the position from which it is resumed. */
export class Topic<E = unknown> extends Tracked {
  #events = new Listeners<[event: E, position: Position]>();
  #recovered = new Listeners<[Recovered]>();
  #position: Position | undefined;

  /** The position of the last event; `undefined` before the first. */
  get position(): Position | undefined {
    return this.#position;
  }

  /**
   * Sets the position to resume from, as one that a page stored; `undefined` resumes nothing. Another
   * value than a position is a gap.
   */
  set position(position: Position | undefined) {
    const isValid = !position || /^\d{1,16}:[a-z\d]{1,32}$/i.test(textOf(position));
    // The server knows no such epoch.
    this.#position = isValid ? position : { offset: 0, epoch: "unknown" };
  }

  /** Calls `handler` for each event; none is passed on twice. */
  on(handler: (event: E, position: Position) => void): Stop {
    return this.#events.add(handler);
  }

  /** Calls `handler` at the end of each resume, and for a gap. */
  onRecovered(handler: (recovered: Recovered) => void): Stop {
    return this.#recovered.add(handler);
  }

  /** @internal Forgets the position, which is a gap. */
  forget(): void {
    const last = this.#position!;
    this.#position = undefined;
    this.#recovered.call({ recovered: false, ...last });
  }

  /** @internal Handles a message of this topic; returns whether it is a new event. */
  receive({ offset, epoch, event, recovered }: TopicMessage): boolean {
    const isEvent = recovered === undefined;
    const last = this.#position;
    if (isEvent && last?.epoch === epoch && offset <= last.offset) return false;
    const position = (this.#position = { offset, epoch });
    if (isEvent) this.#events.call(event as E, position);
    else {
      this.mark(true);
      this.#recovered.call({ recovered, ...position });
      this.notify();
    }
    return isEvent;
  }
}

/** How many topics are resumed. */
const RESUMED = 100;

/** How long the parameter may be, in encoded bytes: servers accept a request line of 8 KiB. */
const RESUME_BYTES = 6000;

/** All topics of a socket, the one with the latest message last. */
export class Topics {
  #all = new Map<string, Topic>();
  #omitted: Topic[] = [];

  values(): Iterable<Topic> {
    return this.#all.values();
  }

  get(name: string): Topic {
    const topic = this.#all.get(name) ?? new Topic(name);
    this.#all.delete(name);
    this.#all.set(name, topic);
    return topic;
  }

  /**
   * Returns the query parameter `resume`, the positions in the latest topics:
   * `lot.7:12:k3x9,chat.3:5:abc`. Those above the bounds are omitted.
   */
  resume(): string {
    const topics = [...this.#all.values()].filter(({ position }) => position);
    const latest = topics.splice(-RESUMED);
    const resume = () => latest.map(({ name, position }) => `${name}:${textOf(position!)}`).join();
    while (`${new URLSearchParams({ resume: resume() })}`.length > RESUME_BYTES) topics.push(latest.shift()!);
    this.#omitted = topics;
    return resume();
  }

  /** Reports a gap in the omitted topics: what their pages load from now on is followed by events. */
  forget(): void {
    for (const topic of this.#omitted) topic.forget();
  }
}
