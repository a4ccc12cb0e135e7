// The title of the page: the room, and how many messages came while nobody looked.

let room = null;
let unread = 0;

/** Name the room; `null` outside of any. */
export function showRoom(name) {
  room = name;
  showTitle();
}

export function countUnread() {
  unread = document.hidden ? unread + 1 : 0;
  showTitle();
}

export function clearUnread() {
  unread = 0;
  showTitle();
}

function showTitle() {
  const count = unread > 0 ? `(${unread}) ` : "";
  document.title = room === null ? "Seaway chat" : `${count}${room} · Seaway chat`;
}
