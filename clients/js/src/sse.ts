import { closeOf, isFinal, LOST, retryAfter, type Close } from "./close.js";
import { eventStream } from "./event-stream.js";
import type { Data, Connection, ConnectionListeners, Target } from "./connection.js";

const EVENT_STREAM = "text/event-stream";

/** How long a POST may take, in milliseconds. */
const POST_LIMIT = 15_000;

/** How long to wait at most before a POST that the server had no room for is sent again, in milliseconds. */
const LONGEST_PAUSE = 60_000;

/** How often it is sent again before the connection counts as lost. */
const REPEATS = 10;

/**
 * Opens the fallback for networks that block WebSockets: a stream of server-sent events for what
 * the server sends, and a POST for each message of the client, one after the other. Text only.
 *
 * It uses `fetch` and not `EventSource`, which can send no token, hides the status of a response,
 * and reconnects by itself.
 */
export function openSse({ url, token }: Target, listeners: ConnectionListeners): Connection {
  const address = new URL(url);
  address.protocol = url.protocol.replace("ws", "http");
  const leaving = new AbortController();
  let connection = "";
  let isBusy = false;
  let timer: ReturnType<typeof setTimeout>;

  const ask = (url: URL, headers: Record<string, string>, options: RequestInit) => {
    if (token !== undefined) headers.authorization = `Bearer ${token}`;
    return fetch(url, { ...options, headers, credentials: "include", signal: leaving.signal });
  };
  const end = () => {
    leaving.abort();
    clearTimeout(timer);
  };
  const close = (close: Close) => {
    if (leaving.signal.aborted) return;
    end();
    listeners.closed(close);
  };
  const lost = (error: unknown) => close({ code: LOST, reason: String(error) });

  const parse = eventStream(({ name, data }) => {
    if (leaving.signal.aborted) return;
    if (name === "message") return listeners.received(data);
    if (name === "open") {
      connection = JSON.parse(data).connection;
      listeners.opened();
    } else if (name === "close") {
      const { code, reason = "" } = JSON.parse(data);
      // A malformed close throws, and the stream is lost.
      close({ code: +code || LOST, reason: `${reason}` });
    }
  });

  const read = async () => {
    const response = await ask(address, { accept: EVENT_STREAM }, { cache: "no-store" });
    if (!response.ok || !response.headers.get("content-type")?.toLowerCase().startsWith(EVENT_STREAM)) {
      return close(closeOf(response, "no WebSocket; SseFallback"));
    }
    const decoder = new TextDecoder();
    const reader = response.body!.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return lost("the stream ended");
      listeners.alive();
      parse(decoder.decode(value, { stream: true }));
    }
  };

  const post = async (text: string) => {
    const target = new URL(address);
    target.searchParams.delete("resume");
    for (let repeats = 0; ; repeats++) {
      timer = setTimeout(lost, POST_LIMIT, "the POST timed out");
      const response = await ask(target, { "seaway-connection": connection }, { method: "POST", body: text })
        .finally(() => clearTimeout(timer));
      // A redirect to a login page ends with 200.
      if (response.status === 204) break;
      const { code, reason } = closeOf(response, "POST");
      // Only the GET decides whether the client may use the connection.
      const refused = { code: isFinal(code) ? LOST : code, reason };
      const asked = retryAfter(reason);
      // Without `Retry-After` it may be the response of a proxy, and the message may have arrived.
      if (![429, 503].includes(response.status) || !asked || repeats === REPEATS) return close(refused);
      await new Promise((resume) => timer = setTimeout(resume, Math.min(asked, LONGEST_PAUSE)));
    }
    isBusy = false;
    if (!leaving.signal.aborted) listeners.drained();
  };

  read().catch(lost);
  return {
    transport: "sse",
    hasRoom: () => !isBusy,
    send(data: Data) {
      isBusy = true;
      post(data as string).catch(lost);
    },
    end,
  };
}
