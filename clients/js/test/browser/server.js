// Starts and kills servers.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { access } from "node:fs/promises";
import { connect } from "node:net";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { until } from "./chromium.js";

/** Returns a port that nobody listens on. */
export async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** A server that is started, killed, and started again on the same port. */
export class Server {
  #program;
  #flags;
  #folder;
  #redis;
  #child;

  constructor(program, flags, port, folder, redis) {
    this.#program = program;
    this.#flags = flags;
    this.#folder = folder;
    this.#redis = redis;
    this.port = port;
    this.url = `http://127.0.0.1:${port}/`;
  }

  /** The arena, the server of Seaway's load tests. */
  static arena(...flags) {
    return Server.#example("arena", flags);
  }

  /** The auction, whose data is in this folder, and whose topics are in memory or in Redis. */
  static auction(folder, redis) {
    return Server.#example("auction", [], folder, redis);
  }

  static async #example(name, flags, folder, redis) {
    const programs = process.env.SEAWAY_EXAMPLES ?? fileURLToPath(new URL("../../../../target/debug", import.meta.url));
    const program = `${programs}/${name}`;
    await access(program).catch(() => {
      throw new Error(`there is no ${program}: run \`cargo build -p ${name}\`, or set SEAWAY_EXAMPLES`);
    });
    const port = await freePort();
    return new Server(program, ["--port", `${port}`, ...flags], port, folder, redis).start();
  }

  async start() {
    const environment = { ...process.env };
    delete environment.REDIS_URL;
    if (this.#redis) environment.REDIS_URL = this.#redis;
    const options = { stdio: ["ignore", "ignore", "inherit"], env: environment, cwd: this.#folder };
    this.#child = spawn(this.#program, this.#flags, options);
    await until(`${this.#program} listens`, () => isOpen(this.port));
    return this;
  }

  /** Suspends the process: its connections stay, and nothing is answered. */
  suspend() {
    this.#child.kill("SIGSTOP");
  }

  resume() {
    this.#child.kill("SIGCONT");
  }

  async stop(signal = "SIGKILL") {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    this.#child.kill(signal);
    await exited;
  }
}

/** Returns whether somebody listens on a port. */
export function isOpen(port) {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
