// The links in messages of examples/chat. Every member's page draws what anyone writes, so no text may take
// long; engines differ in how long one expression takes, and Chromium hides what others do not.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

const folder = new URL("../../../../examples/chat/static/", import.meta.url);

const module = (source) => `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`;

async function chatTexts() {
  const [page, texts] = await Promise.all(
    ["page.js", "message-text.js"].map((name) => readFile(new URL(name, folder), "utf8")),
  );
  return import(module(texts.replace("./page.js", module(page))));
}

test("a link ends before the punctuation of its sentence, however much there is", async (t) => {
  globalThis.document = { createElement: () => ({ append() {} }) };
  t.after(() => delete globalThis.document);
  const { textNodes } = await chatTexts();
  // A message has 2,000 characters at most.
  const dotted = `http://a/${".".repeat(1300)}b`;
  const starred = `http://a/${"*)".repeat(500)}b`;
  for (const [text, address] of [
    ["http://a/b).", "http://a/b"],
    ["http://a/b_(c)), ", "http://a/b_(c)"],
    ["http://a/[b]]…)", "http://a/[b]"],
    ["http://a/b(.!?", "http://a/b("],
    ["http://a/b(]", "http://a/b("],
    [`http://a/${")".repeat(1991)}`, "http://a/"],
    [dotted + ")".repeat(690), dotted],
    [dotted + "]!".repeat(345), dotted],
    [starred + ")…".repeat(495), starred],
  ]) {
    // The fastest of three: a busy machine slows down one or the other.
    const times = [1, 2, 3].map(() => {
      const begin = performance.now();
      const [link] = textNodes(text);
      assert.equal(link.textContent, address);
      return performance.now() - begin;
    });
    const took = Math.min(...times);
    assert.ok(took < 50, `${took} ms for ${text}`);
  }
});
