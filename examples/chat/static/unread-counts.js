// How much is unread in each room, counted from the server's list and from what is said after it.

export class UnreadCounts {
  #rooms = new Map();

  /** What the server's list says; false if it is older than what was heard since. */
  take(slug, unread, lastId) {
    if (lastId < (this.#rooms.get(slug)?.lastId ?? 0)) return false;
    this.#rooms.set(slug, { unread, lastId });
    return true;
  }

  /** Something was said; false if that is known already. */
  active({ room: slug, id, user }, you) {
    const { unread, lastId } = this.#rooms.get(slug) ?? { unread: 0, lastId: 0 };
    if (id <= lastId) return false;
    this.#rooms.set(slug, { unread: user === you ? unread : unread + 1, lastId: id });
    return true;
  }

  seen(slug) {
    const room = this.#rooms.get(slug);
    if (room) room.unread = 0;
  }

  of(slug) {
    return this.#rooms.get(slug)?.unread ?? 0;
  }

  /** In all rooms but this one. */
  total(except) {
    let total = 0;
    for (const [slug, { unread }] of this.#rooms) if (slug !== except) total += unread;
    return total;
  }
}
