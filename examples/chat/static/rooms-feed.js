// What happens in all rooms: the socket of the list, and the list itself as the server has it now.

import { Connection } from "./connection.js";
import { goToLogin, isRedirect } from "./session.js";

/** Hear of every room; `onList` gets the list's items anew after each connection. */
export function startFeed({ onState, onFrame, onList }) {
  return new Connection({
    path: () => "/ws/rooms",
    readyOn: "open",
    onFrame,
    onState: (state, wait) => {
      onState(state, wait);
      // Nobody tells what was missed before: this page may be minutes old when it comes out of a browser's history.
      if (state === "connected") fetchList().then(onList, () => {});
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
