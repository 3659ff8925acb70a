// A Redis of the test's own.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./antchat.mjs";
import { until, within } from "./clients.mjs";

/**
 * Starts a redis-server, in memory. A durable one is not there before start, and
 * syncs each write to its file.
 */
export async function redis({ durable = false } = {}) {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), "antchat-redis-"));
  const file = durable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
  /** @type {import("node:child_process").ChildProcess | undefined} */
  let child;

  async function start() {
    const started = spawn(
      process.env.ANTCHAT_TEST_REDIS || "redis-server",
      ["--bind", "127.0.0.1", "--port", String(port), "--dir", dir, "--save", "", ...file],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    child = started;
    let log = "";
    started.once("error", (error) => (log += error)); // there is none
    started.stdout.on("data", (data) => (log += data));
    await until(() => {
      assert.ok(started.pid && started.exitCode === null, `redis-server ended:\n${log}`);
      return log.includes("Ready to accept connections");
    }, () => `redis-server:\n${log}`);
  }

  async function kill() {
    const ending = child;
    child = undefined;
    if (ending) {
      const exited = new Promise((resolve) => ending.once("exit", resolve));
      ending.kill("SIGKILL");
      await within(exited, "redis-server to end");
    }
  }

  if (!durable) {
    await start();
  }
  return {
    url: `redis://127.0.0.1:${port}`,
    start,
    /** kill -9; start brings it back from its file. */
    kill,
    /** Sends one command, as one types it. */
    command: (/** @type {string} */ text) =>
      within(
        new Promise((resolve, reject) => {
          const socket = net.connect(port, "127.0.0.1", () => socket.write(`${text}\r\n`));
          socket.once("data", (data) => {
            resolve(data.toString());
            socket.destroy();
          });
          socket.once("error", reject);
        }),
        text,
      ),
    remove: async () => {
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
