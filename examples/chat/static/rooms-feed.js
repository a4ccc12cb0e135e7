// The events of all rooms: the WebSocket of the list, and the current list of the server.

import { goToLogin, isRedirect } from "./session.js";
import { openSocket } from "./socket.js";

// All pages are notified of a new list at the same time, and must not fetch it at the same time.
const SPREAD_MS = 1_000;

/** Subscribes to all rooms; `onList` gets the list's items again after each connect. */
export function startFeed({ onState, onFrame, onList }) {
  const refresh = () => fetchList().then(onList, () => {});
  let timer = 0;
  const refreshSoon = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      refresh();
    }, Math.random() * SPREAD_MS);
  };
  const socket = openSocket("/ws/rooms", (state) => {
    onState(state);
    // Missed events are not sent again: a page from the back/forward cache may be minutes old.
    if (state.name === "open") refresh();
  });
  socket.on("rooms.changed", refreshSoon);
  for (const type of ["rooms.active", "rooms.seen"]) socket.on(type, onFrame);
  return socket;
}

async function fetchList() {
  const response = await fetch("/", { redirect: "manual" });
  if (isRedirect(response)) goToLogin();
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return [...page.querySelectorAll("#rooms > li")];
}

/** Returns the values of an item of the list. */
export function countsOf({ dataset: { slug, unread, lastId } }) {
  return [slug, Number(unread), Number(lastId)];
}
