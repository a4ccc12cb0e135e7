// What is published: its files, its size, and that those in the repository are up to date.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { addLicences, bundle, declarations } from "../../build.mjs";

const root = fileURLToPath(new URL("../..", import.meta.url));
const read = (name) => readFileSync(`${root}/${name}`, "utf8");

/** What a browser loads, at most, in bytes. */
const LIMIT = 5500;

test("a browser loads about 5 KB", () => {
  const size = gzipSync(read("dist/seaway.js"), { level: 9 }).length;
  console.log(`dist/seaway.js: ${size} bytes gzipped`);
  assert.ok(size < LIMIT, `${size} bytes`);
});

test("dist is what `npm run build` makes of the sources", async () => {
  const expected = new Map([...(await declarations()), ["seaway.js", await bundle()]]);
  const stored = readdirSync(`${root}/dist`);
  const remedy = "run `npm run build` in clients/js and commit dist";
  assert.deepEqual(stored.sort(), [...expected.keys()].sort(), remedy);
  for (const [name, text] of expected) assert.ok(read(`dist/${name}`) === text, `${name}: ${remedy}`);
});

test("the module imports nothing, and exports what the types say", async () => {
  const text = read("dist/seaway.js");
  assert.doesNotMatch(text, /\bimport\b|\brequire\b/);
  const module = await import("../../dist/seaway.js");
  assert.deepEqual(Object.keys(module).sort(), ["RequestError", "connect"]);
});

test("the package depends on nothing", () => {
  const { dependencies, peerDependencies, scripts } = JSON.parse(read("package.json"));
  assert.deepEqual([dependencies, peerDependencies, scripts.postinstall], [undefined, undefined, undefined]);
});

test("the lock file records no addresses", () => {
  assert.doesNotMatch(read("package-lock.json"), /"resolved"|:\/\//);
});

test("the package contains the module, its types and the licences", async () => {
  await addLicences();
  const flags = ["--dry-run", "--json", "--ignore-scripts", "--loglevel=error"];
  const output = execFileSync("npm", ["pack", ...flags], { cwd: root, encoding: "utf8" });
  // npm prints the package in a list, or by its name.
  const json = JSON.parse(output.slice(output.search(/^[[{]/m)));
  const [packed] = Object.values(json);
  assert.deepEqual(packed.files.map(({ path }) => path).sort(), [
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "dist/close.d.ts",
    "dist/connection.d.ts",
    "dist/index.d.ts",
    "dist/listeners.d.ts",
    "dist/options.d.ts",
    "dist/presence.d.ts",
    "dist/requests.d.ts",
    "dist/schema.d.ts",
    "dist/seaway.js",
    "dist/socket.d.ts",
    "dist/state.d.ts",
    "dist/topic.d.ts",
    "dist/tracked.d.ts",
    "package.json",
  ]);
});
