import { delay } from "./backoff.js";
import { isFinal, LOST, retryAfter, type Close } from "./close.js";
import { Heartbeat } from "./heartbeat.js";
import type { Data, Connection, ConnectionListeners, Target } from "./connection.js";
import { Listeners, report, type Stop } from "./listeners.js";
import { numbers, type Options } from "./options.js";
import { isPresenceMessage, Presence } from "./presence.js";
import { Queue, type Queued } from "./queue.js";
import { Requests, type Reply } from "./requests.js";
import type { AnySchema, EventOf, ParamsOf, RequestName, RequestPart, Schema } from "./schema.js";
import { openSse } from "./sse.js";
import type { State } from "./state.js";
import { isTopicMessage, Topics, type Topic } from "./topic.js";
import { onPageResume } from "./page-resume.js";
import { openWebSocket } from "./websocket.js";

/** The times of the options, in milliseconds. */
const TIMES = { backoff: 1000, backoffCap: 30_000, connectTimeout: 10_000, requestTimeout: 10_000 };

/** The times of the heartbeat. */
const WATCH = { interval: 25_000, timeout: 10_000 };

/** The bounds of the queue. */
const QUEUE = { queueMessages: 100, queueBytes: 262_144 };

/** How long a connection has to last before the next wait is a short one again. */
const STABLE = 5000;

/** The shortest time between two attempts that a waking page makes. */
const RESUME_PAUSE = 1000;

/** How long after it resumed a page may detect that its connection had ended. */
const RESUMED_WINDOW = 5000;

/** How long an event stream may be silent, in milliseconds: the server's comments come every 15 s. */
const SSE_SILENCE = 20_000;

/** After how many failed attempts a client that had a WebSocket tries the fallback, too. */
const FALLBACK_AFTER = 3;

/** A connection to a Seaway consumer that reconnects by itself. */
export class Socket<S extends Schema = AnySchema> {
  readonly #url: URL;
  readonly #options: Options;
  readonly #times: typeof TIMES;
  readonly #watchTimes: typeof WATCH;
  readonly #queue: Queue;
  readonly #requests = new Requests();
  readonly #handlers = new Map<unknown, Listeners<[never]>>();
  readonly #states = new Listeners<[State]>();
  readonly #topics = new Topics();
  readonly #presences = new Map<string, Presence>();
  #state: State = { name: "closed", close: { code: 1000, reason: "" } };
  #connection: Connection | undefined;
  #heartbeat: Heartbeat | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #removeListeners: Stop | undefined;
  /** Failed attempts since the last connection that lasted. */
  #failures = 0;
  #openedAt = 0;
  #attemptAt = 0;
  #resumedAt = -Infinity;
  /** When the time ends that the server has asked to wait. */
  #askedUntil = -Infinity;
  /** The number of attempts: the token of an earlier one is ignored. */
  #attempt = 0;
  #hadWebSocket = false;
  #replies = false;

  /**
   * Opens a socket. The address may be a path of the page's own origin: `/ws/lots/7`.
   *
   * Throws a `TypeError` if it is no address, and a `RangeError` for a number that is out of range.
   */
  constructor(url: string | URL, options: Options = {}) {
    this.#url = new URL(url, globalThis.location?.href);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#options = options;
    this.#times = numbers(options, TIMES);
    this.#watchTimes = numbers(options.heartbeat || {}, WATCH);
    const { queueMessages, queueBytes } = numbers(options, QUEUE, 0);
    this.#queue = new Queue(queueMessages, queueBytes);
    this.open();
  }

  /** The state; `onState` tells of its changes. */
  get state(): State {
    return this.#state;
  }

  /** Calls `handler` with the state now, and with each later one. */
  onState(handler: (state: State) => void): Stop {
    return this.#states.follow(handler, this.#state);
  }

