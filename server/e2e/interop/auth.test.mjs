// Tokens, as unmodified clients show them: in the auth payload, the query, the
// header; refused, refreshed, at their end, and after a rotation of keys.
import assert from "node:assert/strict";
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import http from "node:http";
import { describe, test } from "node:test";
import { fleet as roundRobin } from "./fleet.mjs";
import { call, collect, connect, connected, latest, next, start, until, versions, ways } from "./clients.mjs";
import { atEnd, redis, relay, serve } from "./lifetime.mjs";

const secret = "a-secret-of-thirty-two-bytes-ok!";
const websocket = ways[1];
const second = versions[1];

const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

/**
 * A JWT.
 * @param {object} claims
 * @param {any} [key] a secret, or a private key with its id
 */
function token(claims, key = secret) {
  const now = Math.floor(Date.now() / 1000);
  const body = { iss: "e2e", aud: "chat", iat: now, exp: now + 600, ...claims };
  if (typeof key === "string") {
    const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(body)}`;
    return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
  }
  const text = `${part({ alg: "EdDSA", kid: key.id })}.${part(body)}`;
  return `${text}.${sign(null, Buffer.from(text), key.privateKey).toString("base64url")}`;
}

const byToken = { ANTCHAT_AUTH_MODE: "token", ANTCHAT_AUTH_ISSUER: "e2e", ANTCHAT_AUTH_AUDIENCE: "chat" };

const withSecret = { ...byToken, ANTCHAT_AUTH_SECRET: secret, ANTCHAT_AUTH_LEEWAY: "0s" };

describe("tokens", () => {
  test("open the door wherever a client can put them, and only they", async () => {
    const server = await serve(withSecret);
    const good = token({ sub: "ann", name: "Ann" });
    const sockets = [
      await connect(latest, websocket, server.url, { auth: { token: good } }),
      await connect(latest, ways[0], server.url, { extraHeaders: { Authorization: `Bearer ${good}` } }),
      await connect(latest, websocket, server.url, { query: { access_token: good } }),
      await connect(second, websocket, server.url, { query: { token: good } }),
      await connect(second, ways[2], server.url, { query: { token: good } }),
    ];
    for (const socket of sockets) {
      const answer = await call(socket, "add user", "Mallory");
      assert.equal(answer.username, "Ann");
      assert.equal(answer.numUsers, 1);
    }
    for (const [bad, code] of [[undefined, "token_missing"], [`${good}x`, "token_invalid"], [token({ sub: "ann", exp: 5 }), "token_expired"],
      [token({ sub: "ann" }, "another-secret-of-thirty-two-byte"), "token_invalid"], [token({ sub: "ann", aud: "x" }), "token_invalid"]]) {
      const [error] = await next(start(latest, websocket, server.url, { auth: { token: bad } }), "connect_error");
      assert.equal(error.data.code, code);
      const [problem] = await next(start(second, websocket, server.url, { query: bad ? { token: bad } : {} }), "error");
      assert.equal(problem.code, code);
    }
    assert.ok(!server.log().includes(good.slice(-20)), "a token is in the log");
  });

  test("are refreshed in band, and end a connection that comes back with a new one", async () => {
    const server = await serve({ ...withSecret, ANTCHAT_AUTH_WARNING: "2s" });
    const soon = (sub) => token({ sub, name: sub, exp: Math.floor(Date.now() / 1000) + 4 });
    const refreshed = await connect(latest, websocket, server.url, { auth: { token: soon("ann") } });
    let shown = 0;
    const reconnecting = await connect(latest, websocket, server.url, {
      auth: (show) => show({ token: shown++ ? token({ sub: "bob", name: "bob" }) : soon("bob") }),
    });
    const old = await connect(second, websocket, server.url, { query: { token: soon("cho") } });
    const before = reconnecting.id;
    const ends = [refreshed, reconnecting, old].map((socket) => collect(socket, "session ended"));
    const got = collect(reconnecting, "new message");
    await next(refreshed, "token expiring");
    const answer = await call(refreshed, "refresh token", token({ sub: "ann" }));
    assert.ok(answer.expires > Date.now() + 60_000);
    const other = await call(refreshed, "refresh token", token({ sub: "bob" }));
    assert.equal(other.error.code, "token_invalid");
    const refusedAfterwards = next(old, "error"); // it comes back with the same address
    await ends[1].atLeast(1);
    await ends[2].atLeast(1);
    assert.equal(ends[1][0][0].code, "token_expired");
    await call(refreshed, "new message", { message: "while bob was away", id: "1" });
    await until(() => reconnecting.connected && reconnecting.recovered, "bob to be back");
    assert.equal(reconnecting.id, before);
    await got.atLeast(1);
    assert.equal(got[0][0].message, "while bob was away");
    assert.equal((await refusedAfterwards)[0].code, "token_expired");
    assert.equal(ends[0].length, 0);
    assert.ok(refreshed.connected);
  });

  test("are checked with keys from an address, through a rotation", async () => {
    const keys = ["1", "2"].map((id) => ({ id, ...generateKeyPairSync("ed25519") }));
    let published = keys.slice(0, 1);
    let asked = 0;
    const issuer = http.createServer((_, response) => {
      asked++;
      response.end(JSON.stringify({ keys: published.map((key) => ({ ...key.publicKey.export({ format: "jwk" }), kid: key.id, use: "sig" })) }));
    });
    await new Promise((resolve) => issuer.listen(0, "127.0.0.1", () => resolve(undefined)));
    atEnd(() => { issuer.closeAllConnections(); issuer.close(); });
    const { port } = /** @type {import("node:net").AddressInfo} */ (issuer.address());
    const server = await serve({ ...byToken, ANTCHAT_AUTH_KEYS: `http://127.0.0.1:${port}/keys`, ANTCHAT_AUTH_KEYS_INTERVAL: "1s" });
    await connected(await connect(latest, websocket, server.url, { auth: { token: token({ sub: "ann" }, keys[0]) } }));
    const [error] = await next(start(latest, websocket, server.url, { auth: { token: token({ sub: "ann" }) } }), "connect_error");
    assert.equal(error.data.code, "token_invalid"); // HS256
    published = keys.slice(1);
    const rotated = start(latest, websocket, server.url, { auth: { token: token({ sub: "ann" }, keys[1]) } });
    rotated.on("connect_error", () => setTimeout(() => rotated.connect(), 200)); // as long as the interval lasts
    await connected(rotated);
    assert.ok(asked <= 4, `the issuer was asked ${asked} times`);
  });
});

