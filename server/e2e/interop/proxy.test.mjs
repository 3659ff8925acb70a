// Through the proxy of docker-compose.yml, which gives each request to the next
// of three nodes: nobody is stuck to one.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { call, closeAll, collect, combinations, connect, latest, next, until, ways } from "./clients.mjs";

const url = process.env.ANTCHAT_URL;
after(closeAll);

test("clients on all nodes are one chat, and a node's end loses nothing", async () => {
  const members = [];
  // Two of the latest on each node, and every generation over every transport:
  // each poll, and the upgrade, goes to another node than what was before.
  const wanted = [...Array(6).fill({ version: latest, way: ways[1] }), ...combinations];
  for (const [i, { version, way }] of wanted.entries()) {
    const socket = await connect(version, way, url);
    await call(socket, "add user", `member ${i}`);
    await call(socket, "join room", { room: "tea" });
    members.push({ version, socket, got: collect(socket, "new message"), node: socket.io.engine.id.slice(0, 6) });
  }
  assert.equal(new Set(members.map(({ node }) => node)).size, Number(process.env.ANTCHAT_NODES), "the nodes take turns");

  /** @type {string[]} */
  const written = [];
  const say = async (member) => {
    const message = `message ${written.length}`;
    written.push(message);
    // Again until it is taken: the id makes that safe. An ack that a lost
    // connection took along never comes.
    await until(async () => {
      if (!member.socket.connected) return false;
      const ack = await Promise.race([
        new Promise((resolve) => member.socket.emit("new message", { room: "tea", message, id: message }, resolve)),
        new Promise((resolve) => member.socket.once("disconnect", () => resolve({ error: { retryable: true } }))),
      ]);
      assert.ok(ack.seq || ack.error?.retryable, JSON.stringify(ack));
      return ack.seq;
    }, `the ack of ${message}`);
  };
  for (const member of members) await say(member);

  // A node is stopped, as by a rolling update, while the others go on.
  const lost = members.filter(({ version }) => version === latest).map(({ socket }) => next(socket, "disconnect"));
  process.kill(Number(process.env.ANTCHAT_VICTIM), "SIGTERM");
  await Promise.any(lost);
  const writers = members.filter(({ version }) => version === latest);
  for (let i = 0; i < 12; i++) await say(writers[i % writers.length]);

  for (const { version, socket, got } of members) {
    if (version !== latest) continue; // older ones ask with since; recovery.test.mjs has them
    const mine = new Set(written.filter((_, i) => i < members.length ? members[i].socket === socket : writers[(i - members.length) % writers.length].socket === socket));
    const expected = written.filter((message) => !mine.has(message));
    await got.atLeast(expected.length);
    assert.deepEqual(got.map(([m]) => m.message), expected);
  }
  // The node that stops lets its clients go one after the other. A session that
  // moved with its upgrade keeps an id that names where it began, so only those
  // without one tell where they are.
  const direct = writers.slice(0, 6);
  const where = () => new Set(direct.map(({ socket }) => socket.connected && socket.io.engine.id.slice(0, 6)));
  await until(() => where().size === Number(process.env.ANTCHAT_NODES) - 1 && !where().has(false), "everybody to be on the nodes that are left");
  await until(() => writers.every(({ socket }) => socket.connected), "everybody to be back");
});
