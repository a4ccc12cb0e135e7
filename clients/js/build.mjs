// Makes `dist` of what tsc has written to `build`: one module for browsers, and its types.

import { build } from "esbuild";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const root = new URL(".", import.meta.url);

/** Returns the text of `dist/seaway.js`. */
export async function bundle() {
  const { outputFiles } = await build({
    absWorkingDir: fileURLToPath(root),
    entryPoints: ["build/index.js"],
    bundle: true,
    minify: true,
    format: "esm",
    target: "es2022",
    banner: { js: "/*! @seaway/client, MIT OR Apache-2.0 */" },
    write: false,
  });
  return outputFiles[0].text;
}

/** Writes what is published besides the module: its types, and the licences. */
export async function addRest() {
  const dist = new URL("dist/", root);
  await mkdir(dist, { recursive: true });
  for (const name of await readdir(dist)) {
    // The types of a module that has another name now.
    if (name.endsWith(".d.ts")) await rm(new URL(name, dist));
  }
  await copyTypes("index");
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    // A package contains no symbolic links.
    await copyFile(new URL(`../../${licence}`, root), new URL(licence, root));
  }
}

/** Copies the declarations that the public ones refer to, and no others. */
async function copyTypes(name, done = new Set()) {
  if (done.has(name)) return;
  done.add(name);
  const text = await readFile(new URL(`build/${name}.d.ts`, root), "utf8");
  await writeFile(new URL(`dist/${name}.d.ts`, root), text);
  for (const [, other] of text.matchAll(/from "\.\/([\w-]+)\.js"/g)) await copyTypes(other, done);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await addRest();
  await writeFile(new URL("dist/seaway.js", root), await bundle());
}
