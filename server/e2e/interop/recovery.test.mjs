// Connection state recovery as unmodified socket.io-client 4.x uses it, and
// what survives a stop and a kill -9 for everybody else.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { call, closeAll, collect, combinations, connect, connected, deadline, latest, next, start, texts, until, ways } from "./clients.mjs";
import { relay, serve } from "./lifetime.mjs";

async function cut(wire, socket) {
  wire.cut();
  await until(() => !socket.connected, "the client to notice the cut");
}

const messagesOf = (got) => got.map(([m]) => m.message);

for (const way of ways) {
  describe(`4.8.4 over ${way.name}`, () => {
    test("recovers after a cut: same id, same rooms, what it missed, in order, once", async () => {
      const server = await serve();
      const wire = await relay(server.port);
      const writer = await connect(latest, way, server.url);
      const socket = await connect(latest, way, wire.url);
      for (const room of ["하나", "둘"]) {
        await call(writer, "join room", { room });
        await call(socket, "join room", { room });
      }
      const got = collect(socket, "new message");
      const expected = [];
      async function write(n) {
        for (let i = 0; i < n; i++) {
          const message = `${expected.length} ${texts.korean}`;
          await call(writer, "new message", { room: i % 2 ? "둘" : "하나", message, id: message });
          expected.push(message);
        }
      }
      await write(3);
      await got.atLeast(3);
      for (let round = 0; round < 3; round++) {
        const { id } = socket;
        await cut(wire, socket);
        await write(6);
        wire.mend();
        await connected(socket);
        assert.equal(socket.recovered, true, "recovered");
        assert.equal(socket.id, id, "the same id");
        await got.atLeast(expected.length);
        await write(2); // it still is in both rooms
        await got.atLeast(expected.length);
        assert.deepEqual(messagesOf(got), expected);
      }
    });

    test("recovers through kill -9 and a restart", async () => {
      const server = await serve();
      const wire = await relay(server.port);
      const writer = await connect(latest, way, server.url);
      const socket = await connect(latest, way, wire.url);
      await call(writer, "join room", { room: "r" });
      await call(socket, "join room", { room: "r" });
      const got = collect(socket, "new message");
      const echoed = collect(writer, "new message");
      await call(writer, "new message", { room: "r", message: "before", id: "before" });
      await got.atLeast(1);
      const ids = [socket.id, writer.id];
      await cut(wire, socket);
      for (const message of ["missed 1", "missed 2", "missed 3"]) {
        assert.ok((await call(writer, "new message", { room: "r", message, id: message })).seq);
      }
      const gone = next(writer, "disconnect");
      await server.kill();
      await gone;
      await server.start();
      wire.mend();
      await Promise.all([connected(socket), connected(writer)]);
      assert.deepEqual([socket.recovered, writer.recovered], [true, true]);
      assert.deepEqual([socket.id, writer.id], ids);
      await call(writer, "new message", { room: "r", message: "after", id: "after" });
      await got.atLeast(5);
      assert.deepEqual(messagesOf(got), ["before", "missed 1", "missed 2", "missed 3", "after"]);
      // The same retry as before the kill is still the same message.
      const again = await call(writer, "new message", { room: "r", message: "missed 3", id: "missed 3" });
      const { seq } = await call(writer, "join room", { room: "r" });
      assert.equal(again.seq, seq - 1);
      assert.equal(echoed.length, 0, "a writer does not get its own words back, not by recovery either");
    });

    test("an ack lost on the way: the client's own retry finds its message, nobody sees it twice", async () => {
      const server = await serve();
      const wire = await relay(server.port);
      const witness = await connect(latest, way, server.url);
      await call(witness, "join room", { room: "r" });
      const got = collect(witness, "new message");
      const socket = await connect(latest, way, wire.url, { retries: 20, ackTimeout: 2000 });
      const joined = await new Promise((resolve) => socket.emit("join room", { room: "r" }, (err, answer) => resolve(answer)));
      assert.equal(joined.room, "r");
      wire.deafen();
      const acked = new Promise((resolve, reject) =>
        socket.emit("new message", { room: "r", message: "once", id: "once" }, (err, ack) => (err ? reject(err) : resolve(ack))),
      );
      await got.atLeast(1); // it was stored and told
      await cut(wire, socket);
      wire.mend();
      const ack = await acked;
      assert.equal(ack.seq, got[0][0].seq);
      const other = await connect(latest, way, server.url);
      await call(other, "join room", { room: "r" });
      await call(other, "new message", { room: "r", message: "end", id: "end" });
      await until(() => messagesOf(got).includes("end"), "the end");
      assert.deepEqual(messagesOf(got), ["once", "end"]);
    });

    test("a pid that the server does not know gets a clean new session", async () => {
      const server = await serve();
      const socket = await connect(latest, way, server.url);
      await call(socket, "join room", { room: "r" });
      const { id } = socket;
      socket._pid = "AAAAAAAAAAAAAAAAAAAA";
      socket._lastOffset = "1.AAAA";
      const gone = next(socket, "disconnect");
      socket.io.engine.close();
      await gone;
      await connected(socket);
      assert.equal(socket.recovered, false);
      assert.notEqual(socket.id, id);
      assert.ok((await call(socket, "join room", { room: "r" })).room);
    });

    test("beyond the window it is a clean new session", async () => {
      const server = await serve({
        ANTCHAT_RECOVERY_WINDOW: "300ms",
        ANTCHAT_PRESENCE_GRACE: "1ms",
        ANTCHAT_ENGINE_PING_INTERVAL: "1s",
        ANTCHAT_ENGINE_PING_TIMEOUT: "2s",
      });
      const wire = await relay(server.port);
      const witness = await connect(latest, ways[1], server.url);
      const socket = await connect(latest, way, wire.url);
      await call(socket, "add user", "가는 사람");
      const { id } = socket;
      // The window begins when the server notices; over polling that takes a
      // heartbeat. Then everybody is told.
      const noticed = next(witness, "user left");
      await cut(wire, socket);
      await noticed;
      await new Promise((resolve) => setTimeout(resolve, 1500));
      wire.mend();
      await connected(socket);
      assert.equal(socket.recovered, false);
      assert.notEqual(socket.id, id);
    });
  });
}

