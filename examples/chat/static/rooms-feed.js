// What happens in all rooms: the socket of the list, and the list itself as the server has it now.

import { Connection } from "./connection.js";
import { goToLogin, isRedirect } from "./session.js";

// Everyone hears at once that there is a new list, and a crowd should not ask for it at once.
const SPREAD_MS = 1_000;

/** Hear of every room; `onList` gets the list's items anew after each connection. */
export function startFeed({ onState, onFrame, onList }) {
  const refresh = () => fetchList().then(onList, () => {});
  let timer = 0;
  const refreshSoon = () => {
    timer ||= setTimeout(() => {
      timer = 0;
      refresh();
    }, Math.random() * SPREAD_MS);
  };
  return new Connection({
    path: () => "/ws/rooms",
    readyOn: "open",
    onFrame: (frame) => (frame.type === "rooms.changed" ? refreshSoon() : onFrame(frame)),
    onState: (state, wait) => {
      onState(state, wait);
      // Nobody tells what was missed before: this page may be minutes old when it comes out of a browser's history.
      if (state === "connected") refresh();
    },
  });
}

async function fetchList() {
  const response = await fetch("/", { redirect: "manual" });
  if (isRedirect(response)) goToLogin();
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  return [...page.querySelectorAll("#rooms > li")];
}

/** What an item of the list says. */
export function countsOf({ dataset: { slug, unread, lastId } }) {
  return [slug, Number(unread), Number(lastId)];
}
