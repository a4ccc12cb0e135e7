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
  return code === 1000 || code === 1008 || code === 4401 || code === 4403;
}

/** Returns the milliseconds that a reason such as `retry_after=7.31` asks to wait. */
export function retryAfter(reason: string): number | undefined {
  const found = /(?:^|\s)retry_after=(\d+(?:\.\d+)?)/.exec(reason);
  return found ? Math.min(Number(found[1]) * 1000, LONGEST) : undefined;
}

/** Returns the close that stands for the status of a response other than the expected one. */
export function closeOf(status: number): Close {
  const code = status === 401 ? 4401 : status === 403 ? 4403 : status === 413 ? 1009 : LOST;
  return { code, reason: `status ${status}` };
}