describe("two nodes over one Redis", () => {
  const rules = JSON.stringify([
    { pattern: "team-*", read: "claim:teams={1}", write: "claim:teams={1}", moderate: "claim:mod" },
    { pattern: "*", read: "everyone", write: "everyone", moderate: "claim:mod" },
  ]);

  async function fleet() {
    const { url } = await redis();
    const settings = { ...withSecret, ANTCHAT_REDIS_URL: url, ANTCHAT_ROOMS_RULES: rules };
    return [await serve(settings), await serve(settings)];
  }

  test("a ban lands on the other node, holds after a restart, and a message that is removed is gone there", async () => {
    const [one, other] = await fleet();
    const mod = await connect(latest, websocket, one.url, { auth: { token: token({ sub: "mod", name: "Mod", mod: true }) } });
    const bobToken = token({ sub: "bob", name: "Bob" });
    const bobs = [
      await connect(latest, websocket, other.url, { auth: { token: bobToken } }),
      await connect(second, websocket, other.url, { query: { token: bobToken } }),
      await connect(latest, ways[0], one.url, { auth: { token: bobToken } }),
    ];
    await call(mod, "join room", "tea");
    for (const bob of bobs) {
      await call(bob, "join room", "tea");
    }
    const { user } = await call(bobs[0], "add user", "");
    const sent = await call(bobs[0], "new message", { room: "tea", message: "UNSAYABLE", id: "1" });
    const removed = next(bobs[0], "message removed");
    await call(mod, "remove message", { room: "tea", seq: sent.seq });
    assert.equal((await removed)[0].removed, sent.seq);
    const page = await call(bobs[0], "history", { room: "tea" });
    assert.equal(page.messages[0].message, "");
    assert.equal(page.messages[0].removed, true);

    const closed = bobs.map((bob) => next(bob, "room closed"));
    const banned = await call(mod, "ban", { room: "tea", user, for: 3600, reason: "enough" });
    assert.ok(banned.seq > sent.seq);
    for (const [event] of await Promise.all(closed)) {
      assert.deepEqual(event, { room: "tea", code: "banned" });
    }
    for (const bob of bobs) {
      assert.equal((await call(bob, "new message", { room: "tea", message: "x" })).error.code, "not_member");
      const answer = await call(bob, "join room", "tea");
      assert.equal(answer.error.code, "banned");
      assert.ok(answer.error.retryAfter > 3_000_000);
    }
    await other.stop();
    await other.start();
    const again = await connect(latest, websocket, other.url, { auth: { token: bobToken } });
    assert.equal((await call(again, "join room", "tea")).error.code, "banned");
  });

  test("a session is continued with a token of the same rights, and not with one that opens less", async () => {
    const [one, other] = await fleet();
    const wire = await relay(one.port);
    let teams = ["a"];
    const ann = await connect(latest, websocket, wire.url, {
      auth: (show) => show({ token: token({ sub: "ann", name: "Ann", teams }) }),
    });
    await call(ann, "join room", "team-a");
    const before = ann.id;
    const bob = await connect(latest, websocket, other.url, { auth: { token: token({ sub: "bob", teams: ["a"] }) } });
    await call(bob, "join room", "team-a");
    const seen = next(ann, "new message"); // it may come before bob's answer
    await call(bob, "new message", { room: "team-a", message: "seen" });
    await seen;

    wire.cut();
    await until(() => !ann.connected, "the cut");
    wire.mend();
    await until(() => ann.connected && ann.recovered, "the same rights to be recovered");
    assert.equal(ann.id, before);

    teams = [];
    const got = collect(ann, "new message");
    wire.cut();
    await until(() => !ann.connected, "the cut");
    await call(bob, "new message", { room: "team-a", message: "hidden" });
    wire.mend();
    await until(() => ann.connected, "ann to be back");
    assert.notEqual(ann.id, before);
    assert.equal((await call(ann, "join room", "team-a")).error.code, "forbidden");
    assert.equal(got.length, 0);
  });

  test("read pointers and direct messages reach the person's devices on the other node", async () => {
    const [one, other] = await fleet();
    const ann = token({ sub: "ann", name: "Ann" });
    const phone = await connect(latest, websocket, one.url, { auth: { token: ann } });
    const desk = await connect(second, websocket, other.url, { query: { token: ann } });
    const bob = await connect(latest, websocket, other.url, { auth: { token: token({ sub: "bob", name: "Bob" }) } });
    const { user } = await call(phone, "add user", "");
    const news = [phone, desk].map((socket) => next(socket, "direct message"));
    const { room } = await call(bob, "join room", `@${user}`);
    const sent = await call(bob, "new message", { room, message: "between us" });
    for (const [message] of await Promise.all(news)) {
      assert.equal(message.room, room);
      assert.equal(message.username, "Bob");
    }
    const unread = await call(desk, "rooms", { mine: true });
    assert.deepEqual(unread.rooms.map((r) => [r.room, r.unread]), [[room, 1]]);
    const moved = next(desk, "read");
    await call(phone, "read", { room, seq: sent.seq });
    assert.deepEqual((await moved)[0], { room, seq: sent.seq });
    assert.equal((await call(desk, "rooms", { mine: true })).rooms[0].unread, 0);
  });
});

