// What a phone's networks do to its connections: another takes over, or they
// swallow everything without a word.
import assert from "node:assert/strict";
import { test } from "node:test";
import { call, latest, until, versions, ways } from "./clients.mjs";
import { relay, serve } from "./lifetime.mjs";
import { desk, member } from "./member.mjs";

const room = "전화";
const kinds = [versions[1], latest].flatMap((version) => ways.map((way) => ({ version, way })));

test("a change of network: the old connections are half-open, and nothing is lost, repeated or told to others", async () => {
  const server = await serve({ ANTCHAT_ENGINE_POLL_HOLD: "30s" });
  const { socket: writer, written, write, left, came } = await desk(server.url, room);
  const phones = [];
  for (const { version, way } of kinds) {
    const wire = await relay(server.port);
    phones.push({ wire, m: member(version, way, wire.url, room) });
  }
  await until(() => phones.every(({ m }) => m.joined), "everybody to be in");
  const up = ({ way, socket }) => way.transports.length === 1 || socket.io.engine.transport.name === "websocket";
  await until(() => phones.every(({ m }) => up(m)), "the upgrades");
  for (const { m } of phones) {
    await call(m.socket, "add user", m.name);
  }
  await until(() => came.length === phones.length, "everybody to be announced");
  const ids = phones.map(({ m }) => m.socket.id);
  await write(2);
  for (let round = 1; round <= 3; round++) {
    await until(
      () => phones.every(({ m }) => m.shown.length === written.length && m.socket.connected && up(m)),
      () => `everybody to be up to date: ${phones.map(({ m }) => `${m.name}: ${m.shown.length} of ${written.length}, ${m.socket.connected}, ${up(m)}, ${m.ends}`).join("; ")}`,
    );
    // One that polls has moments without a connection, in which it does not notice.
    const ends = phones.map(({ m }) => m.ends.length);
    await until(
      () => phones.filter(({ m, wire }, i) => m.ends.length === ends[i] && (wire.change(), true)).length === 0,
      "everybody to notice",
    );
    await write(5);
    await until(() => phones.every(({ m }) => m.joins > round), () => `everybody to be back: ${phones.map(({ m }) => `${m.name}: ${m.ends}`).join("; ")}`);
    // The server lets go of what it believed in when somebody takes the session up.
    for (const { m, wire } of phones.filter(({ m }) => m.version.recovers && m.way.name !== "polling")) {
      await until(() => wire.halfOpen() === 0, () => `${m.name}: the old connection to be closed`);
    }
    await write(2);
  }
  await until(
    () => phones.every(({ m }) => m.shown.length >= written.length),
    () => phones.map(({ m }) => `${m.name}: ${m.shown.length} of ${written.length}`).join("; "),
  );
  for (const [i, { m }] of phones.entries()) {
    assert.deepEqual(m.shown, written, m.name);
    if (m.version.recovers) {
      assert.equal(m.fresh, 0, `${m.name}: came back as a new session`);
      assert.equal(m.socket.id, ids[i], m.name);
      assert.ok(!left.includes(m.name), `${m.name}: was told to have left`);
      assert.equal(came.filter((name) => name === m.name).length, 1, `${m.name}: was told to have come`);
    }
  }
  assert.ok(writer.connected);
});

test("a network that swallows everything: noticed by the heartbeat, and nothing is lost or repeated", async () => {
  const server = await serve({ ANTCHAT_ENGINE_PING_INTERVAL: "1s", ANTCHAT_ENGINE_PING_TIMEOUT: "2s" });
  const { written, write } = await desk(server.url, room);
  const phones = [];
  for (const { version, way } of kinds) {
    const wire = await relay(server.port);
    phones.push({ wire, m: member(version, way, wire.url, room) });
  }
  await until(() => phones.every(({ m }) => m.joined), "everybody to be in");
  await write(2);
  await until(() => phones.every(({ m }) => m.shown.length === written.length), "everybody to be up to date");
  // As long as they have not noticed: one that polls has moments without a connection.
  const before = phones.map(({ m }) => m.joins);
  const meanwhile = write(5);
  await until(
    () => phones.filter(({ m, wire }) => m.ends.length === 0 && (wire.lose(), true)).length === 0,
    () => `everybody to notice: ${phones.map(({ m }) => `${m.name}: ${m.ends}`).join("; ")}`,
  );
  await meanwhile;
  await until(
    () => phones.every(({ m }, i) => m.joins > before[i]),
    () => `everybody to be back: ${phones.map(({ m }) => `${m.name}: ${m.ends}`).join("; ")}`,
  );
  await write(2);
  await until(
    () => phones.every(({ m }) => m.shown.length >= written.length),
    () => phones.map(({ m }) => `${m.name}: ${m.shown.length} of ${written.length}`).join("; "),
  );
  for (const { m } of phones) {
    assert.deepEqual(m.shown, written, m.name);
    assert.ok(m.fresh === 0 || !m.version.recovers, `${m.name}: came back as a new session`);
    assert.ok(m.ends.includes("ping timeout"), `${m.name}: ${m.ends}`);
  }
});
