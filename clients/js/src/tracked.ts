import { Listeners, type Stop } from "./listeners.js";

/** What the server tells of as long as a connection is open: a topic, or presence. */
export class Tracked {
  #isCurrent = false;
  #reportedCurrent = false;
  #changes = new Listeners<[isCurrent: boolean]>();

  constructor(
    /** The name of the group. */
    readonly name: string,
  ) {}

  /** Whether the open connection has sent what was missed, and sends what follows. */
  get isCurrent(): boolean {
    return this.#isCurrent;
  }

  /** Calls `handler` with `isCurrent` now, and at each change. */
  onCurrent(handler: (isCurrent: boolean) => void): Stop {
    return this.#changes.follow(handler, this.#isCurrent);
  }

  /** @internal Sets `isCurrent`; the handlers are called by `notify`. */
  mark(isCurrent: boolean): void {
    this.#isCurrent = isCurrent;
  }

  /** @internal Calls the handlers if `isCurrent` is another one than they know. */
  notify(): void {
    if (this.#reportedCurrent !== this.#isCurrent) this.#changes.call((this.#reportedCurrent = this.#isCurrent));
  }
}
