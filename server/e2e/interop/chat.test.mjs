// One room, every generation of the client over every transport, through the
// vocabulary of docs/protocol.md against the real server.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { antchat } from "./antchat.mjs";
import { call, closeAll, collect, combinations, connect, connected, next, start, texts, until, within } from "./clients.mjs";
import { link } from "./link.mjs";

/** @type {Awaited<ReturnType<typeof antchat>>} */
let server;
before(async () => {
  server = await antchat({ ANTCHAT_RELAY_EVENTS: "file" });
});
after(() => server.remove());
afterEach(closeAll);

/** The next such event of that room: everybody is in the lobby too. */
function nextIn(socket, event, room) {
  return within(
    new Promise((resolve) => socket.on(event, (payload) => payload.room === room && resolve(payload))),
    `${event} in ${room}`,
  );
}

describe("one room for all", () => {
  test("every version over every transport sees what every other wrote, once and in order", async () => {
    const room = "모두의 방";
    const members = [];
    for (const { version, way, name } of combinations) {
      const socket = await connect(version, way, server.url);
      const named = await call(socket, "add user", name);
      assert.equal(named.username, name);
      const joined = await call(socket, "join room", { room });
      assert.equal(joined.room, room, JSON.stringify(joined));
      members.push({ name, socket, got: collect(socket, "new message") });
    }
    /** @type {{username: string, message: string, id: string, seq: number}[]} */
    const written = [];
    for (const { name, socket } of members) {
      for (const [script, message] of Object.entries(texts)) {
        const id = `${name} ${script}`;
        const ack = await call(socket, "new message", { room, message, id });
        assert.deepEqual([ack.id, ack.room], [id, room], JSON.stringify(ack));
        written.push({ username: name, message, id, seq: ack.seq });
      }
    }
    for (const [i, { seq }] of written.entries()) {
      assert.equal(seq, written[0].seq + i, "the room's numbers are dense");
    }
    for (const { name, socket, got } of members) {
      const others = written.filter(({ username }) => username !== name);
      await got.atLeast(others.length);
      assert.deepEqual(
        got.map(([m]) => ({ username: m.username, message: m.message, id: m.id, seq: m.seq })),
        others,
        name,
      );
      assert.ok(got.every(([m]) => m.room === room && m.ts));
      const { messages } = await call(socket, "history", { room, limit: 200 });
      assert.deepEqual(
        messages.map((m) => m.message),
        written.map((m) => m.message),
        `${name}: history`,
      );
    }
  });

  test("binary reaches every version from every version", async () => {
    const room = "files";
    const members = [];
    for (const { version, way, name } of combinations) {
      const socket = await connect(version, way, server.url);
      await call(socket, "join room", { room });
      members.push({ name, socket, got: collect(socket, "file") });
    }
    const bytes = Buffer.from(Array.from({ length: 1000 }, (_, i) => (i * 7) % 256));
    for (const { name, socket } of members) {
      socket.emit("file", room, { name: `${name} ${texts.mixed}`, bytes, small: Buffer.from([0]) });
    }
    for (const { name, got } of members) {
      await got.atLeast(members.length - 1);
      const from = got.map((args) => {
        const file = args.find((a) => a !== null && typeof a === "object");
        assert.deepEqual(Buffer.from(file.bytes), bytes);
        assert.deepEqual(Buffer.from(file.small), Buffer.from([0]));
        return file.name;
      });
      const others = members.filter((m) => m.name !== name).map((m) => `${m.name} ${texts.mixed}`);
      assert.deepEqual(from.sort(), others.sort(), name);
    }
  });
});

