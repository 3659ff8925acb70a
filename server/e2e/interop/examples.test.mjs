// The programs of docs/embedding.md, as their clients see them.
import assert from "node:assert/strict";
import { afterEach, describe, test } from "node:test";
import { call, callAll, closeAll, collect, combinations, connect, latest, next, start, ways } from "./clients.mjs";

const rooms = process.env.ANTCHAT_ROOMS;
const kitchen = process.env.ANTCHAT_KITCHEN;

afterEach(closeAll);

describe("rooms", () => {
  test("every client joins a room and hears what the others say there", async () => {
    const members = [];
    for (const { version, way, name } of combinations) {
      const socket = await connect(version, way, rooms);
      assert.deepEqual(await callAll(socket, "join", "차"), []);
      members.push({ name, socket, got: collect(socket, "say") });
    }
    const outsider = collect(await connect(latest, ways[1], rooms), "say");
    for (const { name, socket } of members) assert.equal(await call(socket, "say", { room: "차", text: name }), name.length);
    for (const { name, got } of members) {
      const others = members.filter((m) => m.name !== name);
      await got.atLeast(others.length);
      assert.deepEqual(got.map(([said]) => said.text), others.map((m) => m.name));
    }
    assert.equal(outsider.length, 0);
  });

  test("a wrong payload is answered, with no text of the server's own", async () => {
    const socket = await connect(latest, ways[1], rooms);
    const { error } = await call(socket, "say", 5);
    assert.equal(error.code, "bad_request");
    assert.equal((await call(socket, "sing"))?.error.code, "unknown_event");
  });

  test("a page of another port of this machine may connect, another one may not", async () => {
    const of = async (/** @type {string} */ origin) => {
      const answer = await fetch(`${rooms}/socket.io/?EIO=4&transport=polling`, { headers: { origin } });
      await answer.text();
      return answer.headers.get("access-control-allow-origin");
    };
    assert.equal(await of("http://localhost:5173"), "http://localhost:5173");
    assert.equal(await of("https://example.com"), null);
    assert.equal((await fetch(`${rooms}/socket.io/socket.io.js`)).status, 200);
  });
});

describe("kitchen", () => {
  test("only with the key", async () => {
    const socket = start(latest, ways[2], `${kitchen}/kitchen`, { auth: { key: "pepper" } });
    const [error] = await next(socket, "connect_error");
    assert.equal(error.message, "wrong key");
    assert.deepEqual(error.data, { code: "wrong_key" });
  });

  test("orders reach the other cooks, and the chat is beside it", async () => {
    const auth = { key: "salt" };
    const a = await connect(latest, ways[2], `${kitchen}/kitchen`, { auth });
    const b = await connect(latest, ways[0], `${kitchen}/kitchen`, { auth });
    const heard = next(b, "order");
    assert.equal((await call(a, "order", { dish: "kimchi", count: 0 })).error.code, "too_few");
    assert.deepEqual(await call(a, "order", { dish: "kimchi", count: 2 }), { number: 1 });
    assert.deepEqual((await heard)[0], { dish: "kimchi", count: 2 });
    const chat = await connect(latest, ways[1], kitchen);
    assert.equal((await call(chat, "new message", "hello")).seq, 1);
  });
});
