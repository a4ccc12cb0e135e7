// The list of rooms: one line each, brought up to date in its place.

import { flagOf } from "./flags.js";
import { $, element } from "./page.js";
import { showTime, shortMoment } from "./times.js";

/** Finish what the server has drawn: it knows neither the flags nor the reader's time zone. */
export function finishItem(item) {
  item.querySelector(".flag").className = flagOf(item.querySelector(".room-name").textContent);
  showUnreadIn(item, Number(item.dataset.unread));
  const { at } = item.querySelector(".last-at").dataset;
  if (at) showAt(item, Number(at));
}

/** Put these items in the place of those shown; keep the focus, and rooms that are newer than the list. */
export function replaceItems(items) {
  const focused = document.activeElement?.closest("#rooms > li")?.dataset.slug;
  const slugs = new Set(items.map((item) => item.dataset.slug));
  const newer = [...$("rooms").children].filter((item) => !slugs.has(item.dataset.slug));
  $("rooms").replaceChildren(...newer, ...items);
  $("no-rooms").hidden = $("rooms").childElementCount > 0;
  if (focused) itemOf(focused)?.querySelector("a").focus();
}

export function itemOf(slug) {
  return $("rooms").querySelector(`:scope > [data-slug="${CSS.escape(slug)}"]`);
}

/** A room that somebody has just created stands on top. */
export function addRoom(slug, name) {
  if (itemOf(slug)) return;
  const label = element("span", { className: "unread", hidden: true }, [
    element("span", { className: "unread-count" }),
    element("span", { className: "visually-hidden", textContent: " unread" }),
  ]);
  const badge = element("span", { className: "flag" });
  badge.setAttribute("aria-hidden", "true");
  const link = element("a", { href: `/rooms/${encodeURIComponent(slug)}` }, [
    badge,
    element("bdi", { className: "room-name", textContent: name }),
    label,
    element("span", { className: "last-text", dir: "auto" }),
    element("time", { className: "last-at" }),
  ]);
  const item = element("li", {}, [link]);
  Object.assign(item.dataset, { slug, lastId: "", unread: "0" });
  finishItem(item);
  $("rooms").prepend(item);
  $("no-rooms").hidden = true;
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
