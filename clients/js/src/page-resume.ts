/**
 * Calls `resume` when a page may have lost its connection, or may have one again: the network came
 * back or went away, the page became visible, was resumed after a freeze, or came out of the
 * back/forward cache; the last two with `wasFrozen`. Returns a function that ends this.
 */
export function onPageResume(resume: (wasFrozen: boolean) => void): () => void {
  const listener = ({ type, persisted }: Event & { persisted?: boolean }) => {
    // A page that becomes hidden goes on; one that is resumed may still be hidden.
    if (type !== "visibilitychange" || document.visibilityState !== "hidden") {
      resume(persisted || type === "resume");
    }
  };
  const ending = new AbortController();
  const listen = (target: EventTarget | undefined, ...events: string[]) =>
    events.forEach((event) => target?.addEventListener(event, listener, ending));
  listen(globalThis.window, "online", "offline", "pageshow");
  listen(globalThis.document, "visibilitychange", "resume");
  return () => ending.abort();
}
