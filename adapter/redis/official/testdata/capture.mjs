// Captures what the official packages publish, as the vectors beside this file:
//
//   node capture.mjs redis://127.0.0.1:PORT /path/to/node_modules > node.json
//
// The folder has socket.io, @socket.io/redis-adapter, redis, and the emitters:
// @socket.io/redis-emitter, emitter4 (@socket.io/redis-emitter@4.1.1) and
// emitter3 (socket.io-emitter@3.2.0). The Redis is empty and nobody else's.
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";

const [url, modules] = process.argv.slice(2);
const require = createRequire(modules + "/");
const { Server } = require("socket.io");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { createClient } = require("redis");

const clients = [];
async function client() {
  const c = createClient({ url });
  c.on("error", (e) => { throw e; });
  await c.connect();
  clients.push(c);
  return c;
}
const tap = await client();
const spy = await client();
const out = [];
let group = "", label = "";
const seen = (message, channel) => out.push({ group, name: label, channel: channel.toString(), hex: message.toString("hex") });
await tap.pSubscribe("*", seen, true);

async function step(name, f) {
  label = name;
  f && f();
  await sleep(120);
  label = "late: " + name;
}
class Fixed { constructor() { this.x = 1; } toJSON() { return { fixed: true }; } }
const date = new Date(1700000000000), late = new Date(1700000000123);

async function server(create, groupName, more) {
  group = groupName;
  const io = new Server();
  io.adapter(create(await client(), await client(), more));
  await sleep(150);
  return io;
}
// One answers beside the one that asks.
async function full(create, prefix) {
  const io = await server(create, prefix);
  const chat = io.of("/chat");
  const other = new Server();
  other.adapter(create(await client(), await client()));
  other.of("/chat");
  other.on("pong", (v, answer) => answer && answer({ pong: v }));
  await sleep(200);
  for (const n of [io, other]) {
    // Sockets without a transport: enough for an adapter.
    for (const nsp of [n.of("/"), n.of("/chat")]) {
      const id = (n === io ? "A" : "B").repeat(20);
      nsp.sockets.set(id, { id, handshake: { headers: { host: "h" }, time: "t", address: "127.0.0.1", xdomain: false, secure: true, issued: 1, url: "/socket.io/", query: { EIO: "4" }, auth: {} }, rooms: new Set([id, "r1"]), data: n === io ? {} : { n: 1 },
        packet() {}, notifyOutgoingListeners() {}, join(r) { nsp.adapter.addAll(id, new Set([].concat(r))); }, leave(r) { nsp.adapter.del(id, r); }, disconnect() {},
        client: { writeToEngine() { const { acks } = nsp.sockets.get(id); for (const [n, ack] of acks) { acks.delete(n); ack("v1"); } } }, acks: new Map() });
      nsp.adapter.addAll(id, new Set([id, "r1"]));
    }
  }
  await sleep(200);
  await step("emit", () => io.emit("hi", 1, "x", true, null, undefined, { a: 1.5 }));
  await step("emit, numbers", () => io.emit("n", -1, -33, 128, 65536, 4294967296, -4294967296, 1e21, 0.1, -0, NaN, Infinity));
  await step("emit, text", () => io.emit("텍스트", "é😀\u2028\u0001\"\\", ""));
  await step("emit, dates", () => io.emit("d", date, late, new Fixed()));
  await step("emit, several rooms", () => io.to(["r1", "r2"]).except("r3").volatile.compress(false).emit("hi"));
  await step("emit, one room", () => io.to("r1").emit("hi", { u: undefined, a: [] }));
  await step("emit, numeric rooms", () => io.to([42, 1.5]).except(7).emit("hi"));
  await step("emit, a room with #", () => io.to("r#1#").emit("hi"));
  await step("emit, binary", () => io.to("r1").emit("b", Buffer.from([1, 2, 3]), { x: new Uint8Array([4]) }));
  await step("emit, 20 characters", () => io.to("A".repeat(20)).emit("hi"));
  await step("emit, namespace", () => chat.emit("hi"));
  await step("numeric event", () => io.emit(7, 8));
  await step("join", () => io.in("r1").socketsJoin(["r2", "r4"]));
  await step("leave", () => io.in("r1").except("r9").socketsLeave("r2"));
  await step("disconnect", () => io.in("r9").disconnectSockets(true));
  await step("disconnect all in the namespace", () => chat.in(["r8", "r9"]).disconnectSockets());
  await step("fetch", () => io.in("r1").fetchSockets().catch(() => {}));
  await step("fetch, empty", () => io.in("r9").fetchSockets().catch(() => {}));
  await step("rooms", () => io.of("/").adapter.allRooms && io.of("/").adapter.allRooms().catch(() => {}));
  await step("server event", () => io.serverSideEmit("ev", 1, { a: 2 }));
  await step("server event, binary", () => io.serverSideEmit("ev", Buffer.from([1, 2])));
  await step("server event, answered", () => io.serverSideEmit("pong", 5, () => {}));
  await step("acks", () => io.to("r1").timeout(500).emit("q", 1, () => {}));
  await step("acks, binary", () => io.to("r9").timeout(500).emit("q", Buffer.from([9]), () => {}));
}

