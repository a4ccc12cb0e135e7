// How one message looks: a list item with its flag, heading, text and, if need be, its fate.

import { flag } from "/flags.js";
import { element } from "/page.js";

// Messages of one author this close together stand under one heading.
const GROUP_MS = 5 * 60_000;

const clockFormat = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const dayFormat = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const momentFormat = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** The list item of a message. */
export function draw(message) {
  const at = timeOf(message);
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

/** Say why a message did not go out, and let its author choose. */
export function showFailure(message, reason, { retry, discard }) {
  message.item.dataset.state = message.state;
  message.item.querySelector(".delivery")?.remove();
  const words = element("span", { textContent: `Not sent: ${reason}` });
  const choices = element("span", { className: "choices" }, [
    element("button", { type: "button", className: "retry", textContent: "Retry", onclick: retry }),
    element("button", { type: "button", className: "discard", textContent: "Discard", onclick: discard }),
  ]);
  message.item.append(element("p", { className: "delivery" }, [words, choices]));
}

/** The day, and the author, are said once for all messages that follow each other. */
export function joinHeading(here, above) {
  const newDay = !above || day(timeOf(above)) !== day(timeOf(here));
  const sameAuthor = above?.from === here.from && above.mine === here.mine;
  here.item.classList.toggle("new-day", newDay);
  here.item.classList.toggle("follows", sameAuthor && !newDay && timeOf(here) - timeOf(above) < GROUP_MS);
}

/** A message that is still on its way has no time yet. */
function timeOf(message) {
  return Number.isFinite(message.at) ? message.at : Date.now();
}

const clock = (at) => clockFormat.format(at);
const moment = (at) => momentFormat.format(at);

function day(at) {
  const isToday = new Date(at).toDateString() === new Date().toDateString();
  return isToday ? "Today" : dayFormat.format(at);
}
