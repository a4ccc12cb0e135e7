// The title of the page: the current place, and the number of messages that arrived while hidden.

const place = document.title;
let unread = 0;

/** Counts a new message if the page is hidden. */
export function countUnread() {
  if (document.hidden) showUnread(unread + 1);
}

export function showUnread(count) {
  unread = count;
  document.title = count > 0 ? `(${count}) ${place}` : place;
}
