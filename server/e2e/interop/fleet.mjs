// Three nodes over one Redis, behind a proxy that gives each request to the next
// node: what a deployment without sticky sessions is.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cleanEnv, freePort, process_ } from "./antchat.mjs";
import { until, within } from "./clients.mjs";

const nodes = 3;

/**
 * A redis-server of its own, which ends with the tests. A durable one is not there
 * before start, and syncs each write to its file.
 */
export async function redis({ durable = false } = {}) {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), "antchat-redis-"));
  const file = durable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
  /** @type {import("node:child_process").ChildProcess | undefined} */
  let child;

  async function start() {
    const started = spawn(
      process.env.ANTCHAT_TEST_REDIS ?? "redis-server",
      ["--bind", "127.0.0.1", "--port", String(port), "--dir", dir, "--save", "", ...file],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    child = started;
    let log = "";
    started.stdout.on("data", (data) => (log += data));
    await until(() => {
      assert.equal(started.exitCode, null, `redis-server ended:\n${log}`);
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

/**
 * The proxy.
 * @param {number[]} ports of the nodes
 */
export async function roundRobin(ports) {
  const port = await freePort();
  const bin = process.env.ANTCHAT_ROUNDROBIN_BIN ?? "";
  assert.ok(bin, "ANTCHAT_ROUNDROBIN_BIN names no proxy");
  const child = spawn(bin, ["-addr", `127.0.0.1:${port}`, "-nodes", ports.map((p) => `127.0.0.1:${p}`).join(",")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.on("data", (data) => (said += data));
  await until(() => said.includes("listening"), "the proxy");
  return {
    port,
    remove: async () => {
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await within(exited, "the proxy to end");
    },
  };
}

/**
 * The sum of a metric over the nodes that can be asked.
 * @param {string[]} addresses of their metrics
 * @param {string} sample with its labels
 */
export async function count(addresses, sample) {
  let sum = 0;
  for (const address of addresses) {
    const text = await fetch(address).then((response) => response.text(), () => "");
    const line = text.split("\n").find((line) => line.startsWith(`${sample} `));
    sum += Number(line?.split(" ").at(-1) ?? 0);
  }
  return sum;
}

/**
 * A fleet that looks like one server; see antchat.
 * @param {Record<string, string>} settings
 */
export async function fleet(settings) {
  const store = await redis();
  const members = [];
  /** @type {string[]} */
  const metrics = [];
  for (let i = 0; i < nodes; i++) {
    const admin = `127.0.0.1:${await freePort()}`;
    metrics.push(`http://${admin}/metrics`);
    members.push(await process_({ ...settings, ANTCHAT_REDIS_URL: store.url, ANTCHAT_ADMIN_LISTEN: admin }));
  }
  const proxy = await roundRobin(members.map((m) => m.port));
  const each = (/** @type {(m: typeof members[0]) => Promise<unknown>} */ f) => Promise.all(members.map(f));
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    port: proxy.port,
    members,
    store,
    log: () => members.map((m) => m.log()).join("\n"),
    /**
     * The sum of a metric over the nodes.
     * @param {string} sample with its labels
     */
    count: (sample) => count(metrics, sample),
    start: () => each((m) => m.start()),
    stop: () => each((m) => m.stop()),
    kill: () => each((m) => m.kill()),
    remove: async () => {
      await each((m) => m.remove());
      await proxy.remove();
      await store.remove();
    },
  };
}
