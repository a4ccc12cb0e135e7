/**
 * Calls `wake` when a page may have lost its connection, or may have one again: the network came
 * back or went away, the page became visible, was resumed after a freeze, or came out of the
 * back/forward cache. Returns a function that ends this.
 */
export function onWake(wake: () => void): () => void {
  const listeners: [EventTarget | undefined, string][] = [
    [globalThis.window, "online"],
    [globalThis.window, "offline"],
    [globalThis.window, "pageshow"],
    [globalThis.document, "visibilitychange"],
    [globalThis.document, "resume"],
  ];
  const listener = ({ type }: Event) => {
    // A page that becomes hidden goes on; one that is resumed may still be hidden.
    if (type !== "visibilitychange" || document.visibilityState !== "hidden") wake();
  };
  for (const [target, event] of listeners) target?.addEventListener(event, listener);
  return () => {
    for (const [target, event] of listeners) target?.removeEventListener(event, listener);
  };
}
