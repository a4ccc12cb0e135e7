// The room's messages as values: each once, ordered by id; those without an id yet are last.

// More than a person rereads without asking the server; older ones are dropped, and fetched again
// on demand.
const KEPT_MAX = 2000;

export class Messages {
  #all = [];
  #byId = new Map();
  #byKey = new Map();
  /** The greatest id that the room itself sent: a reconnecting page lacks the messages after it. */
  newest = null;

  get length() {
    return this.#all.length;
  }

  at(index) {
    return this.#all[index];
  }

  indexOf(message) {
    return this.#all.lastIndexOf(message);
  }

  /** Returns the oldest id here. */
  get oldest() {
    return this.#all[0]?.id ?? null;
  }

  withId(id) {
    return this.#byId.get(id);
  }

  /** Returns a message of this page by its key. */
  withKey(key) {
    return this.#byKey.get(key);
  }

  /** Returns those that are not, or not surely, delivered. */
  unsettled() {
    return [...this.#byKey.values()].filter(({ state }) => state !== "sent");
  }

  /** Inserts a message in its place, and returns the index. */
  add(message) {
    let index = this.#all.length;
    while (index > 0 && order(message) < order(this.#all[index - 1])) index--;
    this.#all.splice(index, 0, message);
    if (message.id !== null) this.#byId.set(message.id, message);
    if (message.mine) this.#byKey.set(message.key, message);
    return index;
  }

  /** Removes a message, and returns its index. */
  remove(message) {
    const index = this.indexOf(message);
    this.#all.splice(index, 1);
    this.#forget(message);
    return index;
  }

  /** Changes the state of a message, and returns its indexes before and after. */
  change(message, changes) {
    const before = this.remove(message);
    Object.assign(message, changes);
    return [before, this.add(message)];
  }

  /** Prepends older messages. */
  addOlder(messages) {
    for (const message of messages) this.#byId.set(message.id, message);
    this.#all.unshift(...messages);
  }

  /** Drops the oldest beyond the limit, and returns their number. */
  trim() {
    const surplus = this.#all.splice(0, Math.max(0, this.#all.length - KEPT_MAX));
    for (const message of surplus) this.#forget(message);
    return surplus.length;
  }

  clear() {
    this.#all = [];
    this.#byId.clear();
    this.#byKey.clear();
  }

  #forget(message) {
    this.#byId.delete(message.id);
    this.#byKey.delete(message.key);
  }
}

function order({ id }) {
  return id ?? Infinity;
}
