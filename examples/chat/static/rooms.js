// The page of all rooms: a live list, and a form to create a room.

import { checkForm, nameProblem } from "./form.js";
import { $ } from "./page.js";
import { finishItem, itemOf, replaceItems, showLast, showUnreadIn } from "./room-list.js";
import { countsOf, startFeed } from "./rooms-feed.js";
import { showStatus, startStatus } from "./status.js";
import { showUnread } from "./title.js";
import { UnreadCounts } from "./unread-counts.js";

const ROOM_NAME_MAX = 40;

const you = Number($("quay").dataset.userId);
const counts = new UnreadCounts();

/** Takes the server's items; events that were received during the fetch are newer, and win. */
function take(items) {
  const taken = items.map((item) => {
    const isNews = counts.take(...countsOf(item));
    finishItem(item);
    return isNews ? item : (itemOf(item.dataset.slug) ?? item);
  });
  showUnread(counts.total());
  return taken;
}

function hear(frame) {
  if (frame.type === "rooms.active" && counts.active(frame, you)) showActive(frame);
  if (frame.type === "rooms.seen") {
    counts.seen(frame);
    const item = itemOf(frame.room);
    if (item) showUnreadIn(item, counts.of(frame.room));
  }
  showUnread(counts.total());
}

function showActive(frame) {
  const item = itemOf(frame.room);
  if (!item) return;
  showLast(item, frame);
  showUnreadIn(item, counts.of(frame.room));
}

take([...$("rooms").children]);
checkForm($("create-form"), [[$("room-name"), (name) => nameProblem(name, ROOM_NAME_MAX, "Please name the room.")]]);
const feed = startFeed({
  onState: showStatus,
  onFrame: hear,
  onList: (items) => replaceItems(take(items)),
});
startStatus(() => feed.open());
