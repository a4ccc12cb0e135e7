// The room's messages as values: each once, in the order of their ids; those without an id yet stand last.

// More than a person rereads without asking the server; older ones are forgotten, and fetched again if wanted.
const KEPT_MAX = 2000;

export class Messages {
  #all = [];
  #byId = new Map();
  #byKey = new Map();
  /** The greatest id that the room itself told about: what comes after it is what a reconnecting page lacks. */
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

  /** The oldest id there is here. */
  get oldest() {
    return this.#all[0]?.id ?? null;
  }

  withId(id) {
    return this.#byId.get(id);
  }

  /** A message of this page, by the key that it chose. */
  withKey(key) {
    return this.#byKey.get(key);
  }

  /** Those that are not, or not surely, delivered. */
  unsettled() {
    return [...this.#byKey.values()].filter(({ state }) => state !== "sent");
  }

  /** Put a message in its place, and tell which that is. */
  add(message) {
    let index = this.#all.length;
    while (index > 0 && order(message) < order(this.#all[index - 1])) index--;
    this.#all.splice(index, 0, message);
    if (message.id !== null) this.#byId.set(message.id, message);
    if (message.mine) this.#byKey.set(message.key, message);
    return index;
  }

  /** Take a message out, and tell where it was. */
  remove(message) {
    const index = this.indexOf(message);
    this.#all.splice(index, 1);
    this.#forget(message);
    return index;
  }

  /** Note what became of a message, and tell where it was and where it is now. */
  change(message, changes) {
    const before = this.remove(message);
    Object.assign(message, changes);
    return [before, this.add(message)];
  }

  /** Put older messages before all others. */
  addOlder(messages) {
    for (const message of messages) this.#byId.set(message.id, message);
    this.#all.unshift(...messages);
  }

  /** Forget the oldest beyond what is kept, and tell how many those were. */
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
