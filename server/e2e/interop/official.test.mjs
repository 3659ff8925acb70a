// Two nodes of ours and a Node server with @socket.io/redis-adapter in one
// Redis, real clients on all of them, and the emitters that only write.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { after, afterEach, before, describe, test } from "node:test";
import { antchat } from "./antchat.mjs";
import { call, closeAll, collect, connect, latest, next, until, ways } from "./clients.mjs";

const require = createRequire(import.meta.url);
const { Server } = require("socket.io");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { Emitter } = require("@socket.io/redis-emitter");
const { createClient } = require("redis");

const url = process.env.ANTCHAT_TEST_REDIS_URL ?? "";
assert.ok(url, "ANTCHAT_TEST_REDIS_URL names no Redis");

const websocket = ways[1];

/** @type {(() => Promise<unknown> | void)[]} */
const endings = [];
async function end() {
  for (const f of endings.splice(0).reverse()) {
    await f();
  }
}

async function redis() {
  const c = createClient({ url, RESP: 2 });
  await c.connect();
  endings.push(() => c.close());
  return c;
}

/** Nodes of ours that are one fleet. */
async function fleet(prefix, n, settings) {
  const nodes = await Promise.all(
    Array.from({ length: n }, (_, i) =>
      antchat({ REDIS_URL: url, ANTCHAT_REDIS_PREFIX: prefix, ANTCHAT_NODE_ID: `node-${i}`, ANTCHAT_PRESENCE_GRACE: "0s", ...settings }),
    ),
  );
  endings.push(() => Promise.all(nodes.map((node) => node.remove())));
  return nodes;
}

/** A server of Node's in the chat of others: its sockets say which rooms they want. */
async function nodeServer(mode, key) {
  const pub = await redis();
  const sub = await redis();
  const http = createServer();
  const io = new Server(http);
  io.adapter(
    mode === "classic"
      ? createAdapter(pub, sub, { key, requestsTimeout: 6_000 })
      : createShardedAdapter(pub, sub, { channelPrefix: key, subscriptionMode: /** @type {any} */ (mode) }),
  );
  io.on("connection", (socket) => {
    socket.data.name = socket.handshake.auth.name;
    socket.on("rooms", (rooms, done) => {
      socket.join(rooms);
      done();
    });
    socket.on("say", (room, event, ...args) => io.to(room).emit(event, ...args));
  });
  await new Promise((resolve) => http.listen(0, "127.0.0.1", () => resolve(undefined)));
  await sub.ping(); // behind the adapter's subscriptions
  endings.push(() => new Promise((resolve) => io.close(() => resolve(undefined))));
  return { io, url: `http://127.0.0.1:${/** @type {any} */ (http.address()).port}` };
}

/** A client of one of ours, named, and in the lobby as everybody is. */
async function member(node, name, rooms = []) {
  const socket = await connect(latest, websocket, node.url, { query: { recovery: "0" } });
  await call(socket, "add user", name);
  for (const room of rooms) {
    await call(socket, "join room", { room });
  }
  return socket;
}

/** Everything that a socket is told, by event, without presence. */
function ears(socket) {
  /** @type {any[][]} */
  const got = [];
  socket.onAny((event, ...args) => {
    if (!["user joined", "user left", "room users", "login"].includes(event)) {
      // The offset of recovery comes last.
      got.push(socket.expectsOffset && typeof args.at(-1) === "string" ? [event, ...args.slice(0, -1)] : [event, ...args]);
    }
  });
  return got;
}

