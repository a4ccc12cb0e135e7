// How much is unread in each room, counted from the server's list and from what is said after it.

// A badge shows "99+" long before; the ids of older ones are not kept.
const HEARD_MAX = 1_000;

export class UnreadCounts {
  // Of each room: how many were unread up to the message `upTo`, the ids of those after it, and the newest id of all.
  #rooms = new Map();

  /** What the server's list says; false if it is older than what was heard since. */
  take(slug, unread, lastId) {
    if (lastId < (this.#rooms.get(slug)?.lastId ?? 0)) return false;
    this.#rooms.set(slug, { unread, upTo: lastId, heard: [], lastId });
    return true;
  }

  /** Something was said; false if that is known already. */
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

  /** Nothing is unread up to this message. One that is newer may have been heard before this. */
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

  /** In all rooms but this one. */
  total(except) {
    let total = 0;
    for (const slug of this.#rooms.keys()) if (slug !== except) total += this.of(slug);
    return total;
  }
}
