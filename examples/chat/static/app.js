// The page of the chat: choose a room, talk in it over one WebSocket that comes back by itself.

const NAME_MAX = 30;
const TEXT_MAX = 2000;
// Show what is left to write only when it starts to matter.
const TEXT_WARN = 1800;
// The page keeps this many messages; older ones leave the document first.
const SHOWN_MAX = 1000;
// Messages of one author this close together stand under one heading.
const GROUP_MS = 5 * 60_000;
// No welcome, or no answer to a message, within this time counts as lost.
const ANSWER_LIMIT_MS = 10_000;
const BACKOFF_FIRST_MS = 600;
const BACKOFF_MAX_MS = 15_000;
// A connection that lived this long was a good one: the next loss starts at the shortest wait.
const STEADY_MS = 5_000;
const CUTS = 10;
const DYES = 6;

const $ = (id) => document.getElementById(id);

// What this browser, and what this tab remembers; a person may have forbidden both.
const [browserMemory, tabMemory] = ["localStorage", "sessionStorage"].map((kind) => {
  try {
    return window[kind];
  } catch {
    return null;
  }
});

// ---------------------------------------------------------------- Rules

function nameProblem(name) {
  if (name === "") return "Please tell the others who you are.";
  if ([...name].length > NAME_MAX) return `A name has at most ${NAME_MAX} characters.`;
  return /\p{Cc}/u.test(name) ? "A name is one line of text." : "";
}

function roomProblem(room) {
  if (room === "") return "Please name a room.";
  return /^[A-Za-z0-9\-_.]{1,40}$/.test(room)
    ? ""
    : "1 to 40 letters (A to Z), digits, dashes, dots or underscores.";
}

/** The wait before the next attempt: doubling, capped, and spread so that a crowd does not return at once. */
function backoff(attempt, random) {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** attempt);
  return ceiling / 2 + (ceiling / 2) * random;
}

/** Messages stand in the order of their time; those still on their way stand last. */
function isBefore(a, b) {
  if (a.at !== b.at) return a.at < b.at;
  return (a.id ?? "") < (b.id ?? "");
}

/** One name always flies the same flag (FNV-1a, so that names alike differ in theirs). */
function flagOf(name) {
  let hash = 0x811c9dc5;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 0x01000193) >>> 0;
  hash = (hash ^ (hash >>> 15)) >>> 0;
  return `flag cut-${hash % CUTS} dye-${Math.floor(hash / CUTS) % DYES}`;
}

// ---------------------------------------------------------------- The connection

/** One WebSocket at a time, replaced after a loss until `close`. */
class Connection {
  #url;
  #onState;
  #onFrame;
  #socket = null;
  #timer = 0;
  #attempt = 0;
  #welcomedAt = Infinity;

  constructor(url, { onState, onFrame }) {
    this.#url = url;
    this.#onState = onState;
    this.#onFrame = onFrame;
    this.open();
  }

  open() {
    this.#abandon();
    this.#onState("connecting");
    const socket = new WebSocket(this.#url);
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = () => this.#lost();
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(), ANSWER_LIMIT_MS);
  }

