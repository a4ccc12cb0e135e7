// The list item of a message, with its flag, heading, text and, if needed, delivery state.

import { flag } from "./flags.js";
import { textNodes } from "./message-text.js";
import { element } from "./page.js";
import { clock, day, isSameDay, showTime } from "./times.js";

// Messages of one author this close together share a heading, for at most a quarter of an hour.
const GROUP_MS = 5 * 60_000;
const QUARTER_MS = 15 * 60_000;

/** Creates the list item of a message. */
export function draw(message, actions) {
  const item = element("li", { className: message.mine ? "message mine" : "message" }, [
    element("p", { className: "heading" }, [
      element("bdi", { className: "author", textContent: message.mine ? "You" : message.from }),
      " ",
      element("time"),
    ]),
    element("p", { className: "text", dir: "auto" }, textNodes(message.text)),
  ]);
  redraw(item, message, actions);
  return item;
}

/** Updates an item with the state of its message. */
export function redraw(item, message, actions) {
  item.dataset.state = message.state;
  if (message.id !== null) item.dataset.id = message.id;
  if (message.mine) item.dataset.key = message.key;
  showTime(item.querySelector("time"), message.at, clock(message.at));
  item.querySelector(".delivery")?.remove();
  const fate = FATES[message.state]?.(message);
  if (fate) item.append(delivery(fate, message, actions));
}

/** Shows the day, the author and the flag once for all messages that follow each other. */
export function joinHeading(item, here, above) {
  const isNewDay = !above || !isSameDay(above.at, here.at);
  const isSameAuthor = above?.user === here.user;
  const isSoonAfter = here.at - above?.at < GROUP_MS && quarter(here) === quarter(above);
  const follows = isSameAuthor && !isNewDay && isSoonAfter;
  item.classList.toggle("new-day", isNewDay);
  item.classList.toggle("follows", follows);
  toggle(item, ".day", isNewDay, () => element("h2", { className: "day" }));
  if (isNewDay) nameDay(item);
  toggle(item, ".flag", !follows && !here.mine, () => flag(here.from));
}

/** Updates the day of an item: "Today" may be "Yesterday" now. */
export function nameDay(item) {
  const words = day(Date.parse(item.querySelector("time").dateTime));
  const label = item.querySelector(".day");
  if (label.textContent !== words) label.textContent = words;
}

// The text below a message of one's own until it is delivered.
const FATES = {
  pending: () => ({ words: "Sending…" }),
  stored: () => ({ words: "Stored. The others see it as soon as the server reaches them again." }),
  waiting: () => ({ words: "Not sent yet: it waits for the connection.", choices: ["discard"] }),
  refused: ({ reason }) => ({ words: `Refused: ${reason}.`, choices: ["retry", "discard"] }),
  failed: () => ({ words: "Not sent: the server did not answer.", choices: ["retry", "discard"] }),
};

const CHOICES = { retry: "Retry", discard: "Discard" };

function delivery({ words, choices = [] }, message, actions) {
  const buttons = choices.map((choice) =>
    element("button", {
      type: "button",
      className: choice,
      textContent: CHOICES[choice],
      onclick: () => actions[choice](message),
    }),
  );
  return element("p", { className: "delivery" }, [
    element("span", { textContent: words }),
    element("span", { className: "choices" }, buttons),
  ]);
}

function quarter({ at }) {
  return Math.floor(at / QUARTER_MS);
}

function toggle(item, selector, isWanted, make) {
  const present = item.querySelector(selector);
  if (isWanted && !present) item.prepend(make());
  if (!isWanted) present?.remove();
}
