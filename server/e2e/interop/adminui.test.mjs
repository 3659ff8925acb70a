// The Admin UI's namespace of a fleet, with its real client in both parsers:
// what the published page is told and may do, and who is let in.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, afterEach, before, describe, test } from "node:test";
import { antchat } from "./antchat.mjs";
import { call, closeAll, connect, latest, next, start, until, versions, ways, within } from "./clients.mjs";

const require = createRequire(import.meta.url);
const msgpack = require("socket.io-msgpack-parser");

const url = process.env.ANTCHAT_TEST_REDIS_URL ?? "";
assert.ok(url, "ANTCHAT_TEST_REDIS_URL names no Redis");
const websocket = ways[1];
const origin = "http://admin.example:8080";
const token = "a token of more than 16 bytes";
const settings = {
  REDIS_URL: url,
  ANTCHAT_ADMIN_UI_ENABLED: "true",
  ANTCHAT_ADMIN_UI_PASSWORD_HASH: process.env.ANTCHAT_TEST_BCRYPT ?? "",
  ANTCHAT_ADMIN_UI_ORIGINS: origin,
  ANTCHAT_RELAY_EVENTS: "draw",
  ANTCHAT_HTTP_DRAIN_WINDOW: "0s",
};
const password = { username: "admin", password: "ant chat" };

let prefix = 0;
/** @type {Awaited<ReturnType<typeof antchat>>[]} */
let nodes = [];
async function fleet(more = {}) {
  prefix++;
  nodes = await Promise.all([0, 1].map((i) => antchat({ ...settings, ANTCHAT_REDIS_PREFIX: `admin${prefix}.`, ANTCHAT_NODE_ID: `node-${i}`, ...more })));
  return nodes;
}
async function stop() {
  closeAll();
  await Promise.all(nodes.map((node) => node.stop()));
  await Promise.all(nodes.map((node) => node.remove()));
}

/** A page: everything that it is told, from the first. */
async function page(node, auth, options = {}) {
  const socket = start(latest, options.way ?? websocket, `${node.url}/admin`, { auth, reconnection: false, ...options });
  /** @type {any[][]} */
  const told = [];
  socket.onAny((...args) => told.push(args));
  const first = await within(
    new Promise((resolve) => {
      socket.once("connect_error", (e) => resolve(e.message));
      socket.once("connect", () => resolve(null));
    }),
    "an answer",
  );
  const of = (event) => told.filter(([name]) => name === event).map(([, ...args]) => args);
  return { socket, told, of, error: first, has: (event, f, what = event) => until(() => of(event).some(f), () => `${what} in ${JSON.stringify(told.filter(([n]) => n !== "server_stats"))}`) };
}

