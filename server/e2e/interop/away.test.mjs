// A fleet whose Redis is not there: before it is started, and when it is killed
// under people who chat.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freePort } from "./antchat.mjs";
import { call, collect, connect, connected, latest, start, until, versions, ways } from "./clients.mjs";
import { count } from "./fleet.mjs";
import { node, redis } from "./lifetime.mjs";

const room = "r";

test("nodes without their Redis wait for it, keep their connections and refuse what they could not keep", async () => {
  const store = await redis({ durable: true });
  /** @type {string[]} */
  const metrics = [];
  const nodes = [];
  for (let i = 0; i < 2; i++) {
    const admin = `127.0.0.1:${await freePort()}`;
    metrics.push(`http://${admin}/metrics`);
    nodes.push(await node({ ANTCHAT_REDIS_URL: store.url, ANTCHAT_ADMIN_LISTEN: admin }, "/healthz"));
  }
  const statuses = (path) => Promise.all(nodes.map(({ url }) => fetch(url + path).then((response) => response.status)));
  const live = () => count(metrics, "antchat_redis_links_live");

  // Not there yet.
  for (const { url } of nodes) {
    const answer = await fetch(`${url}/readyz`);
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /^redis: /);
  }
  const early = start(latest, ways[2], nodes[0].url, { auth: { session: "a secret of the writer" } });
  let connects = 0;
  early.on("connect", () => connects++);
  await new Promise((resolve) => setTimeout(resolve, 1000)); // some attempts
  assert.equal(connects, 0, "nobody is let in before the store is there");
  await store.start();
  await until(async () => (await statuses("/readyz")).every((status) => status === 200), "the nodes to be ready");
  await connected(early); // by its own attempts

  const near = await connect(versions[1], ways[1], nodes[0].url);
  const polling = await connect(latest, ways[0], nodes[0].url);
  const far = await connect(latest, ways[1], nodes[1].url);
  const all = [early, near, polling, far];
  const ends = all.map((socket) => collect(socket, "disconnect"));
  for (const socket of all) {
    await call(socket, "join room", { room });
  }
  const got = all.map((socket) => collect(socket, "new message"));
  const first = await call(early, "new message", { room, message: "before", id: "before" });
  assert.ok(first.seq);

  // Killed. Its nodes say so, and everybody stays.
  await store.kill();
  await until(async () => (await statuses("/readyz")).every((status) => status === 503), "the nodes to say that they are not ready");
  assert.deepEqual(await statuses("/healthz"), [200, 200]);
  assert.equal(await live(), 0);
  const refused = await call(early, "new message", { room, message: "meanwhile", id: "meanwhile" });
  assert.deepEqual([refused.error?.code, refused.error?.retryable], ["unavailable", true], JSON.stringify(refused));
  for (const [event, payload] of [["history", { room }], ["join room", { room: "another" }]]) {
    const answer = await call(far, event, payload);
    assert.equal(answer.error?.code, "unavailable", `${event}: ${JSON.stringify(answer)}`);
  }
  const typing = collect(near, "typing");
  await until(() => {
    early.emit("typing", { room });
    return typing.length > 0;
  }, "typing, which is kept nowhere, to go on on the same node");

  // Whoever comes now is told so at once.
  for (const { url } of nodes) {
    await until(
      async () => (await fetch(`${url}/socket.io/?EIO=4&transport=polling`)).status === 503,
      "a new connection to be turned away",
    );
  }

  // Back from its file. The retry is one message, on whichever node it lands.
  await store.start();
  await until(async () => (await statuses("/readyz")).every((status) => status === 200), "the nodes to be ready again");
  assert.equal(await live(), 2);
  const again = await connect(latest, ways[1], nodes[1].url, { auth: { session: "a secret of the writer" } });
  await call(again, "join room", { room });
  const retried = await call(again, "new message", { room, message: "meanwhile", id: "meanwhile" });
  assert.equal(retried.seq, first.seq + 1, JSON.stringify(retried));
  assert.deepEqual(await call(early, "new message", { room, message: "meanwhile", id: "meanwhile" }), retried);
  const last = await call(far, "new message", { room, message: "after", id: "after" });
  assert.equal(last.seq, retried.seq + 1);
  for (const [i, want] of [["after"], ["before", "meanwhile", "after"], ["before", "meanwhile", "after"], ["before", "meanwhile"]].entries()) {
    const messages = () => got[i].map(([m]) => m.message).filter((message) => i > 0 || message !== "meanwhile");
    await until(() => messages().length >= want.length, () => `member ${i} to have ${want}: ${messages()}`);
    assert.deepEqual(messages(), want, `member ${i}`);
  }
  assert.deepEqual(ends.flat(), [], "no connection ended");
  assert.equal(connects, 1);
});
