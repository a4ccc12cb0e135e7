// One question by fetch and its answer, counted: what polling and long polling have in common.

const decoder = new TextDecoder();

/**
 * Ask the server; fails if there is no good answer within `limitMs`, or when `signal` gives the question up.
 * Only the asker can guess whether a question that failed `hadArrived`, and so counts.
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
