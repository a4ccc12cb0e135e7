import type { Data } from "./connection.js";

/** A message that waits for a connection. */
export interface Queued {
  readonly data: Data;
  /** Called before the message is handed to a connection; returns whether it is still to be sent. */
  readonly sending?: () => boolean;
}

/**
 * The messages that wait for a connection, or for room in it, in order.
 *
 * When it is full, the new message is refused: what was accepted stays.
 */
export class Queue {
  #waiting = new Set<Queued>();
  #bytes = 0;

  constructor(
    private readonly messages: number,
    private readonly bytes: number,
  ) {}

  get isEmpty(): boolean {
    return !this.#waiting.size;
  }

  /** Adds a message; returns whether there was room for it. */
  push(message: Queued): boolean {
    const bytes = sizeOf(message.data);
    const isFull = this.#waiting.size >= this.messages || this.#bytes + bytes > this.bytes;
    if (isFull) return false;
    this.#waiting.add(message);
    this.#bytes += bytes;
    return true;
  }

  /** Takes the oldest message. */
  shift(): Queued | undefined {
    const [message] = this.#waiting;
    if (message) this.remove(message);
    return message;
  }

  /** Removes a message that nobody waits for any more. */
  remove(message: Queued): void {
    if (this.#waiting.delete(message)) this.#bytes -= sizeOf(message.data);
  }

  clear(): void {
    this.#waiting.clear();
    this.#bytes = 0;
  }
}

/** Returns the size of a message: bytes, or UTF-16 code units of text. */
function sizeOf(data: Data): number {
  return typeof data === "string" ? data.length : data.byteLength;
}
