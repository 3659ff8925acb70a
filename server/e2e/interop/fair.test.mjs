// Connecting beyond a limit, as unmodified clients live through it: nobody stays out.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { freePort } from "./antchat.mjs";
import { call, combinations, start, until } from "./clients.mjs";
import { node } from "./lifetime.mjs";

/** @param {Record<string, string>} settings */
async function crowd(settings) {
  const admin = `127.0.0.1:${await freePort()}`;
  const server = await node({ ...settings, ANTCHAT_ADMIN_LISTEN: admin });
  const members = combinations.map(({ version, way, name }) => {
    const socket = start(version, way, server.url);
    const m = { name, socket, refusals: /** @type {unknown[]} */ ([]), ends: /** @type {string[]} */ ([]) };
    for (const event of ["error", "connect_error"]) {
      // A transport that did not open is none: the client tries again by itself.
      socket.on(event, (/** @type {any} */ error) => error?.data !== undefined && m.refusals.push(error.data));
      socket.on(event, (/** @type {any} */ error) => error?.code !== undefined && m.refusals.push(error));
    }
    socket.on("disconnect", (/** @type {string} */ reason) => m.ends.push(reason));
    return m;
  });
  await until(
    () => members.every((m) => m.socket.connected),
    () => `everybody to be in; not so: ${members.filter((m) => !m.socket.connected).map((m) => m.name)}`,
  );
  for (const m of members) {
    assert.deepEqual(m.refusals, [], m.name);
    const answer = await call(m.socket, "who", { room: "lobby" });
    assert.equal(answer.room, "lobby", m.name);
  }
  const metrics = await (await fetch(`http://${admin}/metrics`)).text();
  /** @param {RegExp} name */
  const value = (name) => Number(name.exec(metrics)?.[1] ?? 0);
  return {
    limited: value(/^antchat_chat_rate_limited_total\{kind="connect",scope="address"\} (\d+)$/m),
    closed: value(/^antchat_chat_connects_refused_total\{code="rate_limited"\} (\d+)$/m),
  };
}

describe("connects beyond the limit", () => {
  test("wait for their turn", async () => {
    const { limited, closed } = await crowd({ ANTCHAT_FAIRNESS_CONNECTS_ADDRESS: "4/s burst 2" });
    assert.ok(limited > 0, "nobody was beyond the limit");
    assert.equal(closed, 0);
  });
  test("come back by themselves when there is no place soon", async () => {
    const { closed } = await crowd({ ANTCHAT_FAIRNESS_CONNECTS_ADDRESS: "4/s burst 2", ANTCHAT_FAIRNESS_CONNECTS_WAIT: "0" });
    assert.ok(closed > 0, "nobody was turned away");
  });
});
