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
  /** Each message, and a copy of its data, which its sender may change. */
  #waiting = new Map<Queued, Data>();
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
    this.#waiting.set(message, copyOf(message.data));
    this.#bytes += bytes;
    return true;
  }

  /** Takes the oldest message. */
  shift(): Queued | undefined {
    const [oldest] = this.#waiting;
    if (!oldest) return undefined;
    const [message, data] = oldest;
    this.remove(message);
    return { ...message, data };
  }

  /** Removes a message that nobody waits for any more. */
  remove(message: Queued): void {
    this.#bytes -= sizeOf(this.#waiting.get(message) ?? "");
    this.#waiting.delete(message);
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

/** Returns a copy of the bytes of a message. */
function copyOf(data: Data): Data {
  if (typeof data === "string") return data;
  const { buffer, byteOffset } = ArrayBuffer.isView(data) ? data : { buffer: data, byteOffset: 0 };
  return buffer.slice(byteOffset, byteOffset + data.byteLength);
}