await full(createAdapter, "classic");
const shard = await client();
for (const room of ["", "r1#", "r#1##", "AAAAAAAAAAAAAAAAAAAA#"]) {
  await shard.sSubscribe("socket.io#/#" + room, seen, true);
}
await shard.sSubscribe("socket.io#/chat#", seen, true);
// The responses' channels are known only once the adapters are.
const create = (pub, sub, more) => {
  const made = createShardedAdapter(pub, sub, more);
  return function (nsp) {
    const adapter = made(nsp);
    shard.sSubscribe(adapter.responseChannel, seen, true);
    return adapter;
  };
};
await full(create, "sharded");

for (const name of ["@socket.io/redis-emitter", "emitter4", "emitter3"]) {
  group = name;
  const module = require(name);
  const old = name === "emitter3";
  const e = old ? module({ publish: (c, m) => spy.publish(c, m), hset() {} }) : new module.Emitter(spy);
  await step("emit", () => e.emit("hi", 1, "x", true, null, { a: 1.5, d: old ? 1 : date }));
  await step("emit, one room", () => e.to("r1").emit("hi", [1]));
  await step("emit, two rooms", () => e.to("r1").to("r2").emit("hi"));
  if (!old) await step("emit, except", () => e.to("r1").except("r3").emit("hi"));
  await step("emit, volatile", () => e.volatile.emit("hi"));
  await step("emit, undefined", () => e.emit("hi", undefined, { u: undefined }));
  await step("emit, binary", () => e.to("r1").emit("b", Buffer.from([1, 2, 3])));
  await step("emit, namespace", () => e.of("/chat").to("r1").emit("hi"));
  await step("new message", () => e.to("lobby").emit("new message", "hello"));
  if (!old) {
    await step("join", () => e.in("r1").socketsJoin("r2"));
    await step("leave", () => e.in("r1").socketsLeave(["r2", "r3"]));
    await step("disconnect", () => e.in("r1").disconnectSockets(true));
    await step("server event", () => e.serverSideEmit("ev", 1, { a: 2 }));
  }
}
group = "@socket.io/redis-emitter, JSON";
// With a key of its own: a classic adapter with the default parser ends its process at JSON.
const { Emitter } = require("@socket.io/redis-emitter");
const json = new Emitter(spy, { key: "json", parser: { encode: JSON.stringify, decode: JSON.parse } });
await step("emit", () => json.to("r1").emit("hi", 1));

for (const v of out) v.name = v.name.replace(/^late: /, "");
console.log(JSON.stringify(out, null, 1));
process.exit(0);
