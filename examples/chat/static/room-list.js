// The list of rooms: one item each, updated in place.

import { flagOf } from "./flags.js";
import { $ } from "./page.js";
import { showTime, shortMoment } from "./times.js";

/** Completes an item of the server, which has neither the flags nor the reader's time zone. */
export function finishItem(item) {
  item.querySelector(".flag").className = flagOf(item.querySelector(".room-name").textContent);
  showUnreadIn(item, Number(item.dataset.unread));
  const { at } = item.querySelector(".last-at").dataset;
  if (at) showAt(item, Number(at));
}

/** Replaces the shown items by these; keeps the focus. */
export function replaceItems(items) {
  const focused = document.activeElement?.closest("#rooms > li")?.dataset.slug;
  $("rooms").replaceChildren(...items);
  $("no-rooms").hidden = items.length > 0;
  if (focused) itemOf(focused)?.querySelector("a").focus();
}

export function itemOf(slug) {
  return $("rooms").querySelector(`:scope > [data-slug="${CSS.escape(slug)}"]`);
}

export function showLast(item, { id, text, at }) {
  item.dataset.lastId = id;
  item.querySelector(".last-text").textContent = text;
  showAt(item, at);
}

export function showUnreadIn(item, count) {
  item.dataset.unread = count;
  item.querySelector(".unread").hidden = count === 0;
  item.querySelector(".unread-count").textContent = count > 99 ? "99+" : count;
}

function showAt(item, at) {
  const time = item.querySelector(".last-at");
  time.dataset.at = at;
  showTime(time, at, shortMoment(at));
}
