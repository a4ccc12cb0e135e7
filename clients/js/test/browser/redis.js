// A Redis of one test, on a port of its own and without files.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { until } from "./chromium.js";
import { freePort, isOpen } from "./server.js";

/** Starts it; returns its address and a function that ends it. */
export async function startRedis() {
  const port = await freePort();
  const flags = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", flags, { stdio: "ignore", cwd: tmpdir() });
  let problem;
  child.once("error", (error) => (problem = error));
  await until("Redis listens", () => {
    if (problem) throw new Error(`${problem.message}: \`cargo xtask setup\` installs redis-server`);
    return isOpen(port);
  });
  const stop = async () => {
    const exited = once(child, "exit");
    child.kill("SIGKILL");
    await exited;
  };
  return { url: `redis://127.0.0.1:${port}`, stop };
}
