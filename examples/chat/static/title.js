// The title of the page: where one is, and how many messages nobody has looked at.

const place = document.title;
let unread = 0;

/** A message came; it counts if nobody looks. */
export function countUnread() {
  if (document.hidden) showUnread(unread + 1);
}

export function showUnread(count) {
  unread = count;
  document.title = count > 0 ? `(${count}) ${place}` : place;
}