test("a session that moves to another node with its upgrade keeps its person, and ends with the token or a ban there", async () => {
  const rules = JSON.stringify([{ pattern: "*", read: "everyone", write: "everyone", moderate: "claim:mod" }]);
  const { url, count, remove } = await roundRobin({ ...withSecret, ANTCHAT_AUTH_WARNING: "3s", ANTCHAT_ROOMS_RULES: rules });
  atEnd(remove);
  const moves = () => count('antchat_engineio_moves_total{outcome="moved"}');

  // Long enough that a busy machine connects in time.
  let last = 0;
  const soon = (claims) => token({ ...claims, exp: (last = Math.floor(Date.now() / 1000) + 15) });

  /** A client whose session has certainly moved, so that its token is known only where its WebSocket is. */
  async function moved(version, claims, options = {}) {
    for (let attempt = 0; attempt < 10; attempt++) {
      const before = await moves();
      const shown = version === latest ? { auth: { token: soon(claims) } } : { query: { token: soon(claims) } };
      const socket = await connect(version, ways[2], url, { ...shown, ...options });
      await call(socket, "add user", "");
      if ((await moves()) > before) {
        return socket;
      }
      // It was its own node's turn, and would be again: whatever it asks, it asks
      // as often each time. One more request changes that.
      socket.close();
      await fetch(`${url}/healthz`);
    }
    throw new Error(`no session of ${version.name} moves`);
  }

  const witness = await connect(latest, websocket, url, { auth: { token: token({ sub: "eve", name: "Eve" }) } });
  const mod = await connect(latest, websocket, url, { auth: { token: token({ sub: "mod", name: "Mod", mod: true }) } });
  for (const socket of [witness, mod]) {
    await call(socket, "join room", "tea");
  }
  const heard = collect(witness, "new message");

  /** Who it is where it has moved to, while its first token holds. */
  async function speaks(socket) {
    assert.equal((await call(socket, "join room", "tea")).room, "tea");
    assert.ok((await call(socket, "new message", { room: "tea", message: "it is me", id: "1" })).seq);
  }

  /** One whose token ends. */
  const leaves = [];
  /** One that renews its token, and is banned. */
  const stays = [];
  for (const version of [latest, second]) {
    const ann = await moved(version, { sub: `ann ${version.name}`, name: `Ann ${version.name}` }, { reconnection: false });
    const ends = [];
    ann.on("token expiring", () => ends.push("expiring"));
    ann.on("session ended", ({ code }) => ends.push(code));
    ann.on("disconnect", () => ends.push("disconnect"));
    await speaks(ann);
    leaves.push({ version, ends });
    const claims = { sub: `bob ${version.name}`, name: `Bob ${version.name}` };
    const bob = await moved(version, claims);
    const renewed = await call(bob, "refresh token", token(claims));
    assert.ok(renewed.expires > Date.now() + 60_000, JSON.stringify(renewed));
    assert.equal((await call(bob, "refresh token", token({ sub: "ann" }))).error.code, "token_invalid");
    await speaks(bob);
    stays.push({ version, socket: bob, claims, ended: collect(bob, "session ended") });
  }
  await heard.atLeast(4);
  assert.deepEqual(
    heard.map(([m]) => m.username),
    [latest, second].flatMap(({ name }) => [`Ann ${name}`, `Bob ${name}`]),
  );

  for (const { version, ends } of leaves) {
    await until(() => ends.length >= 3, () => `${version.name}: the token's end; so far ${ends}`);
    assert.deepEqual(ends, ["expiring", "token_expired", "disconnect"], version.name);
  }
  await until(() => Date.now() > (last + 1) * 1000, "the end of the others' first tokens");
  for (const { version, socket, claims, ended } of stays) {
    const sent = await call(socket, "new message", { room: "tea", message: "with the second token", id: "2" });
    assert.ok(sent.seq, JSON.stringify(sent));
    const closed = next(socket, "room closed");
    const { user } = await call(socket, "add user", "");
    const banned = await call(mod, "ban", { room: "tea", user, for: 3600, reason: "enough" });
    assert.ok(banned.seq > sent.seq, JSON.stringify(banned));
    assert.deepEqual((await closed)[0], { room: "tea", code: "banned" });
    assert.equal((await call(socket, "new message", { room: "tea", message: "x" })).error.code, "not_member");
    assert.equal((await call(socket, "join room", "tea")).error.code, "banned");
    // It is the person's, on every connection.
    const again = await connect(version, websocket, url, version === latest ? { auth: { token: token(claims) } } : { query: { token: token(claims) } });
    assert.equal((await call(again, "join room", "tea")).error.code, "banned");
    assert.equal(ended.length, 0, "it has a newer token");
    assert.ok(socket.connected);
  }
});