  /** Whether the frame went out; an answer is another matter. */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Try now instead of later; nothing to do unless waiting. */
  hurry() {
    if (this.#socket === null) this.open();
  }

  close() {
    this.#abandon();
  }

  #receive(frame) {
    if (frame.type === "welcome") {
      clearTimeout(this.#timer);
      this.#welcomedAt = Date.now();
      this.#onState("connected");
    }
    this.#onFrame(frame);
  }

  #lost() {
    this.#abandon();
    if (Date.now() - this.#welcomedAt > STEADY_MS) this.#attempt = 0;
    this.#welcomedAt = Infinity;
    const wait = backoff(this.#attempt++, Math.random());
    this.#timer = setTimeout(() => this.open(), wait);
    this.#onState("waiting", wait);
  }

  #abandon() {
    clearTimeout(this.#timer);
    if (this.#socket === null) return;
    this.#socket.onmessage = this.#socket.onclose = null;
    this.#socket.close();
    this.#socket = null;
  }
}

// ---------------------------------------------------------------- Messages

/** The room's messages, as values and as list items, both in one order. */
class MessageList {
  #list = $("messages");
  #log = $("log");
  #messages = [];
  #byId = new Map();
  #byKey = new Map();
  // Ids of what this tab has said, so that they stay "mine" after a reload.
  #own = new Set(JSON.parse(tabMemory?.getItem("own") ?? "[]"));
  #isAtEnd = true;
  #onRetry;

  constructor(onRetry) {
    this.#onRetry = onRetry;
    this.#list.replaceChildren();
    this.#update();
    this.#log.onscroll = () => this.#scrolled();
    // A keyboard that slides in, or a taller composer, must not hide the newest message.
    new ResizeObserver(() => this.#stay()).observe(this.#log);
  }

  /** A message that this tab is about to send. */
  addMine(key, from, text) {
    const message = { id: null, key, from, text, at: Infinity, mine: true, state: "pending" };
    this.#insert(message);
    this.toEnd();
    return message;
  }

  /** A message the server has told about; known ones are only brought up to date. */
  add({ id, key, from, text, at }) {
    if (this.#byId.has(id)) return;
    const waiting = this.#byKey.get(key);
    // The same key twice is a message that was repeated because its answer got lost.
    if (waiting?.state === "sent") return;
    const mine = waiting !== undefined || this.#own.has(id);
    if (waiting) this.#remove(waiting);
    if (mine) this.#remember(id);
    this.#insert({ id, key, from, text, at, mine, state: "sent" });
    this.#stay();
    $("jump").hidden = this.#isAtEnd;
  }

  /** The past, without reading all of it out. */
  addPast(past) {
    this.#log.setAttribute("aria-busy", "true");
    for (const message of past) this.add(message);
    this.#log.removeAttribute("aria-busy");
  }

  /** Mark one message, or all that have no answer yet, as not sent. */
  fail(reason, key) {
    for (const message of this.#messages) {
      if (message.state !== "pending" || (key && message.key !== key)) continue;
      message.state = "failed";
      this.#showDelivery(message, reason);
      announce(`Not sent: ${reason}`);
    }
  }

  toEnd() {
    this.#isAtEnd = true;
    this.#stay();
  }

  /** Who reads the newest message keeps reading the newest; who has scrolled up is left in peace. */
  #stay() {
    if (this.#isAtEnd) this.#log.scrollTop = this.#log.scrollHeight;
  }

  #scrolled() {
    this.#isAtEnd = this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < 60;
    if (this.#isAtEnd) $("jump").hidden = true;
  }

  #insert(message) {
    let index = this.#messages.length;
    while (index > 0 && isBefore(message, this.#messages[index - 1])) index--;
    message.item = this.#draw(message);
    this.#list.insertBefore(message.item, this.#messages[index]?.item ?? null);
    this.#messages.splice(index, 0, message);
    if (message.id) this.#byId.set(message.id, message);
    if (message.key) this.#byKey.set(message.key, message);
    if (this.#messages.length > SHOWN_MAX) this.#remove(this.#messages[0]);
    this.#update(index);
  }

  #remove(message) {
    const index = this.#messages.indexOf(message);
    this.#messages.splice(index, 1);
    this.#byId.delete(message.id);
    this.#byKey.delete(message.key);
    message.item.remove();
    message.state = "gone";
    this.#update(index);
  }

  #remember(id) {
    this.#own.add(id);
    tabMemory?.setItem("own", JSON.stringify([...this.#own].slice(-SHOWN_MAX)));
  }

  /** Headings depend on the neighbour above: set those of the item at `index` and of the one after. */
  #update(index = 0) {
    $("quiet").hidden = this.#messages.length > 0;
    for (const i of [index, index + 1]) {
      const [above, here] = [this.#messages[i - 1], this.#messages[i]];
      if (here) joinHeading(here, above);
    }
  }

  #draw(message) {
    const at = Number.isFinite(message.at) ? message.at : Date.now();
    const item = element("li", { className: message.mine ? "message mine" : "message" });
    item.dataset.state = message.state;
    if (message.id) item.dataset.id = message.id;
    if (message.key) item.dataset.key = message.key;
    const author = message.mine ? "You" : message.from;
    item.append(
      element("p", { className: "day", textContent: day(at) }),
      flag(message.from),
      element("p", { className: "heading" }, [
        element("bdi", { className: "author", textContent: author }),
        " ",
        element("time", { dateTime: new Date(at).toISOString(), textContent: clock(at), title: moment(at) }),
      ]),
      element("p", { className: "text", dir: "auto", textContent: message.text }),
    );
    if (message.state === "pending") {
      item.append(element("p", { className: "delivery", textContent: "Sending…" }));
    }
    return item;
  }

  #showDelivery(message, reason) {
    message.item.dataset.state = message.state;
    message.item.querySelector(".delivery")?.remove();
    const retry = element("button", { type: "button", className: "retry", textContent: "Retry" });
    const discard = element("button", { type: "button", className: "discard", textContent: "Discard" });
    retry.onclick = () => {
      this.#remove(message);
      this.#onRetry(message);
    };
    discard.onclick = () => {
      this.#remove(message);
      $("composer").focus();
    };
    const words = element("span", { textContent: `Not sent: ${reason}` });
    const choices = element("span", { className: "choices" }, [retry, discard]);
    message.item.append(element("p", { className: "delivery" }, [words, choices]));
    this.#stay();
  }
}

function joinHeading(here, above) {
  const at = (message) => (Number.isFinite(message.at) ? message.at : Date.now());
  const newDay = !above || day(at(above)) !== day(at(here));
  const sameAuthor = above?.from === here.from && above.mine === here.mine;
  here.item.classList.toggle("new-day", newDay);
  here.item.classList.toggle("follows", sameAuthor && !newDay && at(here) - at(above) < GROUP_MS);
}

// ---------------------------------------------------------------- People

/** Who is here: one entry per connection, one line per name. */
class People {
  #names = new Map();
  #you = null;

  reset() {
    this.#names.clear();
    this.#draw();
  }

  arrive(id, name, isYou = false) {
    this.#names.set(id, name);
    if (isYou) this.#you = name;
    this.#draw();
  }

  leave(id) {
    this.#names.delete(id);
    this.#draw();
  }

  #draw() {
    const counts = new Map();
    for (const name of this.#names.values()) counts.set(name, (counts.get(name) ?? 0) + 1);
    const names = [...counts.keys()].sort((a, b) => (b === this.#you) - (a === this.#you) || a.localeCompare(b));
    $("people").replaceChildren(...names.map((name) => this.#line(name, counts.get(name))));
    $("people-count").textContent = names.length;
  }

  #line(name, count) {
    const item = element("li", {}, [flag(name), element("bdi", { className: "author", textContent: name })]);
    item.dataset.name = name;
    item.dataset.count = count;
    if (name === this.#you) item.append(element("span", { className: "note", textContent: "you" }));
    if (count > 1) item.append(element("span", { className: "note", textContent: `${count} tabs` }));
    return item;
  }
}

// ---------------------------------------------------------------- The room

/** One visit to one room. */
class Visit {
  #connection;
  #messages = new MessageList((message) => this.#say(message.key, message.text));
  #people = new People();
  #countdown = 0;
  #wasLost = false;

  constructor(name, room) {
    this.name = name;
    this.room = room;
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const path = `/ws/chat/${encodeURIComponent(room)}?name=${encodeURIComponent(name)}`;
    this.#connection = new Connection(`${scheme}://${location.host}${path}`, {
      onState: (state, wait) => this.#showState(state, wait),
      onFrame: (frame) => this.#hear(frame),
    });
  }

  say(text) {
    this.#say(crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text);
  }

  hurry() {
    this.#connection.hurry();
  }

  toEnd() {
    this.#messages.toEnd();
  }

  end() {
    clearInterval(this.#countdown);
    this.#connection.close();
  }

  #say(key, text) {
    const message = this.#messages.addMine(key, this.name, text);
    if (!this.#connection.send({ type: "say", key, text })) {
      this.#messages.fail("there is no connection just now.", key);
      return;
    }
    setTimeout(() => {
      if (message.state === "pending") this.#messages.fail("the server did not answer.", key);
    }, ANSWER_LIMIT_MS);
  }

  #hear(frame) {
    switch (frame.type) {
      case "welcome":
        this.#people.reset();
        this.#people.arrive(frame.you, this.name, true);
        this.#messages.addPast(frame.past);
        return;
      case "chat.message":
        this.#messages.add(frame);
        countUnread();
        return;
      case "chat.joined":
      case "chat.here":
        return this.#people.arrive(frame.id, frame.name);
      case "chat.left":
        return this.#people.leave(frame.id);
      case "refused":
        return this.#messages.fail(sentence(frame.reason), frame.key);
    }
  }

  #showState(state, wait) {
    clearInterval(this.#countdown);
    const hadFocus = document.activeElement === $("reconnect");
    $("status").dataset.state = state;
    $("deck").classList.toggle("adrift", state !== "connected");
    $("reconnect").hidden = state !== "waiting";
    if (hadFocus && state !== "waiting") $("composer").focus();

    if (state === "connecting") $("status-text").textContent = "Connecting…";
    if (state === "connected") {
      $("status-text").textContent = "Connected";
      if (this.#wasLost) announce("Connected again.");
      this.#wasLost = false;
    }
    if (state === "waiting") {
      this.#countDown(Date.now() + wait);
      if (!this.#wasLost) announce("The connection is lost. Reconnecting.");
      this.#wasLost = true;
      this.#messages.fail("the connection was lost.");
    }
  }

  #countDown(until) {
    const show = () => {
      const seconds = Math.max(1, Math.ceil((until - Date.now()) / 1000));
      $("status-text").textContent = `Reconnecting in ${seconds} s…`;
    };
    show();
    this.#countdown = setInterval(show, 500);
  }
}

// ---------------------------------------------------------------- The page

let visit = null;
let unread = 0;

function enter(name, room) {
  browserMemory?.setItem("name", name);
  tabMemory?.setItem("joined", JSON.stringify({ name, room }));
  history.replaceState(null, "", `/?room=${encodeURIComponent(room)}`);
  $("room-name").textContent = room;
  $("pier").hidden = true;
  $("deck").hidden = false;
  visit = new Visit(name, room);
  showTitle();
  $("composer").focus();
}

function leave() {
  visit.end();
  visit = null;
  tabMemory?.removeItem("joined");
  showPanel(false);
  $("deck").hidden = true;
  $("pier").hidden = false;
  showTitle();
  $("room").focus();
}

function showProblem(input, problem) {
  $(`${input.id}-problem`).textContent = problem;
  input.setAttribute("aria-invalid", problem === "" ? "false" : "true");
  return problem !== "";
}

function submitJoin(event) {
  event.preventDefault();
  const [name, room] = [$("name").value.trim(), $("room").value.trim()];
  const badName = showProblem($("name"), nameProblem(name));
  const badRoom = showProblem($("room"), roomProblem(room));
  if (badName || badRoom) return (badName ? $("name") : $("room")).focus();
  enter(name, room);
}

function submitMessage(event) {
  event?.preventDefault();
  const composer = $("composer");
  const text = composer.value.trim();
  composer.focus();
  if (text === "" || [...text].length > TEXT_MAX) return;
  composer.value = "";
  measure();
  visit.say(text);
}

/** Grow the composer with its text, and say how much room is left. */
function measure() {
  const composer = $("composer");
  composer.style.height = "auto";
  composer.style.height = `${composer.scrollHeight + 2}px`;
  const length = [...composer.value.trim()].length;
  const isTooLong = length > TEXT_MAX;
  const wasTooLong = composer.getAttribute("aria-invalid") === "true";
  if (isTooLong && !wasTooLong) announce("The message is too long to send.");
  const count = `${length} of ${TEXT_MAX} characters${isTooLong ? ": too long to send" : ""}`;
  $("composer-problem").textContent = length > TEXT_WARN ? count : "";
  composer.setAttribute("aria-invalid", String(isTooLong));
}

function showPanel(open) {
  $("deck").classList.toggle("panel-open", open);
  $("people-toggle").setAttribute("aria-expanded", String(open));
}

async function copyLink() {
  const link = new URL(`/?room=${encodeURIComponent(visit.room)}`, location.href).href;
  try {
    await navigator.clipboard.writeText(link);
    $("copy-link").textContent = "Copied";
    announce("The link is copied.");
  } catch {
    $("copy-link").textContent = "Copy it from the address bar";
  }
  setTimeout(() => ($("copy-link").textContent = "Copy the room’s link"), 3000);
}

function countUnread() {
  unread = document.hidden ? unread + 1 : 0;
  showTitle();
}

function showTitle() {
  const count = unread > 0 ? `(${unread}) ` : "";
  document.title = visit ? `${count}${visit.room} · Seaway chat` : "Seaway chat";
}

function announce(words) {
  $("announcement").textContent = words;
}

function sentence(words) {
  return /[.!?…]$/.test(words) ? words : `${words}.`;
}

/** An element with properties and children; text only ever enters as text. */
function element(tag, properties = {}, children = []) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function flag(name) {
  const made = element("span", { className: flagOf(name) });
  made.setAttribute("aria-hidden", "true");
  return made;
}

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const momentFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const clock = (at) => clockFormat.format(at);
const moment = (at) => momentFormat.format(at);

function day(at) {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  return isToday ? "Today" : dayFormat.format(at);
}

function start() {
  $("join-form").onsubmit = submitJoin;
  $("composer-form").onsubmit = submitMessage;
  $("composer").oninput = measure;
  $("composer").onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submitMessage(event);
  };
  $("leave").onclick = leave;
  $("reconnect").onclick = () => visit.hurry();
  $("jump").onclick = () => visit.toEnd();
  $("copy-link").onclick = copyLink;
  $("people-toggle").onclick = () => {
    showPanel(true);
    $("panel-title").focus();
  };
  $("panel-close").onclick = () => {
    showPanel(false);
    $("people-toggle").focus();
  };
  $("panel").onkeydown = (event) => {
    if (event.key === "Escape") $("panel-close").click();
  };
  addEventListener("online", () => visit?.hurry());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) return;
    unread = 0;
    showTitle();
    visit?.hurry();
  });

  const asked = new URLSearchParams(location.search).get("room") ?? "lobby";
  const joined = JSON.parse(tabMemory?.getItem("joined") ?? "null");
  $("name").value = browserMemory?.getItem("name") ?? "";
  $("room").value = asked;
  if (joined?.room === asked) return enter(joined.name, joined.room);
  $($("name").value === "" ? "name" : "room").focus();
}

start();
