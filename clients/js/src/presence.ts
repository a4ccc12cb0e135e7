import { Listeners, type Stop } from "./listeners.js";
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
  readonly left?: readonly { readonly key: string }[];
}

/**
 * Returns whether a message without a `type` is about presence: it has lists of people only, or
 * nothing else, for a change of people whom the server cannot decode.
 */
export function isPresenceMessage(message: object): message is PresenceMessage {
  const { presence, state, joined, updated, left } = message as PresenceMessage;
  const lists = [state, joined, updated, left].filter((list) => list !== undefined);
  return typeof presence === "string" && (!!lists[0] || Object.keys(message).length === 1)
    && lists.every(Array.isArray) && lists.flat().every((person) => typeof person?.key === "string");
}

/**
 * Who is present in one group, kept from the state and the changes that the server sends. Without
 * a connection it is the last known state, which is not current.
 */
export class Presence<M = unknown> extends Tracked {
  #present = new Map<string, Present<M>>();
  #changes = new Listeners<[PresenceChange<M>, readonly Present<M>[]]>();

  /** Who is present, in the order in which they came. */
  get list(): readonly Present<M>[] {
    return [...this.#present.values()];
  }

  /** Returns the entry of a key, if it is present. */
  get(key: string): Present<M> | undefined {
    return this.#present.get(key);
  }

  /**
   * Calls `handler` with each change and the list after it. After a reconnect the change is the
   * difference from the list before, and there is no call without one.
   */
  onChange(handler: (change: PresenceChange<M>, list: readonly Present<M>[]) => void): Stop {
    return this.#changes.add(handler);
  }

  /** @internal Handles a message of this group. */
  receive({ state, joined = [], updated = [], left = [] }: PresenceMessage): void {
    // Changes before the state would be of a list that nobody has.
    if (!state && !this.isCurrent) return;
    this.mark(true);
    if (state) {
      const keys = new Set(state.map(({ key }) => key));
      left = this.list.filter(({ key }) => !keys.has(key));
      joined = state;
    }
    const change = { joined: [], updated: [], left: [] } as Record<string, Present<M>[]>;
    for (const { key } of left) {
      const known = this.#present.get(key);
      this.#present.delete(key);
      if (known) change.left!.push(known);
    }
    for (const entry of [...joined, ...updated] as Present<M>[]) {
      const known = this.#present.get(entry.key);
      this.#present.set(entry.key, entry);
      if (!known) change.joined!.push(entry);
      else if (JSON.stringify(known) !== JSON.stringify(entry)) change.updated!.push(entry);
    }
    if (Object.values(change).flat().length) this.#changes.call(change as unknown as PresenceChange<M>, this.list);
    this.notify();
  }
}
