import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";

import { Keep } from "../page/app/keep.js";
import { Outbox } from "../page/app/outbox.js";
import { Sender } from "../page/app/sender.js";
import { Memory } from "./memory.js";

const MINUTE = 60_000;
let storage, now, ids;
beforeEach(() => {
  storage = new Memory();
  now = 1_000_000_000;
  ids = 0;
});
const outbox = (tab = "tab1") => new Outbox(new Keep(storage), { tab, newID: () => `id${++ids}`, now: () => now });
const texts = (box) => box.list().map((entry) => entry.text);

test("it keeps the order, survives a reload, and drops what is done", () => {
  const box = outbox();
  for (const text of ["one", "two", "three"]) box.add("lobby", text);
  assert.deepEqual(texts(outbox()), ["one", "two", "three"]);
  box.drop("id2");
  assert.deepEqual(texts(outbox()), ["one", "three"]);
  assert.equal(box.has("id2"), false);
  assert.deepEqual(box.list("elsewhere"), []);
});

test("it is bounded in number and age", () => {
  const box = outbox();
  for (let i = 0; i < 200; i++) assert.ok(box.add("lobby", String(i)));
  assert.equal(box.add("lobby", "one too many"), null);
  now += 8 * 24 * 60 * MINUTE;
  assert.deepEqual(outbox().list(), []);
});

test("what somebody else wrote into the storage is ignored", () => {
  storage.setItem("antchat.out.x", "null");
  storage.setItem("antchat.out.y", '{"id":"y","text":5}');
  storage.setItem("antchat.out.z", "[");
  assert.deepEqual(outbox().list(), []);
  assert.equal(outbox().next(), null);
});

test("another tab's messages are left to it, until it is plainly gone", () => {
  const [one, two] = [outbox("tab1"), outbox("tab2")];
  one.add("lobby", "hello");
  assert.equal(two.next(), null);
  assert.equal(one.next()?.text, "hello");
  now += 6_000;
  assert.equal(two.next()?.text, "hello");
  two.tried("id1");
  assert.equal(one.next()?.text, "hello", "its own tab goes on all the same: the server knows the id");
});

test("after the server's memory for ids, the person decides", () => {
  const box = outbox();
  box.add("lobby", "hello");
  box.tried("id1");
  now += 8 * MINUTE;
  box.tried("id1");
  assert.equal(box.next()?.id, "id1");
  now += 2 * MINUTE;
  assert.equal(box.next(), null);
  assert.equal(box.list()[0].failed, "unsure");
  box.again("id1");
  assert.equal(box.next()?.id, "id1");
});

test("what was never sent may wait for days", () => {
  const box = outbox();
  box.add("lobby", "hello");
  now += 3 * 24 * 60 * MINUTE;
  assert.equal(box.next()?.id, "id1");
});

/** A sender against a server that answers by a script. */
function sender(box, script) {
  const sent = [];
  const stored = [];
  const pauses = [];
  const s = new Sender({
    outbox: box,
    send: async (entry) => {
      sent.push(entry.id);
      const answer = script.shift() ?? "ok";
      if (answer === "ok") return { id: entry.id, room: entry.room, seq: sent.length, ts: now };
      if (answer === "cut") s.stop();
      throw answer === "cut" ? { code: "no_answer", retryable: true } : answer;
    },
    stored: (entry) => stored.push(entry.text),
    changed: () => {},
    pause: async (ms) => void pauses.push(ms),
  });
  return { s, sent, stored, pauses };
}
const settle = () => new Promise((done) => setImmediate(done));

test("one at a time, in order, under the same id until it is stored", async () => {
  const box = outbox();
  for (const text of ["one", "two"]) box.add("lobby", text);
  const away = { code: "unavailable", retryable: true };
  const { s, sent, stored, pauses } = sender(box, [away, away, "ok", "ok"]);
  s.start();
  await settle();
  assert.deepEqual(sent, ["id1", "id1", "id1", "id2"]);
  assert.deepEqual(stored, ["one", "two"]);
  assert.equal(pauses.length, 2);
  assert.ok(pauses[1] > pauses[0]);
  assert.deepEqual(box.list(), []);
});

test("a refusal for good does not hold up the others", async () => {
  const box = outbox();
  for (const text of ["one", "two"]) box.add("lobby", text);
  const { s, stored } = sender(box, [{ code: "invalid_message", retryable: false }]);
  s.start();
  await settle();
  assert.deepEqual(stored, ["two"]);
  assert.equal(box.list()[0].failed, "invalid_message");
});

test("nothing is sent before the start, and the rest after a lost connection waits", async () => {
  const box = outbox();
  for (const text of ["one", "two"]) box.add("lobby", text);
  const { s, sent, stored } = sender(box, ["cut"]);
  await s.poke();
  assert.deepEqual(sent, []);
  s.start();
  await settle();
  assert.deepEqual(stored, []);
  s.start();
  await settle();
  assert.deepEqual(sent, ["id1", "id1", "id2"]);
  assert.deepEqual(stored, ["one", "two"]);
});
