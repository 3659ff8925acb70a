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

/** A redis-server of its own, which ends with the tests. */
export async function redis() {
  const port = await freePort();
  const dir = await mkdtemp(join(tmpdir(), "antchat-redis-"));
  const child = spawn(
    process.env.ANTCHAT_TEST_REDIS ?? "redis-server",
    ["--bind", "127.0.0.1", "--port", String(port), "--dir", dir, "--save", "", "--appendonly", "no"],
    { stdio: ["ignore", "pipe", "pipe"] },
  );
  let log = "";
  child.stdout.on("data", (data) => (log += data));
  await until(() => {
    assert.equal(child.exitCode, null, `redis-server ended:\n${log}`);
    return log.includes("Ready to accept connections");
  }, () => `redis-server:\n${log}`);
  return {
    url: `redis://127.0.0.1:${port}`,
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
      const exited = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGKILL");
      await within(exited, "redis-server to end");
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
     * The sum of a metric over the nodes that can be asked.
     * @param {string} sample with its labels
     */
    count: async (sample) => {
      let sum = 0;
      for (const address of metrics) {
        const text = await fetch(address).then((response) => response.text(), () => "");
        const line = text.split("\n").find((line) => line.startsWith(`${sample} `));
        sum += Number(line?.split(" ").at(-1) ?? 0);
      }
      return sum;
    },
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
