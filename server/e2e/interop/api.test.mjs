// The HTTP API of two nodes over one Redis, with unmodified clients on both.
import assert from "node:assert/strict";
import { createHash, createHmac, randomBytes } from "node:crypto";
import http from "node:http";
import { beforeEach, describe, test } from "node:test";
import { call, collect, connect, latest, next, until, versions, ways } from "./clients.mjs";
import { node, redis } from "./lifetime.mjs";

const websocket = ways[1];
const key = "antchat_" + randomBytes(32).toString("base64url");
const settings = {
  ANTCHAT_API_KEYS: JSON.stringify([
    { name: "worker", hash: createHash("sha256").update(key).digest("hex"), scopes: ["read", "write", "moderate", "admin"] },
  ]),
};

let url = "";
/** @type {Awaited<ReturnType<typeof node>>[]} */
let nodes = [];
beforeEach(async () => {
  ({ url } = await redis());
  nodes = await Promise.all([0, 1].map(() => node({ ...settings, REDIS_URL: url })));
});

/**
 * One request with the key.
 * @param {any} node
 * @param {string} method
 * @param {string} path
 * @param {any} [body]
 * @param {Record<string, string>} [headers]
 */
async function api(node, method, path, body, headers = {}) {
  const response = await fetch(`${node.url}/api/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(body ? { "content-type": "application/json" } : {}), ...headers },
    body: body && JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, text, json: text.startsWith("{") && !text.includes("}\n{") ? JSON.parse(text) : undefined };
}

describe("the HTTP API", () => {
  test("posts once and in order, whichever node is asked", async () => {
    const readers = [
      await connect(latest, websocket, nodes[0].url),
      await connect(latest, ways[0], nodes[1].url),
      await connect(versions[1], websocket, nodes[1].url),
    ];
    const heard = readers.map((socket) => collect(socket, "new message"));
    const want = [];
    for (let i = 0; i < 20; i++) {
      const [node, other] = i % 2 ? nodes : [nodes[1], nodes[0]];
      const first = await api(node, "POST", "/rooms/lobby/messages", { message: `m${i}`, username: "Job" }, { "idempotency-key": `k${i}` });
      const again = await api(other, "POST", "/rooms/lobby/messages", { message: `m${i}`, username: "Job" }, { "idempotency-key": `k${i}` });
      assert.equal(first.status, 201, first.text);
      assert.equal(again.status, 200, again.text);
      assert.equal(again.json.seq, first.json.seq);
      assert.equal(again.json.duplicate, true);
      want.push([i + 1, `m${i}`, "Job"]);
    }
    const batch = await api(nodes[0], "POST", "/rooms/lobby/messages", { messages: [{ message: "a" }, { message: "b" }] });
    assert.deepEqual(batch.json.messages.map((m) => m.seq), [21, 22]);
    want.push([21, "a", "worker"], [22, "b", "worker"]);
    for (const got of heard) {
      await got.atLeast(want.length);
      assert.deepEqual(got.map(([m]) => [m.seq, m.message, m.username]), want);
    }
    const page = await api(nodes[1], "GET", "/rooms/lobby/messages?limit=5&after=3");
    assert.deepEqual(page.json.messages.map((m) => m.seq), [4, 5, 6, 7, 8]);
    const lines = (await api(nodes[1], "GET", "/rooms/lobby/export")).text.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.filter((l) => l.message).map((l) => [l.message.seq, l.message.message, l.message.username]), want);
    assert.ok(lines.at(-1).end && lines.at(-1).cursor);
  });

  test("moderates, tells one user and all, and bans on the other node", async () => {
    const [ann, bob] = [await connect(latest, websocket, nodes[0].url), await connect(latest, websocket, nodes[1].url)];
    const me = await call(ann, "add user", "Ann");
    await call(bob, "add user", "Bob");
    const members = await api(nodes[1], "GET", "/rooms/lobby/members");
    assert.deepEqual(members.json.users.map((u) => u.username).sort(), ["Ann", "Bob"]);

    const sent = await call(ann, "new message", "regrettable");
    const removed = next(bob, "message removed");
    assert.equal((await api(nodes[1], "DELETE", `/rooms/lobby/messages/${sent.seq}?epoch=${sent.epoch}`)).status, 200);
    assert.equal((await removed)[0].removed, sent.seq);

    const told = next(ann, "direct message");
    const direct = await api(nodes[1], "POST", `/users/${me.user}/messages`, { message: "for you alone" });
    assert.equal(direct.status, 201, direct.text);
    const [news] = await told;
    assert.equal(news.username, "worker");
    const joined = await call(ann, "join room", { room: news.room });
    assert.deepEqual(joined.messages.map((m) => m.message), ["for you alone"]);
    await call(ann, "new message", { room: news.room, message: "thank you" });
    const answers = await api(nodes[0], "GET", `/rooms/@${me.user}/messages`);
    assert.deepEqual(answers.json.messages.map((m) => m.message), ["for you alone", "thank you"]);
    const stranger = await call(bob, "join room", { room: news.room });
    assert.equal(stranger.error.code, "forbidden");

    const all = [ann, bob].map((socket) => next(socket, "announcement"));
    assert.equal((await api(nodes[0], "POST", "/announcements", { message: "closing at noon" })).status, 201);
    for (const [announcement] of await Promise.all(all)) {
      assert.equal(announcement.message, "closing at noon");
    }

    assert.equal((await api(nodes[1], "PUT", `/rooms/lobby/mutes/${me.user}`, { for: 600 })).status, 200);
    await until(async () => (await call(ann, "new message", "still here?")).error?.code === "muted", "the mute to hold");
    const ended = next(ann, "session ended");
    const gone = next(ann, "disconnect");
    assert.equal((await api(nodes[1], "PUT", `/bans/${me.user}`, { for: 600 })).status, 204);
    assert.equal((await ended)[0].code, "banned");
    await gone;
  });

  test("webhooks tell of each thing once, signed, whichever node it happened on", async () => {
    const secret = "a secret of the hook";
    /** @type {any[]} */
    const told = [];
    let failing = true;
    const receiver = http.createServer(async (request, response) => {
      let body = "";
      for await (const part of request) {
        body += part;
      }
      if (failing) { // the first attempt of all
        failing = false;
        response.writeHead(500).end();
        return;
      }
      const [, t, v1] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(request.headers["antchat-signature"])) ?? [];
      assert.equal(v1, createHmac("sha256", secret).update(`${t}.${body}`).digest("hex"));
      told.push(JSON.parse(body));
      response.writeHead(204).end();
    });
    await new Promise((resolve) => receiver.listen(0, "127.0.0.1", () => resolve(undefined)));
    try {
      const { port } = /** @type {import("node:net").AddressInfo} */ (receiver.address());
      const hooks = JSON.stringify([{ url: `http://127.0.0.1:${port}/events`, secret, events: ["message", "join", "leave"] }]);
      const hooked = await Promise.all([0, 1].map(() => node({ ...settings, REDIS_URL: url, ANTCHAT_WEBHOOKS_HOOKS: hooks })));
      const [ann, bob] = [await connect(latest, websocket, hooked[0].url), await connect(latest, websocket, hooked[1].url)];
      const me = await call(ann, "add user", "Ann");
      await call(bob, "add user", "Bob");
      const sent = await call(bob, "new message", { message: "hello", id: "one" });
      await call(bob, "new message", { message: "hello", id: "one" });
      await api(hooked[0], "POST", "/rooms/lobby/messages", { message: "from a job" });
      await call(ann, "new message", { room: `@${(await call(bob, "add user", "Bob")).user}`, message: "in private" });
      ann.close();
      await until(() => told.filter((e) => e.event === "leave").length === 1 && told.length >= 5, () => JSON.stringify(told));
      const of = (event) => told.filter((e) => e.event === event).map((e) => e.data);
      assert.deepEqual(of("join").map((d) => `${d.room} ${d.username}`).sort(), ["lobby Ann", "lobby Bob"]);
      assert.deepEqual(of("leave").map((d) => [d.room, d.user, d.connection]), [["lobby", me.user, of("join").find((d) => d.username === "Ann").connection]]);
      const messages = of("message").sort((a, b) => a.seq - b.seq);
      assert.deepEqual(messages.map((m) => [m.message, m.username]), [["hello", "Bob"], ["from a job", "worker"]]);
      assert.deepEqual([messages[0].seq, messages[0].epoch, messages[0].id], [sent.seq, sent.epoch, "one"]);
      assert.equal(new Set(told.map((e) => e.id)).size, told.length);
    } finally {
      receiver.closeAllConnections();
      await new Promise((resolve) => receiver.close(resolve));
    }
  });

  test("is documented where it is, and off without a key", async () => {
    const yaml = await fetch(`${nodes[0].url}/api/v1/openapi.yaml`);
    assert.match(await yaml.text(), /^# Made[^\n]*\nopenapi: 3\.1/);
    const page = await fetch(`${nodes[0].url}/api/v1/docs`);
    assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'/);
    assert.equal((await api(nodes[0], "GET", "/rooms", undefined, { authorization: "Bearer nobody" })).status, 401);
    const off = await node();
    assert.equal((await fetch(`${off.url}/api/v1/docs`)).status, 404);
    assert.equal((await fetch(`${off.url}/api/v1/rooms`, { headers: { authorization: `Bearer ${key}` } })).status, 404);
  });
});