for (const { version, way, name } of combinations) {
  describe(name, () => {
    test("joining, typing, leaving are told to the others", async () => {
      const room = `life of ${name}`;
      const witness = await connect(version, way, server.url);
      await call(witness, "add user", "목격자");
      await call(witness, "join room", { room });
      const guest = await connect(version, way, server.url);
      const { user } = await call(guest, "add user", "새사람 😀");

      const came = nextIn(witness, "user joined", room);
      const joined = await call(guest, "join room", { room });
      assert.equal(joined.numUsers, 2);
      assert.deepEqual(await came, { username: "새사람 😀", numUsers: 2, room, user });

      // Typing is volatile: between two polls it may be dropped, so it is said
      // until it was heard, as a person goes on typing.
      for (const event of ["typing", "stop typing"]) {
        let heard;
        nextIn(witness, event, room).then((payload) => (heard = payload));
        await until(() => {
          guest.emit("typing", { room });
          if (event === "stop typing") {
            guest.emit("stop typing", { room });
          }
          return heard;
        }, event);
        assert.deepEqual(heard, { username: "새사람 😀", room });
      }

      const went = nextIn(witness, "user left", room);
      assert.deepEqual(await call(guest, "leave room", { room }), { room });
      assert.deepEqual(await went, { username: "새사람 😀", numUsers: 1, room, user });
    });

    test("join room with since gives what was missed, and no more", async () => {
      const room = `since ${name}`;
      const writer = await connect(version, way, server.url);
      const reader = await connect(version, way, server.url);
      await call(writer, "join room", { room });
      const first = await call(reader, "join room", { room });
      let last = first;
      for (let i = 0; i < 3; i++) {
        last = await call(writer, "new message", { room, message: `seen ${i}`, id: `seen ${i}` });
      }
      await call(reader, "leave room", { room });
      for (let i = 0; i < 5; i++) {
        await call(writer, "new message", { room, message: `missed ${i}`, id: `missed ${i}` });
      }
      const back = await call(reader, "join room", { room, since: last.seq, epoch: first.epoch });
      assert.deepEqual(
        back.messages.map((m) => m.message),
        ["missed 0", "missed 1", "missed 2", "missed 3", "missed 4"],
      );
      assert.equal(back.seq, last.seq + 5);
      assert.equal(back.more, false);
      assert.ok(!back.gap);
      // What comes live then continues there.
      const live = next(reader, "new message");
      await call(writer, "new message", { room, message: "live", id: "live" });
      assert.equal((await live)[0].seq, back.seq + 1);
    });

    test("a retry with the same id is one message, another text under it is refused", async () => {
      const room = `retry ${name}`;
      const socket = await connect(version, way, server.url);
      const witness = await connect(version, way, server.url);
      await call(socket, "join room", { room });
      await call(witness, "join room", { room });
      const got = collect(witness, "new message");
      const message = { room, message: texts.mixed, id: "once" };
      const ack = await call(socket, "new message", message);
      assert.deepEqual(await call(socket, "new message", message), ack);
      assert.deepEqual(await call(socket, "new message", message), ack);
      const refusal = await call(socket, "new message", { ...message, message: "another" });
      assert.equal(typeof refusal.error?.code, "string", JSON.stringify(refusal));
      assert.equal(refusal.error.retryable, false);
      const second = await call(socket, "new message", { room, message: "second", id: "twice" });
      assert.equal(second.seq, ack.seq + 1);
      await got.atLeast(2);
      assert.deepEqual(
        got.map(([m]) => m.message),
        [texts.mixed, "second"],
      );
    });

    test("what is too long is refused in words, what is over the transport's limit ends the connection alone", async () => {
      const room = `limits ${name}`;
      const socket = await connect(version, way, server.url);
      const witness = await connect(version, way, server.url);
      await call(socket, "join room", { room });
      await call(witness, "join room", { room });
      const got = collect(witness, "new message");
      const longest = "가".repeat(4000);
      assert.ok((await call(socket, "new message", { room, message: longest, id: "1" })).seq);
      const refusal = await call(socket, "new message", { room, message: `${longest}가`, id: "2" });
      assert.equal(typeof refusal.error?.code, "string", JSON.stringify(refusal));
      const gone = next(socket, "disconnect");
      socket.emit("new message", { room, message: "x".repeat(1_010_000), id: "3" });
      await gone;
      await connected(socket);
      await call(socket, "join room", { room });
      assert.ok((await call(socket, "new message", { room, message: "still here", id: "4" })).seq);
      await got.atLeast(2);
      assert.deepEqual(
        got.map(([m]) => m.message),
        [longest, "still here"],
      );
      assert.ok(witness.connected);
    });

    test("after a cut a client without recovery is a clean new session that catches up by since", async () => {
      const room = `cut ${name}`;
      const wire = await link(server.port);
      try {
        const writer = await connect(version, way, server.url);
        await call(writer, "join room", { room });
        // 4.x would recover: taking its offset away is what an older client is.
        const socket = await connect(version, way, wire.url);
        const { epoch, seq } = await call(socket, "join room", { room });
        const before = socket.id;
        const got = collect(socket, "new message");
        const gone = next(socket, "disconnect");
        wire.cut();
        await gone;
        if (version.recovers) {
          delete socket._pid;
          delete socket._lastOffset;
        }
        for (let i = 0; i < 3; i++) {
          await call(writer, "new message", { room, message: `missed ${i}`, id: `m${i}` });
        }
        wire.mend();
        await connected(socket);
        assert.notEqual(socket.id, before);
        if (version.recovers) {
          assert.equal(socket.recovered, false);
        }
        const back = await call(socket, "join room", { room, since: seq, epoch });
        assert.deepEqual(
          back.messages.map((m) => m.message),
          ["missed 0", "missed 1", "missed 2"],
        );
        assert.equal(got.length, 0, "a new session gets nothing before it joins");
      } finally {
        closeAll();
        await wire.close();
      }
    });

    test("an event that nobody knows still gets its one ack", async () => {
      const socket = start(version, way, server.url);
      await connected(socket);
      const answer = await call(socket, "no such event", { a: 1 });
      assert.equal(answer.error.code, "unknown_event");
    });
  });
}
