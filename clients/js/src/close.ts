/** The end of a connection: a close code (RFC 6455, 7.4) and its reason. */
export interface Close {
  /** The code; 1006 if the connection was lost without a close frame, or never opened. */
  readonly code: number;
  /** The reason, which may be empty. */
  readonly reason: string;
}

/** The connection was lost, or never opened (RFC 6455, 7.1.5). */
export const LOST = 1006;

/** The longest wait that a server may ask for, in milliseconds: one hour. */
const LONGEST = 3_600_000;

/**
 * Returns whether the client stays closed: the server was done (1000), a policy was violated
 * (1008), or the user has to log in (4401) or may not use the connection (4403).
 */
export function isFinal(code: number): boolean {
  return [1000, 1008, 4401, 4403].includes(code);
}

/** Returns the milliseconds that a reason such as `retry_after=7.31` asks to wait; 0 without one. */
export function retryAfter(reason: string): number {
  const found = /\bretry_after=(\d+(\.\d+)?)/.exec(reason);
  return Math.min(+(found?.[1] ?? 0) * 1000, LONGEST);
}

/** The codes that stand for a status. */
const CODES: Record<number, number> = { 401: 4401, 403: 4403, 413: 1009 };

/** Returns the close that stands for a response other than the expected one. */
export function closeOf({ status, headers }: Response, step: string): Close {
  const wait = headers.get("retry-after");
  const reason = `${step}: status ${status}`;
  return { code: CODES[status] ?? LOST, reason: wait ? `${reason} retry_after=${wait}` : reason };
}
