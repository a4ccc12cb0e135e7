// The unread counts of the rooms, from the server's list and from the events after it.

// A badge shows "99+" long before this; the ids of older ones are not kept.
const HEARD_MAX = 1_000;

export class UnreadCounts {
  // Per room: the unread count up to the message `upTo`, the ids of those after it, and the newest
  // id.
  #rooms = new Map();

  /** Takes a count from the server's list; false if a newer event was received already. */
  take(slug, unread, lastId) {
    if (lastId < (this.#rooms.get(slug)?.lastId ?? 0)) return false;
    this.#rooms.set(slug, { unread, upTo: lastId, heard: [], lastId });
    return true;
  }

  /** Takes a new message; false if it is known already. */
  active({ room: slug, id, user }, you) {
    const room = this.#rooms.get(slug) ?? { unread: 0, upTo: 0, heard: [], lastId: 0 };
    if (id <= room.lastId) return false;
    this.#rooms.set(slug, room);
    room.lastId = id;
    if (user !== you) room.heard.push(id);
    if (room.heard.length > HEARD_MAX) {
      room.unread++;
      room.upTo = room.heard.shift();
    }
    return true;
  }

  /** Marks all up to this message as read. A newer one may have been received before this. */
  seen({ room: slug, id }) {
    const room = this.#rooms.get(slug);
    if (!room) return;
    if (id >= room.upTo) room.unread = 0;
    room.heard = room.heard.filter((heard) => heard > id);
  }

  of(slug) {
    const room = this.#rooms.get(slug);
    return room ? room.unread + room.heard.length : 0;
  }

  /** Returns the unread count of all rooms but this one. */
  total(except) {
    let total = 0;
    for (const slug of this.#rooms.keys()) if (slug !== except) total += this.of(slug);
    return total;
  }
}
