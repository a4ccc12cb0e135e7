// One request and its response, counted: the common part of polling and long polling.

const decoder = new TextDecoder();

/**
 * Sends a request; fails without a valid response within `limitMs`, or when `signal` aborts it.
 * Only the caller can guess whether a failed request `hadArrived`, and so counts.
 */
export async function ask(target, tally, { limitMs, signal, hadArrived = () => false }) {
  const limit = AbortSignal.timeout(limitMs);
  const request = tally.sent(target);
  try {
    const response = await fetch(target, {
      cache: "no-store",
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    if (!response.ok) throw new Error(`the server answered ${response.status}`);
    const body = await response.arrayBuffer();
    const answer = JSON.parse(decoder.decode(body));
    request.answered(Number(response.headers.get("x-head-bytes")), body.byteLength, answer.messages.length);
    return answer;
  } catch (error) {
    if (!hadArrived()) request.failed();
    throw error;
  }
}
