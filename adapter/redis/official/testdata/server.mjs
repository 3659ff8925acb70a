// A real Node server with the official Redis adapter, without any client of its
// own: its sockets are made here, enough of one for the adapters. It is told
// what to do on stdin and says what happened on stdout, a JSON value a line.
//
//   node server.mjs MODULES REDIS_URL classic|static|dynamic|dynamic-private PREFIX [specific]
import { createRequire } from "node:module";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const [modules, url, mode, key, specific] = process.argv.slice(2);
const require = createRequire(modules + "/");
const { Server } = require("socket.io");
const { io: connect } = require("sio4");
const { createAdapter, createShardedAdapter } = require("@socket.io/redis-adapter");
const { Emitter } = require("@socket.io/redis-emitter");
const { createClient } = require("redis");

const say = (what) => process.stdout.write(JSON.stringify(what, (k, v) => (v === undefined ? null : v)) + "\n");
const client = async () => {
  const c = createClient({ url, RESP: 2 });
  c.on("error", (e) => say({ error: String(e) }));
  await c.connect();
  return c;
};
const pub = await client();
const sub = await client();
const http = createServer();
const io = new Server(http);
io.adapter(
  mode === "classic"
    ? createAdapter(pub, sub, { key, requestsTimeout: 3000, publishOnSpecificResponseChannel: !!specific })
    : createShardedAdapter(pub, sub, { channelPrefix: key, subscriptionMode: mode }),
);
const emitter = new Emitter(pub, { key });
const spaces = ["/", "/chat"];
const sockets = {};
for (const nsp of spaces) {
  const space = io.of(nsp);
  space.on("connection", (socket) => {
    sockets[nsp + socket.handshake.auth.name] = socket;
    socket.data.name = socket.handshake.auth.name;
  });
  space.on("ask", (...args) => {
    const answer = args.pop();
    say({ server: nsp, event: "ask", args });
    answer({ node: args });
  });
  space.on("tell", (...args) => say({ server: nsp, event: "tell", args }));
}
await new Promise((done) => http.listen(0, "127.0.0.1", done));
const at = "http://127.0.0.1:" + http.address().port;

const clients = {};
async function join(nsp, name, rooms) {
  const c = connect(at + nsp, { transports: ["websocket"], forceNew: true, auth: { name }, reconnection: false });
  clients[nsp + name] = c;
  c.onAny((event, ...args) => {
    const answer = typeof args.at(-1) === "function" ? args.pop() : undefined;
    say({ client: name, nsp, event, args });
    if (answer && event !== "silent") event === "nothing" ? answer() : answer(args[0] instanceof Buffer || args[0]?.type === "Buffer" ? args[0] : { from: name, got: args });
  });
  c.on("disconnect", (reason) => say({ client: name, nsp, gone: reason }));
  await new Promise((done) => c.on("connect", done));
  sockets[nsp + name].join(rooms);
  return c.id;
}
// Buffers travel in the commands as {"$": base64}.
const revive = (k, v) => (v && typeof v === "object" && typeof v.$ === "string" ? Buffer.from(v.$, "base64") : v);

function target(from, c) {
  let t = from;
  if (c.nsp && from === io) t = io.of(c.nsp);
  if (c.nsp && from === emitter) t = emitter.of(c.nsp);
  if (c.rooms) t = t.to(c.rooms);
  if (c.except) t = t.except(c.except);
  if (c.volatile) t = t.volatile;
  if (c.timeout) t = t.timeout(c.timeout);
  return t;
}
const space = (c) => io.of(c.nsp || "/");
const operations = {
  client: (c) => join(c.nsp || "/", c.name, c.rooms),
  emit: (c) => void target(c.emitter ? emitter : io, c).emit(...c.args),
  join: (c) => void target(c.emitter ? emitter : io, c).socketsJoin(c.names),
  leave: (c) => void target(c.emitter ? emitter : io, c).socketsLeave(c.names),
  disconnect: (c) => void target(c.emitter ? emitter : io, c).disconnectSockets(c.close),
  tell: (c) => void (c.emitter ? target(emitter, c) : space(c)).serverSideEmit(...c.args),
  ask: (c) => new Promise((done) => space(c).serverSideEmit(...c.args, (error, answers) => done({ error: error && String(error), answers }))),
  acks: (c) => new Promise((done) => target(io, c).emit(...c.args, (error, answers) => done({ error: error && String(error), answers }))),
  fetch: async (c) => (await target(io, c).fetchSockets()).map((s) => ({ id: s.id, rooms: [...s.rooms], data: s.data, handshake: s.handshake })),
  rooms: async (c) => [...(await space(c).adapter.allRooms())],
  ids: async (c) => [...(await target(io, c).allSockets())],
  mine: (c) => [...sockets[(c.nsp || "/") + c.name].rooms],
  data: (c) => void (sockets[(c.nsp || "/") + c.name].data = c.data),
  reset: async () => {
    for (const c of Object.values(clients)) {
      c.offAny();
      c.off("disconnect");
      c.disconnect();
    }
    for (const nsp of spaces) {
      while (io.of(nsp).sockets.size > 0) await new Promise((done) => setTimeout(done, 5));
    }
  },
  sync: () => true,
};
createInterface({ input: process.stdin }).on("line", async (line) => {
  const c = JSON.parse(line, revive);
  try {
    say({ reply: c.id, value: await operations[c.op](c) });
  } catch (e) {
    say({ reply: c.id, error: String(e) });
  }
}).on("close", () => process.exit(0));
// Subscriptions are not waited for by the adapters; a command on the same
// connection is answered behind them.
await sub.ping();
say({ ready: true });