for (const parser of [{ name: "default" }, { name: "msgpack", options: { parser: msgpack } }]) {
  describe(`development mode, ${parser.name} parser`, () => {
    before(() => fleet({ ANTCHAT_ADMIN_UI_MODE: "development" }));
    after(stop);
    afterEach(closeAll);
    const options = parser.options ?? {};

    test("servers, sockets of both revisions, rooms, events", async () => {
      const before1 = await connect(versions[1], websocket, nodes[0].url, { query: { session: "a secret of sixteen bytes" } });
      await call(before1, "add user", "old");
      const ui = await page(nodes[0], password, options);
      assert.equal(ui.error, null);
      await until(() => ui.of("all_sockets").length > 0, "all sockets");
      assert.deepEqual(ui.told.filter(([n]) => n !== "server_stats").map(([n]) => n).slice(0, 3), ["config", "session", "all_sockets"]);
      assert.deepEqual(ui.of("config")[0][0].supportedFeatures.sort(), ["AGGREGATED_EVENTS", "ALL_EVENTS", "DISCONNECT", "EMIT", "JOIN", "LEAVE", "MDISCONNECT", "MJOIN", "MLEAVE"]);
      const old = ui.of("all_sockets")[0][0].find((s) => s.nsp === "/");
      assert.equal(old.id, before1.id);
      assert.equal(old.transport, "websocket");
      assert.equal(old.clientId, before1.io.engine.id.slice(0, 12));
      assert.deepEqual(old.rooms.slice(0, 2), [before1.id, "chat:lobby"]);
      assert.equal(old.handshake.query.EIO, "3");
      assert.ok(!JSON.stringify(ui.told).includes("a secret of sixteen"), "a secret of a client's");
      const mine = ui.of("all_sockets")[0][0].find((s) => s.nsp === "/admin");
      assert.equal(mine.id, ui.socket.id);
      assert.ok(!JSON.stringify(ui.told).includes("ant chat"), "the page's password");

      // Both nodes are servers of their own.
      await until(() => new Set(ui.of("server_stats").map(([s]) => s.serverId)).size === 2, "two servers");
      const stats = ui.of("server_stats").map(([s]) => s);
      assert.ok(stats.every((s) => s.hostname && s.pid > 0 && s.uptime >= 0 && Array.isArray(s.aggregatedEvents) && s.namespaces.some((n) => n.name === "/")));

      // Somebody comes on the other node.
      const way = ways[2];
      const young = start(latest, way, nodes[1].url);
      await next(young, "connect");
      await ui.has("socket_connected", ([s]) => s.id === young.id);
      const [came, date] = /** @type {any[]} */ (ui.of("socket_connected").find(([s]) => s.id === young.id));
      assert.equal(came.nsp, "/");
      assert.ok(Math.abs(Date.parse(date) - Date.now()) < 60_000);
      await until(() => came.transport === "websocket" || ui.of("socket_updated").some(([s]) => s.id === young.id && s.transport === "websocket"), "the upgrade");
      await call(young, "add user", "young");
      await ui.has("event_received", ([nsp, id, args]) => nsp === "/" && id === young.id && args[0] === "add user" && args[1] === "young");
      await ui.has("event_sent", ([nsp, id, args]) => nsp === "/" && id === young.id && args[0] === "login");
      await ui.has("event_sent", ([, id, args]) => id === before1.id && args[0] === "user joined");
      await ui.has("socket_updated", ([s]) => s.id === young.id && s.data?.name === "young");
      await call(young, "join room", { room: "den" });
      await ui.has("room_joined", ([nsp, room, id]) => nsp === "/" && room === "chat:den" && id === young.id);
      young.emit("draw", "den", Buffer.from([1, 2, 3]));
      await ui.has("event_received", ([, id, args]) => id === young.id && args[0] === "draw" && args[2] === "(3 bytes)");
      await call(young, "leave room", { room: "den" });
      await ui.has("room_left", ([nsp, room, id]) => nsp === "/" && room === "chat:den" && id === young.id);
      const id = young.id;
      young.close();
      await ui.has("socket_disconnected", ([nsp, sid, reason]) => nsp === "/" && sid === id && reason === "client namespace disconnect");
      await until(() => ui.of("server_stats").some(([s]) => s.aggregatedEvents.some((e) => e.type === "packetsIn" && e.count > 0)), "counted packets");
      await until(() => ui.of("server_stats").some(([s]) => s.aggregatedEvents.some((e) => e.type === "rawConnection")), "counted connections");
      await until(() => ui.of("server_stats").some(([s]) => s.aggregatedEvents.some((e) => e.type === "rawDisconnection" && e.subType)), "counted ends");
      assert.ok(!ui.told.some(([n, nsp]) => (n === "event_sent" || n === "event_received") && nsp === "/admin"), "its own events");
    });

    test("commands reach sockets of every node", async () => {
      const [a, b] = await Promise.all([connect(versions[1], websocket, nodes[0].url), connect(latest, websocket, nodes[1].url)]);
      const ui = await page(nodes[0], password, options);
      await until(() => ui.of("all_sockets").length > 0, "all sockets");
      const heard = [a, b].map((s) => next(s, "news"));
      ui.socket.emit("emit", "/", undefined, "news", 1, { x: [null, "é"] }, Buffer.from([7]));
      for (const args of await Promise.all(heard)) {
        assert.deepEqual(args.slice(0, 3), [1, { x: [null, "é"] }, Buffer.from([7])]);
      }
      ui.socket.emit("join", "/", "club", b.id);
      await ui.has("room_joined", ([, room, id]) => room === "club" && id === b.id);
      const club = next(b, "club news");
      ui.socket.emit("emit", "/", "club", "club news");
      await club;
      ui.socket.emit("leave", "/", "club", b.id);
      await ui.has("room_left", ([, room, id]) => room === "club" && id === b.id);
      ui.socket.emit("join", "/", "everyone");
      await ui.has("room_joined", ([, room, id]) => room === "everyone" && id === a.id);
      await ui.has("room_joined", ([, room, id]) => room === "everyone" && id === b.id);
      let gone = next(b, "disconnect");
      ui.socket.emit("_disconnect", "/", false, b.id);
      assert.equal((await gone)[0], "io server disconnect");
      gone = next(a, "disconnect");
      ui.socket.emit("_disconnect", "/", true, a.id);
      await gone;
      await until(() => nodes[0].log().includes("admin ui: command"), "the commands in the log");
      // What makes no sense is refused, and the page stays.
      for (const bad of [["emit"], ["emit", "/", 7, "x"], ["emit", "/nowhere", null, "x"], ["emit", "/", null, "disconnect"], ["emit", "/", null, ""], ["join", "/"], ["join", "/", "x".repeat(1000)], ["leave", {}, []], ["_disconnect", "/", "maybe"]]) {
        const [answer] = await new Promise((resolve) => ui.socket.emit(...bad, (...args) => resolve(args)));
        assert.ok(answer?.error, JSON.stringify([bad, answer]));
      }
      assert.ok(ui.socket.connected);
    });
  });
}

