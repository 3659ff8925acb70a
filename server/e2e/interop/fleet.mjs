// Three nodes over one Redis, behind a proxy that gives each request to the next
// node: what a deployment without sticky sessions is.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { cleanEnv, freePort, process_ } from "./antchat.mjs";
import { until, within } from "./clients.mjs";
import { redis } from "./redis.mjs";

const nodes = 3;

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
