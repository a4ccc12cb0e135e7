/**
 * Returns how long to wait before an attempt, in milliseconds: a random time of up to
 * `base * 2^failures`, and at most `cap` ("full jitter").
 *
 * So the attempts of clients that were disconnected together are spread over the whole time.
 */
export function delay(failures: number, base: number, cap: number): number {
  return Math.random() * Math.min(cap, base * 2 ** failures);
}