test("a live client and its double: the second to claim a session gets it, once", async () => {
  const server = await serve();
  const socket = await connect(latest, ways[1], server.url);
  await call(socket, "join room", { room: "r" });
  const writer = await connect(latest, ways[1], server.url);
  await call(writer, "join room", { room: "r" });
  const got = collect(socket, "new message");
  await call(writer, "new message", { room: "r", message: "1", id: "1" });
  await got.atLeast(1);
  // A half-open connection: the client comes back before the server noticed.
  const twin = start(latest, ways[1], server.url, { autoConnect: false, reconnection: false });
  twin._pid = socket._pid;
  twin._lastOffset = socket._lastOffset;
  const twinGot = collect(twin, "new message");
  const gone = next(socket, "disconnect");
  socket.io.reconnection(false);
  twin.connect();
  await connected(twin);
  assert.equal(twin.recovered, true);
  await gone;
  await call(writer, "new message", { room: "r", message: "2", id: "2" });
  await twinGot.atLeast(1);
  assert.deepEqual(messagesOf(twinGot), ["2"]);
  assert.deepEqual(messagesOf(got), ["1"]);
});

describe("after a restart the messages are still there", () => {
  for (const how of /** @type {const} */ (["stop", "kill"])) {
    test(how === "stop" ? "after a clean stop" : "after kill -9", { timeout: 4 * deadline }, async () => {
      const server = await serve();
      const rooms = new Map();
      for (const { version, way, name } of combinations) {
        const socket = await connect(version, way, server.url, { reconnection: false });
        await call(socket, "join room", { room: name });
        const said = [];
        for (const [script, message] of Object.entries(texts)) {
          const ack = await call(socket, "new message", { room: name, message, id: script });
          said.push({ message, seq: ack.seq });
        }
        rooms.set(name, said);
      }
      await server[how]();
      closeAll();
      await server.start();
      for (const { version, way, name } of combinations) {
        const socket = await connect(version, way, server.url);
        const { messages } = await call(socket, "join room", { room: name });
        assert.deepEqual(
          messages.map(({ message, seq }) => ({ message, seq })),
          rooms.get(name),
          name,
        );
        const ack = await call(socket, "new message", { room: name, message: "next", id: "next" });
        assert.equal(ack.seq, rooms.get(name).at(-1).seq + 1);
      }
    });
  }
});
