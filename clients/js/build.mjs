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

/** Returns the texts of the declarations that the public ones refer to, and of no others. */
export async function declarations(name = "index", found = new Map()) {
  const file = `${name}.d.ts`;
  if (found.has(file)) return found;
  const text = await readFile(new URL(`build/${file}`, root), "utf8");
  found.set(file, text);
  for (const [, other] of text.matchAll(/from "\.\/([\w-]+)\.js"/g)) await declarations(other, found);
  return found;
}

/** Copies the licences: a package contains no symbolic links. */
export async function addLicences() {
  for (const licence of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    await copyFile(new URL(`../../${licence}`, root), new URL(licence, root));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const dist = new URL("dist/", root);
  await mkdir(dist, { recursive: true });
  for (const name of await readdir(dist)) {
    // The types of a module that has another name now.
    if (name.endsWith(".d.ts")) await rm(new URL(name, dist));
  }
  for (const [name, text] of await declarations()) await writeFile(new URL(name, dist), text);
  await writeFile(new URL("seaway.js", dist), await bundle());
  await addLicences();
}
