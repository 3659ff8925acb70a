// What every generation of socket.io-client may expect of the protocol layers,
// whatever the application: run against the conformance server's /socket.io/,
// which answers "message" with "message-back" and the same arguments, acks
// "message-with-ack" with its arguments, and emits "auth" on connect.
import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { call, callAll, closeAll, collect, combinations, connect, connected, latest, next, settled, start, texts, until, ways } from "./clients.mjs";
import { link } from "./link.mjs";
import msgpack from "socket.io-msgpack-parser";

const url = process.env.ANTCHAT_CONFORMANCE_URL ?? "";
assert.ok(url, "ANTCHAT_CONFORMANCE_URL names no server");
const limit = 1_000_000; // maxHttpBufferSize there

afterEach(closeAll);

for (const { version, way, name } of combinations) {
  describe(name, () => {
    test("connects, echoes, acknowledges", async () => {
      const socket = await connect(version, way, url);
      socket.emit("message", 1, "two", { three: [null, true] }, []);
      assert.deepEqual(await next(socket, "message-back"), [1, "two", { three: [null, true] }, []]);
      assert.deepEqual(await callAll(socket, "message-with-ack", 1, { a: "b" }), [1, { a: "b" }]);
      assert.deepEqual(await callAll(socket, "message-with-ack"), []);
    });

    test("text of any script comes back as it was", async () => {
      const socket = await connect(version, way, url);
      for (const [script, text] of Object.entries(texts)) {
        assert.equal(await call(socket, "message-with-ack", text), text, script);
        assert.deepEqual(await call(socket, "message-with-ack", { [text]: [text] }), { [text]: [text] }, `${script} as a key`);
      }
      // Together in one payload, where a wrong length moves every packet after it.
      const back = collect(socket, "message-back");
      for (const text of Object.values(texts)) {
        socket.emit("message", text);
      }
      await back.atLeast(Object.keys(texts).length);
      assert.deepEqual(back.flat(), Object.values(texts));
    });

    test("binary goes both ways, between texts and nested", async () => {
      const socket = await connect(version, way, url);
      const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      const back = collect(socket, "message-back");
      socket.emit("message", texts.korean);
      socket.emit("message", bytes);
      socket.emit("message", texts.emoji, { deep: [{ first: Buffer.from([0]) }, bytes], empty: Buffer.alloc(0) });
      socket.emit("message", "after");
      await back.atLeast(4);
      assert.equal(back[0][0], texts.korean);
      assert.deepEqual(Buffer.from(back[1][0]), bytes);
      assert.equal(back[2][0], texts.emoji);
      assert.deepEqual(Buffer.from(back[2][1].deep[0].first), Buffer.from([0]));
      assert.deepEqual(Buffer.from(back[2][1].deep[1]), bytes);
      assert.equal(Buffer.from(back[2][1].empty).length, 0);
      assert.equal(back[3][0], "after");
      assert.deepEqual(Buffer.from(await call(socket, "message-with-ack", bytes)), bytes);
    });

    test("what is just below the limit passes", async () => {
      const socket = await connect(version, way, url);
      const big = "x".repeat(limit - 1000);
      assert.equal(await call(socket, "message-with-ack", big), big);
      // In base64 (polling) a third more of it travels.
      const bytes = Buffer.alloc(Math.floor(limit * 0.7), 7);
      assert.ok(Buffer.from(await call(socket, "message-with-ack", bytes)).equals(bytes));
    });

    test("what is over the limit ends the connection, and a new one serves on", async () => {
      const socket = await connect(version, way, url);
      const gone = next(socket, "disconnect");
      socket.emit("message", "x".repeat(limit + 10_000));
      await gone;
      await connected(socket);
      assert.equal(await call(socket, "message-with-ack", "again"), "again");
    });

    test("comes back after its connection was cut", async () => {
      const wire = await link(Number(new URL(url).port));
      try {
        const socket = await connect(version, way, wire.url);
        for (let i = 0; i < 3; i++) {
          const gone = next(socket, "disconnect");
          wire.cut();
          await gone;
          assert.equal(socket.connected, false);
          wire.mend();
          await settled(socket, way);
          assert.equal(await call(socket, "message-with-ack", i), i);
        }
      } finally {
        closeAll();
        await wire.close();
      }
    });

    test("another namespace has its own connection, an unknown one is refused", async () => {
      const socket = await connect(version, way, url);
      const custom = start(version, way, `${url}/custom`);
      await next(custom, "auth");
      const unknown = start(version, way, `${url}/random`);
      const [refusal] = await next(unknown, version.protocol === 3 ? "error" : "connect_error");
      assert.match(refusal.message ?? refusal, /Invalid namespace/);
      assert.equal(await call(socket, "message-with-ack", "still here"), "still here");
    });

    test("many events keep their order", async () => {
      const socket = await connect(version, way, url);
      const back = collect(socket, "message-back");
      for (let i = 0; i < 500; i++) {
        socket.emit("message", i, i % 50 === 0 ? Buffer.from([i % 256]) : texts.mixed);
      }
      await back.atLeast(500);
      assert.deepEqual(
        back.map(([i]) => i),
        Array.from({ length: 500 }, (_, i) => i),
      );
    });
  });
}

describe("events emitted while the upgrade is under way", () => {
  for (const { version, way, name } of combinations.filter(({ way }) => way.name === "upgrade")) {
    test(`${name}: none lost, repeated or reordered`, async () => {
      for (let round = 0; round < 5; round++) {
        const socket = start(version, way, url);
        await next(socket, "connect");
        const back = collect(socket, "message-back");
        let sent = 0;
        await until(() => {
          socket.emit("message", sent++);
          return socket.io.engine.transport.name === "websocket";
        }, "the upgrade");
        socket.emit("message", sent++);
        await back.atLeast(sent);
        assert.deepEqual(
          back.map(([i]) => i),
          Array.from({ length: sent }, (_, i) => i),
        );
        socket.close();
      }
    });
  }
});

describe("the msgpack parser", () => {
  for (const way of ways) {
    test(`4.8.4 over ${way.name}`, async () => {
      const socket = await connect(latest, way, url, { parser: msgpack });
      const bytes = Buffer.from([0, 1, 254, 255]);
      const [text, number, nested, absent] = await callAll(socket, "message-with-ack", texts.mixed, 1.5, { bytes, list: [1, -1, 2 ** 40] }, null);
      assert.equal(text, texts.mixed);
      assert.equal(number, 1.5);
      assert.deepEqual(Buffer.from(nested.bytes), bytes);
      assert.deepEqual(nested.list, [1, -1, 2 ** 40]);
      assert.equal(absent, null);
    });
  }
});

describe("credentials", () => {
  for (const { version, way, name } of combinations.filter(({ version }) => version.protocol === 4)) {
    test(`${name}: the auth of the CONNECT packet arrives`, async () => {
      const socket = start(version, way, url, { auth: { token: texts.korean } });
      assert.deepEqual((await next(socket, "auth"))[0], { token: texts.korean });
    });
  }
});

/** @type {Awaited<ReturnType<typeof connect>>} */
let control;
before(async () => {
  control = latest.io(url, { transports: ["websocket"], forceNew: true });
  await connected(control);
});
after(async () => {
  // Whatever the tests above did, somebody else's connection did not notice.
  assert.ok(control.connected);
  assert.equal(await call(control, "message-with-ack", "untouched"), "untouched");
  control.close();
});