for (const [mode, setting] of [
  ["classic", "classic"],
  ["dynamic", "sharded"],
  ["static", "sharded-static"],
  ["dynamic-private", "sharded-dynamic-private"],
]) {
  describe(`among Node servers, ${mode}`, () => {
    const key = `sio-${mode}`;
    let ann, bob, cat, dan, node, one, two;
    before(async () => {
      [one, two] = await fleet(`${mode}.`, 2, {
        ANTCHAT_OFFICIAL_ADAPTER: setting,
        ANTCHAT_OFFICIAL_PREFIX: key,
        ANTCHAT_RELAY_EVENTS: "draw",
        ANTCHAT_RECOVERY_OFFSETS: "never",
        ANTCHAT_ADMIN_UI_ENABLED: "true",
        ANTCHAT_ADMIN_UI_MODE: "development",
        ANTCHAT_ADMIN_UI_TOKEN: "sixteen bytes at least",
      });
      node = await nodeServer(mode, key);
      ann = await member(one, "ann");
      bob = await member(two, "bob", ["den"]);
      cat = await connect(latest, websocket, node.url, { auth: { name: "cat" } });
      dan = await connect(latest, websocket, node.url, { auth: { name: "dan" } });
      await call(cat, "rooms", ["lobby"]);
      await call(dan, "rooms", ["lobby", "den"]);
      // Nobody says when a room's own channel is subscribed to: try until it is.
      const heard = collect(dan, "draw");
      const back = collect(bob, "there");
      await until(() => {
        bob.emit("draw", "den", "there?");
        node.io.to("den").emit("there");
        return heard.length > 0 && back.length > 0;
      }, "the channel of a room");
      const lobby = collect(cat, "draw");
      const ours = [collect(ann, "there"), collect(bob, "there")];
      back.length = 0;
      await until(() => {
        ann.emit("draw", "lobby", "there?");
        node.io.to("lobby").emit("there");
        return lobby.length > 0 && ours.every((list) => list.length > 0);
      }, "the channel of the lobby");
      await settled();
    });
    after(async () => {
      closeAll();
      await end();
    });

    /** Waits until everything that was said before has arrived everywhere. */
    async function settled() {
      const mark = Math.random().toString(36);
      const everywhere = [ann, bob, cat, dan].map((socket) => new Promise((resolve) => socket.on("mark", (m) => m === mark && resolve(m))));
      node.io.emit("mark", mark);
      await Promise.all(everywhere);
      for (const room of ["lobby", "den"]) {
        const m = mark + room;
        const there = [bob, dan].map((socket) => new Promise((resolve) => socket.on("draw", (_, text) => text === m && resolve(m))));
        const back = [bob, dan].map((socket) => new Promise((resolve) => socket.on("mark", (text) => text === m && resolve(m))));
        if (room === "lobby") {
          ann.emit("draw", room, m); // back to bob through the fleet
        } else {
          node.io.to(room).emit("draw", room, m);
        }
        node.io.to(room).emit("mark", m);
        await Promise.all([...there, ...back]);
      }
    }

    test("a message of ours reaches every socket of both once", async () => {
      const got = [bob, cat, dan].map((socket) => collect(socket, "new message"));
      const ack = await call(ann, "new message", { room: "lobby", message: "모두 🙂", id: "m1" });
      assert.equal(ack.room, "lobby", JSON.stringify(ack));
      const again = await call(ann, "new message", { room: "lobby", message: "모두 🙂", id: "m1" });
      assert.equal(again.seq, ack.seq);
      await Promise.all(got.map((list) => list.atLeast(1)));
      await settled();
      for (const list of got) {
        assert.equal(list.length, 1);
        const [m] = list[0];
        assert.deepEqual([m.username, m.message, m.room, m.id, m.seq, m.epoch], ["ann", "모두 🙂", "lobby", "m1", ack.seq, ack.epoch]);
      }
    });

    test("what is not stored reaches them too, and only the room", async () => {
      const got = [ann, cat, dan].map(ears);
      bob.emit("draw", "den", { x: 1.5 }, Buffer.from([1, 2, 3]));
      await until(() => got[2].some(([event]) => event === "draw"), "dan to see it");
      await settled();
      assert.deepEqual(got[2].filter(([event, room, x]) => event === "draw" && typeof x === "object"), [["draw", "den", { x: 1.5 }, Buffer.from([1, 2, 3])]]);
      for (const list of got.slice(0, 2)) {
        assert.deepEqual(list.filter(([, room, x]) => room === "den" && typeof x === "object"), []);
      }
    });

    test("a Node server's emits reach our sockets once", async () => {
      const got = [ann, bob].map(ears);
      node.io.emit("news", "all", { a: 1 }, Buffer.from([9]));
      node.io.to("lobby").emit("news", "lobby");
      node.io.to("den").emit("news", "den");
      node.io.to(["lobby", "den"]).emit("news", "both");
      node.io.to("lobby").except("den").emit("news", "but");
      node.io.to(bob.id).emit("news", "mine");
      node.io.to("nowhere").emit("news", "nobody");
      await settled();
      const news = (list) => list.filter(([event]) => event === "news").map(([, ...args]) => args[0]).sort();
      assert.deepEqual(news(got[0]), ["all", "both", "but", "lobby"]);
      assert.deepEqual(news(got[1]), ["all", "both", "den", "lobby", "mine"]);
      assert.deepEqual(got[0].find(([event, what]) => event === "news" && what === "all"), ["news", "all", { a: 1 }, Buffer.from([9])]);
    });

    test("a Node server asks all sockets and has every answer", async () => {
      for (const [socket, name] of /** @type {const} */ ([[ann, "ann"], [bob, "bob"], [cat, "cat"], [dan, "dan"]])) {
        socket.once("ask", (x, answer) => answer(`${name} ${x}`));
      }
      const answers = await node.io.timeout(6_000).emitWithAck("ask", 7);
      assert.deepEqual(answers.sort(), ["ann 7", "bob 7", "cat 7", "dan 7"]);
      ann.once("only", (answer) => answer());
      assert.deepEqual(await node.io.timeout(6_000).to("lobby").except(["den", cat.id]).emitWithAck("only"), [undefined]);
    });

    test("a Node server sees, moves and ends our sockets", async () => {
      const list = await node.io.fetchSockets();
      assert.deepEqual(list.map((s) => s.id).sort(), [ann.id, bob.id, cat.id, dan.id].sort());
      const seen = list.find((s) => s.id === bob.id);
      assert.deepEqual([...seen.rooms].sort(), [bob.id, "den", "lobby"].sort());
      assert.equal(seen.handshake.query.EIO, "4");
      assert.deepEqual((await node.io.in("den").fetchSockets()).map((s) => s.id).sort(), [bob.id, dan.id].sort());

      node.io.in(ann.id).socketsJoin("moved");
      const told = collect(ann, "told");
      await until(() => {
        node.io.to("moved").emit("told");
        return told.length > 0;
      }, "ann to be in the room");
      assert.equal((await call(ann, "new message", { room: "moved", message: "hi" })).room, "moved");
      node.io.in("moved").socketsLeave("moved");
      await until(async () => (await call(ann, "new message", { room: "moved", message: "hi" })).error?.code === "not_member", "ann to be out of the room");

      const eve = await member(two, "eve");
      const gone = next(eve, "disconnect");
      node.io.in(eve.id).disconnectSockets(true);
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal(eve.io.engine.readyState, "closed");
      eve.close();
    });

    test("our Admin UI sees, moves, tells and ends a Node server's sockets", async () => {
      const ui = await connect(latest, websocket, `${one.url}/admin`, { auth: { token: "sixteen bytes at least" } });
      const [list] = await next(ui, "all_sockets");
      const seen = list.filter((s) => s.nsp === "/").map((s) => s.id);
      for (const socket of [ann, bob, cat, dan]) {
        assert.ok(seen.includes(socket.id), `${socket.id} in ${seen}`);
      }
      assert.equal(list.find((s) => s.id === cat.id).data.name, "cat");
      const eve = await connect(latest, websocket, node.url, { auth: { name: "eve" } });
      ui.emit("join", "/", "club", eve.id);
      await until(async () => [...(await node.io.in("club").fetchSockets())].length === 1, "eve in the club");
      const told = next(eve, "told");
      ui.emit("emit", "/", eve.id, "told", { a: [1.5] }, Buffer.from([1]));
      assert.deepEqual(await told, [{ a: [1.5] }, Buffer.from([1])]);
      const gone = next(eve, "disconnect");
      ui.emit("_disconnect", "/", false, eve.id);
      assert.equal((await gone)[0], "io server disconnect");
      ui.close();
      eve.close();
    });

    test("a socket of Node's is reached by its id, and a room that only Node knows", async () => {
      const got = ears(cat);
      await call(cat, "rooms", ["attic"]);
      await call(ann, "join room", { room: "attic" });
      await until(() => {
        ann.emit("draw", "attic", "?");
        return got.some(([, room]) => room === "attic");
      }, "cat in the attic");
    });
  });
}

