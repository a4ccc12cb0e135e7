// The page: all lots by server-sent events, and for those who are logged in a WebSocket, by which
// they watch one lot and bid. The client of Seaway connects it again, and resumes the lot.

import { connect } from "/seaway.js";

const LOGGED_OUT = 4401;
const BIDS_SHOWN = 5;
const REFUSALS = {
  ended: () => "This lot has ended.",
  no_such_lot: () => "There is no such lot.",
  too_low: ({ cents }) => `The highest bid is ${money(cents)}.`,
  too_high: () => `A bid is at most ${money(1e12)}.`,
};

const $ = (selector, root = document) => root.querySelector(selector);
const money = (cents) => (cents / 100).toFixed(2);
const tell = (text) => ($("#state").textContent = text);
/** How long to wait before another attempt: not all pages at once. */
const pause = () => 1000 + 4000 * Math.random();

/** The lots, by id: what is known of each, and the element that shows it. */
const lots = new Map();
/** The topics of the lots that were watched, each with its handlers. */
const topics = new Set();
let me = null;
let watched = null;
let socket = null;
/** The name of the socket's last state. */
let lastState = null;

/** Shows a lot as an event or a reply describes it. */
function show(lot) {
  const item = lots.get(lot.id) ?? add(lot.id);
  const before = item.lot;
  // Events of two bids may arrive in either order: bids only rise, and a lot ends once.
  if (before?.is_ended || before?.cents > lot.cents) return;
  item.lot = lot;
  draw(item);
  if (me && before?.bidder === me.name && lot.bidder !== me.name) tell(`${lot.bidder} has outbid you.`);
}

function add(id) {
  const element = $("#lot").content.firstElementChild.cloneNode(true);
  const item = { element };
  lots.set(id, item);
  $(".watch", element).onclick = () => watch(id);
  $(".remove", element).onclick = () => post("/remove", item.lot.bidder);
  $(".bid", element).onsubmit = (event) => {
    event.preventDefault();
    bid(id, event.target);
  };
  // The newest first, whenever the page hears of it.
  element.dataset.id = id;
  const older = [...$("#lots").children].find((other) => other.dataset.id < id);
  $("#lots").insertBefore(element, older ?? null);
  return item;
}

function draw({ element, lot }) {
  const left = Math.max(0, lot.ends_at - Math.floor(Date.now() / 1000));
  const isWatched = watched === lot.id;
  $(".title", element).textContent = lot.title;
  $(".price", element).textContent = lot.bidder ? `${money(lot.cents)} by ${lot.bidder}` : "no bid";
  $(".time", element).textContent = lot.is_ended ? "ended" : `${left} s left`;
  $(".watch", element).hidden = !me || lot.is_ended || isWatched;
  $(".bid", element).hidden = !isWatched || lot.is_ended;
  $(".bid input", element).min = money(lot.cents + 1);
  $(".remove", element).hidden = !me?.is_auctioneer || !lot.bidder || lot.bidder === me.name;
  $(".remove", element).textContent = `Remove ${lot.bidder}`;
  element.classList.toggle("is-watched", isWatched);
  element.classList.toggle("is-ended", lot.is_ended);
}

const drawAll = () => lots.forEach(draw);

async function watch(id) {
  const topic = `lot.${id}`;
  follow(topic, id);
  const since = socket.topic(topic).position;
  const [lot, watchers] = (await ask("watch", { lot: id, since })) ?? [];
  if (!lot) return;
  watched = id;
  show(lot);
  drawAll();
  tell(`You watch ${lot.title}${watchers > 1 ? `, with ${watchers - 1} more` : ""}.`);
}

async function bid(id, form) {
  const cents = Math.round($("input", form).value * 100);
  const lot = await ask("bid", { lot: id, cents });
  if (!lot) return;
  form.reset();
  show(lot);
  tell(`Your bid of ${money(cents)} is the highest.`);
}

/** Lists the bids on a lot as they arrive, also those that were missed while the page was offline. */
function follow(name, id) {
  if (topics.has(name)) return;
  topics.add(name);
  const bids = $(".bids", lots.get(id).element);
  const list = (text) => {
    bids.prepend(Object.assign(document.createElement("li"), { textContent: text }));
    [...bids.children].slice(BIDS_SHOWN).forEach((old) => old.remove());
  };
  socket.topic(name).on(({ cents, bidder }) => list(`${money(cents)} by ${bidder}`));
  socket.topic(name).onRecovered(({ recovered }) => {
    if (recovered) return;
    list("some bids are not known");
    // The price may be another one.
    if (watched === id) watch(id);
  });
}

/** Sends a request, and returns its result; without one, tells why. */
async function ask(type, fields) {
  try {
    return await socket.request(type, fields);
  } catch (thrown) {
    if (!thrown.failure) throw thrown;
    const { kind, error, fault, sent } = thrown.failure;
    const [refusal, value] = typeof error === "string" ? [error] : Object.entries(error ?? {})[0] ?? [];
    const isUnknown = kind === "lost" || fault === "failed" || sent;
    const failed = isUnknown ? "It is not known whether that was done." : "That did not work; try again.";
    // After a logout, `enter` has shown the reason already.
    if (me) tell(REFUSALS[refusal]?.(value) ?? failed);
  }
}

/** Posts a form or a text. */
async function post(url, sent) {
  const body = sent instanceof HTMLFormElement ? new URLSearchParams(new FormData(sent)) : sent;
  const answer = await fetch(url, { method: "POST", body }).catch(() => null);
  if (!answer?.ok) tell(answer?.status === 401 ? "This is not the password." : "That did not work; try again.");
  return answer?.ok;
}

/** Shows the forms of whoever is logged in, and connects. */
async function enter() {
  const answer = await fetch("/me").catch(() => null);
  const isClosed = !socket || socket.state.name === "closed";
  if (!answer?.ok) {
    // A socket that is not closed leads here again.
    if (!isClosed) return;
    tell("The server does not answer, trying again…");
    return setTimeout(enter, pause());
  }
  me = await answer.json();
  if (!me) watched = null;
  $("#me").textContent = me?.name ?? "";
  for (const id of ["#me", "#logout"]) $(id).hidden = !me;
  $("#login").hidden = !!me;
  $("#open").hidden = !me?.is_auctioneer;
  drawAll();
  if (!me) {
    if (socket) tell("You are logged out.");
    return socket?.close();
  }
  if (socket) return isClosed && socket.open();
  socket = connect("/", { fallback: false });
  socket.on("*", show);
  socket.onState(follows);
}

function follows({ name, close }) {
  if (name === "open") {
    if (watched) watch(watched);
    else tell("Watch a lot to bid.");
  } else if (close?.code === LOGGED_OUT) {
    enter();
  } else if (name === "waiting") {
    tell("The connection is lost, trying again…");
    // A browser does not tell a page that a handshake was refused with 401.
    if (lastState === "connecting") enter();
  }
  lastState = name;
}

/** Shows the lots, and what changes. */
function listen() {
  const feed = new EventSource("/feed");
  feed.onmessage = ({ data }) => show(JSON.parse(data));
  // The browser reconnects after a loss, but not after a status other than 200.
  feed.onerror = () => feed.readyState === EventSource.CLOSED && setTimeout(listen, pause());
}

for (const id of ["#login", "#logout", "#open"]) {
  $(id).onsubmit = async (event) => {
    event.preventDefault();
    if (!(await post(event.target.action, event.target))) return;
    event.target.reset();
    if (id !== "#open") enter();
  };
}

listen();
setInterval(drawAll, 1000);
enter();