  /**
   * Calls `handler` for each event of this `type`, also for those that arrive in a topic. `"*"` is
   * for all of them, and for messages without a `type`, such as text that is not JSON.
   */
  on<T extends S["events"]["type"]>(type: T, handler: (event: EventOf<S, T>) => void): Stop;
  on(type: "*", handler: (message: unknown) => void): Stop;
  on(type: string, handler: (event: never) => void): Stop {
    let listeners = this.#handlers.get(type);
    if (!listeners) this.#handlers.set(type, (listeners = new Listeners()));
    return listeners.add(handler);
  }

  /**
   * Sends a message: an object as JSON, text and binary as they are. Without a connection it waits
   * in the queue.
   *
   * Returns `false` if it was refused: the queue is full, the socket is closed, or it is binary and
   * the connection is the fallback, which carries text only. `true` is no promise that it arrives;
   * use `request` where that matters.
   */
  send(message: S["messages"] | Data): boolean {
    return this.#enqueue({ data: encode(message) });
  }

  /**
   * Sends a request, and returns the promise of its result.
   *
   * Without a connection it waits in the queue, and the timeout runs. It is sent at most once.
   * Rejects with a `RequestError`, with a `RangeError` if the timeout is out of range, or with a
   * `TypeError` if a parameter is named `id` or `type`, which the request has itself.
   */
  async request<R extends RequestName<S>>(
    type: R,
    params: ParamsOf<S, R>,
    options: { timeout?: number } = {},
  ): Promise<RequestPart<S, R, "ok">> {
    const { timeout } = numbers(options, { timeout: this.#times.requestTimeout });
    const { id, type: another } = Object(params);
    if (id !== undefined || another !== undefined) throw new TypeError("a parameter is named id or type");
    const reply = this.#requests.begin(type, timeout, (id, sending) => {
      if (this.#state.name === "closed") return { kind: "closed", sent: false };
      const message = { data: JSON.stringify({ ...(params as object), type, id }), sending };
      return this.#enqueue(message) ? () => this.#queue.remove(message) : { kind: "full" };
    });
    return reply as Promise<RequestPart<S, R, "ok">>;
  }

  /** Returns a topic; always the same object for a name. */
  topic<E = S["events"]>(name: string): Topic<E> {
    return this.#topics.get(name) as Topic<E>;
  }

  /** Returns who is present in a group; always the same object for a name. */
  presence<M = unknown>(name: string): Presence<M> {
    let presence = this.#presences.get(name);
    if (!presence) this.#presences.set(name, (presence = new Presence(name)));
    return presence as Presence<M>;
  }

  /** Opens a closed socket again, as after a login; a waiting one at once. */
  open(): void {
    const { name } = this.#state;
    if (name === "connecting" || name === "open") return;
    this.#removeListeners ??= onPageResume((wasFrozen) => this.#resume(wasFrozen));
    this.#failures = 0;
    void this.#connect();
  }

  /**
   * Closes the socket for good: open requests are rejected, and the queue is emptied.
   *
   * A WebSocket throws a `DOMException` and stays open if the code is neither 1000 nor from 3000 to
   * 4999, or if the reason is longer than 123 bytes.
   */
  close(code = 1000, reason = ""): void {
    this.#end({ code, reason }, true);
  }

  /** Makes one attempt. */
  async #connect(): Promise<void> {
    const attempt = ++this.#attempt;
    this.#attemptAt = Date.now();
    const fail = (reason: unknown) => {
      if (attempt === this.#attempt) this.#lose({ code: LOST, reason: String(reason) });
    };
    // Before the handlers, which may close the socket and open it again.
    this.#limit(() => fail("the token timed out"));
    this.#set({ name: "connecting" });
    if (attempt !== this.#attempt) return;
    try {
      const { token } = this.#options;
      // Also without a token, so that a page can set its handlers and positions first.
      const value = await (typeof token === "function" ? token() : token);
      if (attempt !== this.#attempt) return;
      const { protocols = [] } = this.#options;
      const url = new URL(this.#url);
      const resume = this.#topics.resume();
      if (resume) url.searchParams.set("resume", resume);
      this.#dial(openWebSocket, { url, protocols, token: value });
    } catch (error) {
      fail(error);
    }
  }

  /** Limits the time of one step of an attempt. */
  #limit(expired: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(expired, this.#times.connectTimeout);
  }

  #dial(dial: (target: Target, listeners: ConnectionListeners) => Connection, target: Target): void {
    // A connection that was left calls no listener.
    const closed = (close: Close) => {
      const isBlocked = this.#state.name !== "open" && dial === openWebSocket
        && (!this.#hadWebSocket || this.#failures >= FALLBACK_AFTER);
      isBlocked && this.#options.fallback !== false ? this.#dial(openSse, target) : this.#lose(close);
    };
    const alive = () => this.#heartbeat?.alive();
    const connection = dial(target, {
      alive,
      opened: () => this.#opened(connection),
      received: (data) => {
        alive();
        this.#receive(data);
      },
      drained: () => this.#flush(),
      closed,
    });
    this.#connection = connection;
    this.#limit(() => {
      connection.end();
      closed({ code: LOST, reason: "the attempt timed out" });
    });
  }

  #opened(connection: Connection): void {
    const { transport } = connection;
    clearTimeout(this.#timer);
    this.#openedAt = Date.now();
    this.#hadWebSocket ||= transport === "websocket";
    this.#watch();
    // First, so that handlers of the state find no position that was not sent. It calls handlers,
    // which may close the socket.
    this.#topics.forget();
    if (connection === this.#connection) this.#set({ name: "open", transport });
  }

  /** Watches a connection that answers a probe, or that is never silent for long. */
  #watch(): void {
    const { heartbeat } = this.#options;
    const isSse = this.#connection!.transport === "sse";
    if (heartbeat === false || this.#heartbeat || !(isSse || heartbeat || this.#replies)) return;
    const { interval, timeout } = this.#watchTimes;
    this.#heartbeat = new Heartbeat(
      interval,
      Math.max(timeout, isSse ? SSE_SILENCE : 0),
      () => {
        // Server-sent events have comments of their own, and a POST would prove nothing.
        if (!isSse) this.#connection?.send('{"type":"ping","id":0}');
      },
      () => this.#lose({ code: LOST, reason: "the heartbeat timed out" }),
    );
  }

  #receive(data: string | ArrayBuffer): void {
    const message = decode(data);
    if (!message) return this.#emit("*", data);
    const { type } = message;
    if (type === "reply") {
      this.#replies = true;
      this.#watch();
      return this.#requests.settle(message as Reply);
    }
    // Its fields may have any names, also those of a topic or of presence.
    if (type !== undefined) return this.#event(message);
    if (isPresenceMessage(message)) return this.presence(message.presence).receive(message);
    if (!isTopicMessage(message)) this.#event(message);
    else if (this.#topics.get(message.topic).receive(message)) this.#event(message.event);
  }

  #event(event: unknown): void {
    const type = (event as { type?: unknown } | null | undefined)?.type;
    if (type !== "*") this.#emit(type, event);
    this.#emit("*", event);
  }