describe("who is let in", () => {
  before(() => fleet({ ANTCHAT_ADMIN_UI_TOKEN: token }));
  after(stop);
  afterEach(closeAll);

  test("the password, the session that it gives on any node, the token; nobody else", async () => {
    const ui = await page(nodes[0], password, { way: ways[2] });
    assert.equal(ui.error, null);
    await until(() => ui.of("session").length > 0, "a session");
    const [sessionId] = ui.of("session")[0];
    const again = await page(nodes[1], { sessionId });
    assert.equal(again.error, null);
    assert.equal((await page(nodes[1], { token })).error, null);
    assert.equal((await page(nodes[0], { username: "", password: token })).error, null);
    assert.deepEqual(again.of("session"), []);
    for (const auth of [{}, undefined, { sessionId: "x".repeat(32) }, { sessionId: 7 }, { username: "admin", password: "ant chat " }, { username: "root", password: "ant chat" }, { username: {}, password: [] }]) {
      assert.equal((await page(nodes[0], auth)).error, "invalid credentials", JSON.stringify(auth));
    }
    const config = ui.of("config")[0][0].supportedFeatures;
    assert.ok(!config.includes("ALL_EVENTS"));
    await until(() => new Set(ui.of("server_stats").map(([s]) => s.serverId)).size === 2, "two servers");
    assert.deepEqual([...new Set(ui.told.map(([n]) => n))].sort(), ["config", "server_stats", "session"]);
  });

  test("too many guesses end, on all nodes; sessions do not", async () => {
    const ui = await page(nodes[0], { token });
    await until(() => ui.of("session").length > 0, "a session");
    const [sessionId] = ui.of("session")[0];
    let last = "";
    for (let i = 0; i < 12; i++) {
      last = (await page(nodes[i % 2], { username: "admin", password: `guess ${i}` })).error;
    }
    assert.equal(last, "too many attempts; try again in a minute");
    assert.equal((await page(nodes[0], password)).error, last);
    assert.equal((await page(nodes[1], { sessionId })).error, null);
  });

  test("pages of its origin, with credentials; of no other", async () => {
    for (const [from, allowed] of /** @type {const} */ ([[origin, true], ["http://evil.example", false]])) {
      const response = await fetch(`${nodes[0].url}/socket.io?EIO=4&transport=polling`, { headers: { Origin: from } });
      assert.equal(response.headers.get("access-control-allow-origin"), allowed ? origin : null);
      assert.equal(response.headers.get("access-control-allow-credentials"), allowed ? "true" : null);
    }
  });
});

describe("read only, and off", () => {
  afterEach(stop);

  test("a page that may only look", async () => {
    await fleet({ ANTCHAT_ADMIN_UI_READ_ONLY: "true", ANTCHAT_ADMIN_UI_NAMESPACE: "/watch" });
    const socket = await connect(latest, websocket, nodes[0].url);
    const ui = start(latest, websocket, `${nodes[0].url}/watch`, { auth: password });
    const [config] = await next(ui, "config");
    assert.deepEqual(config.supportedFeatures, ["AGGREGATED_EVENTS"]);
    const [answer] = await new Promise((resolve) => ui.emit("_disconnect", "/", true, undefined, (...args) => resolve(args)));
    assert.equal(answer.error.code, "unknown_event");
    assert.ok(socket.connected);
  });

  test("nothing is there when it is off", async () => {
    await fleet({ ANTCHAT_ADMIN_UI_ENABLED: "false" });
    assert.equal((await page(nodes[0], password)).error, "Invalid namespace");
  });
});
