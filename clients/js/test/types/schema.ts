// What the type parameter allows and forbids; `npm test` compiles it.

import { connect, RequestError, type RequestFailure, type RequestPart, type Schema } from "../../build/index.js";

interface Lot {
  cents: number;
}

interface Auction extends Schema {
  events: { type: "lot.raised"; cents: number } | { type: "lot.ended" };
  messages: { type: "typing"; on: boolean };
  requests: {
    bid: { params: { cents: number }; ok: Lot; error: "ended" | { too_low: Lot } };
    watch: { params: Record<never, never>; ok: null; error: never };
  };
}

const socket = connect<Auction>("/ws", { backoff: 500, heartbeat: { interval: 1000 } });

socket.on("lot.raised", (event) => event.cents.toFixed());
socket.on("*", (message) => message);
// @ts-expect-error: there is no such event
socket.on("lot.razed", () => {});
// @ts-expect-error: this event has no `cents`
socket.on("lot.ended", (event) => event.cents);

socket.send({ type: "typing", on: true });
socket.send("text");
socket.send(new Uint8Array([1]));
// @ts-expect-error: a WebSocket does not send shared memory
socket.send(new SharedArrayBuffer(1));
// @ts-expect-error: nor may its bytes be read later, as those of a Blob
socket.send(new Blob([]));
// @ts-expect-error: a field is missing
socket.send({ type: "typing" });

const lot: Promise<Lot> = socket.request("bid", { cents: 3 }, { timeout: 100 });
const nothing: Promise<null> = socket.request("watch", {});
// @ts-expect-error: the parameter is a number
void socket.request("bid", { cents: "3" });
// @ts-expect-error: there is no such request
void socket.request("buy", {});

lot.catch(({ failure }: RequestError<Auction["requests"]["bid"]["error"]>) => {
  if (failure.kind === "error" && failure.error !== "ended") failure.error.too_low.cents.toFixed();
  // @ts-expect-error: only a fault has a reason
  return failure.reason;
});

/** What `catch` gets is unknown. */
export async function bid(): Promise<number> {
  try {
    return (await socket.request("bid", { cents: 3 })).cents;
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const failure: RequestFailure<RequestPart<Auction, "bid", "error">> = error.failure;
    // @ts-expect-error: the other failures have no error
    void failure.error;
    return failure.kind === "error" && failure.error !== "ended" ? failure.error.too_low.cents : 0;
  }
}

const params: RequestPart<Auction, "bid", "params"> = { cents: 3 };
void params;

socket.topic("lot.7").onCurrent((isCurrent) => isCurrent === true);
socket.presence("lot.7").onCurrent((isCurrent: boolean) => isCurrent);
// @ts-expect-error: the name of the event has a capital
socket.presence("lot.7").oncurrent(() => {});

socket.onState((state) => {
  if (state.name === "waiting") state.until.toFixed();
  // @ts-expect-error: only an open socket has a transport
  return state.transport;
});

socket.presence<{ away: boolean }>("lot.7").onChange(({ joined }) => joined[0]?.meta.away);
socket.topic("lot.7").on((event, { offset }) => [event.type, offset]);

// Without a schema everything is allowed.
const untyped = connect("wss://a.example/ws");
untyped.on("anything", (event) => event.whatever);
untyped.send({ type: "anything" });
void untyped.request("anything", { goes: 1 }).then((ok) => ok.whatever);
void nothing;