  #emit(type: unknown, message: unknown): void {
    this.#handlers.get(type)?.call(message as never);
  }

  #enqueue(message: Queued): boolean {
    const { name } = this.#state;
    if (name === "closed") return false;
    if (name === "open") {
      if (!this.#carries(message)) return false;
      if (this.#queue.isEmpty && this.#connection!.hasRoom()) {
        this.#transmit(message);
        return true;
      }
    }
    return this.#queue.push(message);
  }

  #flush(): void {
    while (this.#state.name === "open" && !this.#queue.isEmpty && this.#connection!.hasRoom()) {
      this.#transmit(this.#queue.shift()!);
    }
  }

  #transmit(message: Queued): void {
    if (!this.#carries(message)) {
      // It was accepted before anyone knew.
      return report(new TypeError("SseFallback carries text"));
    }
    if (message.sending?.() ?? true) this.#connection!.send(message.data);
  }

  /** Returns whether the transport can carry a message: server-sent events carry text only. */
  #carries({ data }: Queued): boolean {
    return typeof data === "string" || this.#connection!.transport === "websocket";
  }

  /** Handles the end of an attempt or a connection. */
  #lose(close: Close): void {
    // A message of the page is of a kind or a form that the server does not accept.
    if ([1003, 1007].includes(close.code)) console.warn(close);
    if (isFinal(close.code)) return this.#end(close, false);
    const lasted = this.#state.name === "open" && Date.now() - this.#openedAt >= STABLE;
    if (lasted) this.#failures = 0;
    this.#drop();
    this.#requests.lose();
    const { backoff, backoffCap } = this.#times;
    const asked = retryAfter(close.reason);
    this.#askedUntil = asked ? Date.now() + asked : -Infinity;
    let wait = Math.max(asked, delay(this.#failures++, backoff, backoffCap));
    // A page that was frozen resumes first, and gets the close of its connection then.
    if (!asked && Date.now() - this.#resumedAt < RESUMED_WINDOW) wait = Math.min(wait, this.#rest());
    this.#resumedAt = -Infinity;
    this.#wait(wait, close);
  }

  #wait(milliseconds: number, close: Close): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#connect(), milliseconds);
    this.#set({ name: "waiting", until: Date.now() + milliseconds, close });
  }

  /** Returns the rest of the pause after the last attempt, which a waking page keeps. */
  #rest(): number {
    const rest = this.#attemptAt + RESUME_PAUSE - Date.now();
    // More than the pause is left if the clock was set back.
    return rest > 0 && rest <= RESUME_PAUSE ? rest : 0;
  }

  #end(close: Close, isOurs: boolean): void {
    if (this.#state.name === "closed") return;
    this.#drop(isOurs ? close : undefined);
    this.#removeListeners?.();
    this.#removeListeners = undefined;
    this.#queue.clear();
    // Before the handlers, which may open the socket again and begin requests.
    this.#requests.close();
    this.#set({ name: "closed", close });
  }

  /** Leaves the current attempt or connection. */
  #drop(close?: Close): void {
    // First, since a browser throws if it does not allow the code.
    this.#connection?.end(close?.code, close?.reason);
    this.#connection = undefined;
    this.#attempt++;
    clearTimeout(this.#timer);
    this.#heartbeat?.stop();
    this.#heartbeat = undefined;
  }

  #resume(wasFrozen: boolean): void {
    const state = this.#state;
    this.#resumedAt = Date.now();
    // Chromium neither ends nor continues the stream of a page that was frozen.
    if (wasFrozen && this.#connection?.transport === "sse") {
      return this.#lose({ code: LOST, reason: "the page was frozen" });
    }
    // There is one on an open connection only.
    this.#heartbeat?.check();
    // If the server has asked to wait, a waking page waits, too.
    if (state.name !== "waiting" || Date.now() < this.#askedUntil) return;
    const rest = this.#rest();
    if (rest) this.#wait(rest, state.close);
    else void this.#connect();
  }

  #set(state: State): void {
    this.#state = state;
    // Before the handlers, for which there is room in the queue then.
    this.#flush();
    const lost = state.name === "open" ? [] : [...this.#topics.values(), ...this.#presences.values()];
    // First all of them, since handlers read them.
    for (const tracked of lost) tracked.mark(false);
    this.#states.call(state);
    for (const tracked of lost) tracked.notify();
  }
}

function encode(message: object | Data): Data {
  const isData = typeof message === "string" || message instanceof ArrayBuffer
    || ArrayBuffer.isView(message);
  return isData ? (message as Data) : JSON.stringify(message);
}

/** Returns the object of a message in JSON, and nothing for any other message. */
function decode(data: string | ArrayBuffer): { type?: unknown } | null | undefined {
  try {
    // Bytes become a text that is not JSON.
    const value = JSON.parse(data as string);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