describe("emitters alone", () => {
  let nodes, emitter, raw, members;
  before(async () => {
    nodes = await fleet("emitters.", 3, { ANTCHAT_OFFICIAL_EMITTERS: "true", ANTCHAT_OFFICIAL_PREFIX: "alone", ANTCHAT_OFFICIAL_PYTHON_CHANNEL: "celery", ANTCHAT_RECOVERY_OFFSETS: "never" });
    raw = await redis();
    emitter = new Emitter(raw, { key: "alone" });
    members = await Promise.all(nodes.map((node, i) => member(node, `m${i}`)));
  });
  after(async () => {
    closeAll();
    await end();
  });
  const python = (message) => raw.publish("celery", typeof message === "string" ? message : JSON.stringify({ namespace: "/", skip_sid: null, callback: null, host_id: "0".repeat(32), ...message }));

  test("events reach the members of the room, once", async () => {
    const got = members.map(ears);
    emitter.to("lobby").emit("badge", 3, Buffer.from([1]));
    emitter.emit("all", { a: 1 });
    emitter.to(members[1].id).emit("mine");
    emitter.to("nowhere").emit("badge", 4);
    await python({ method: "emit", event: "job", data: ["done", 7], binary: false, room: "lobby" });
    emitter.emit("end");
    await until(() => got.every((list) => list.some(([event]) => event === "end") && list.some(([event]) => event === "job")), "everything to arrive");
    for (const [i, list] of got.entries()) {
      assert.deepEqual(list.filter(([event]) => event !== "job"), [["badge", 3, Buffer.from([1])], ["all", { a: 1 }], ...(i === 1 ? [["mine"]] : []), ["end"]]);
      assert.deepEqual(list.filter(([event]) => event === "job"), [["job", "done", 7]]);
    }
  });

  test("a new message is stored once, with the emitter as its sender", async () => {
    const got = members.map((socket) => collect(socket, "new message"));
    emitter.to("lobby").emit("new message", { message: "deploy is done" });
    emitter.to("lobby").emit("new message", "twice");
    emitter.to("lobby").emit("new message", "twice");
    emitter.to("lobby").emit("new message", { message: "retried", id: "job-1" });
    emitter.to("lobby").emit("new message", { message: "retried", id: "job-1" });
    emitter.to("lobby").emit("new message", { text: "no message at all" });
    emitter.to("lobby").emit("new message", { message: "last" });
    await Promise.all(got.map((list) => list.atLeast(5)));
    await python({ method: "emit", event: "new message", data: [{ message: "from a worker" }], binary: false, room: "lobby" });
    await Promise.all(got.map((list) => list.atLeast(6)));
    const want = ["emitter: deploy is done", "emitter: twice", "emitter: twice", "emitter: retried", "emitter: last", "python: from a worker"];
    for (const list of got) {
      assert.deepEqual(list.map(([m]) => `${m.username}: ${m.message}`), want);
      assert.deepEqual(list.map(([m]) => m.seq - list[0][0].seq), [0, 1, 2, 3, 4, 5]);
    }
    const { messages } = await call(members[2], "history", { room: "lobby", limit: 6 });
    assert.deepEqual(messages.map((m) => `${m.username}: ${m.message}`), want);
    await until(() => nodes.some((node) => node.log().includes("dropped append")), "the one that is none to be told of");
  });

  test("orders of an emitter", async () => {
    emitter.in(members[0].id).socketsJoin("ordered");
    const told = collect(members[0], "told");
    await until(() => {
      emitter.to("ordered").emit("told");
      return told.length > 0;
    }, "the socket to be in the room");
    const extra = await member(nodes[1], "extra");
    const gone = next(extra, "disconnect");
    emitter.in(extra.id).disconnectSockets();
    assert.equal((await gone)[0], "io server disconnect");
  });

  test("pickles and nonsense are refused and told of; the rest goes on", async () => {
    await python(Buffer.from("80049546000000000000007d", "hex").toString("latin1"));
    await raw.publish("celery", "\x80\x04\x95");
    await raw.publish("celery", "(dp0");
    await raw.publish("celery", "{\"method\":\"emit\"");
    await raw.publish("alone#/#lobby#", "\x93\xa7emitter");
    const got = members.map((socket) => collect(socket, "after"));
    emitter.emit("after");
    await Promise.all(got.map((list) => list.atLeast(1)));
    await until(() => nodes.every((node) => /refused pickle/.test(node.log()) && /refused malformed/.test(node.log())), () => `the refusals in ${nodes[0].log()}`);
  });

  // Last: it kills the nodes.
  test("the node that stores is killed, twice: every message is stored once", async () => {
    const survivors = new Set(nodes.keys());
    const leader = async () => {
      let name = null;
      const living = async () => survivors.has(Number(String((name = await raw.get("ac1:emitters.:official:{emitters}lease"))).slice(5, 6)));
      await until(living, "a living node to lead");
      return Number(String(name).slice(5, 6));
    };
    const total = 300;
    for (let i = 0; i < total; i++) {
      emitter.to("kills").emit("new message", { message: `n${Math.floor(i / 2)}` }); // each text twice
      if (i === 100 || i === 200) {
        const who = await leader();
        survivors.delete(who);
        await nodes[who].kill();
      }
      await new Promise((resolve) => setTimeout(resolve, 3));
    }
    const last = members[[...survivors][0]];
    let page;
    await until(async () => {
      page = await call(last, "join room", { room: "kills" });
      return page.seq >= total;
    }, () => `${total} messages; there are ${page.seq}`);
    let messages = [];
    for (let after = 0; messages.length < page.seq; after = messages.at(-1).seq) {
      messages.push(...(await call(last, "history", { room: "kills", after, limit: 200 })).messages);
    }
    const want = Array.from({ length: total }, (_, i) => `n${Math.floor(i / 2)}`);
    assert.deepEqual(messages.map((m) => m.message), want);
  });
});
