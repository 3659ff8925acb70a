import assert from "node:assert/strict";
import { test } from "node:test";

import { Keep } from "../page/app/keep.js";
import { Own } from "../page/app/own.js";
import { Memory } from "./memory.js";

test("values survive the page, and its keys do not mix with others'", () => {
  const storage = new Memory();
  storage.setItem("other", "1");
  new Keep(storage).write("name", "지훈 🐜");
  const keep = new Keep(storage);
  assert.equal(keep.read("name"), "지훈 🐜");
  assert.equal(keep.read("other"), null);
  assert.deepEqual(keep.keys(""), ["name"]);
  keep.drop("name");
  assert.equal(keep.read("name"), null);
});

test("without storage, and with a full one, things last as long as the page", () => {
  const full = new Memory();
  full.setItem("antchat.a", "1");
  full.full = true;
  for (const keep of [new Keep(null), new Keep(full)]) {
    keep.write("a", 2);
    assert.equal(keep.read("a"), 2);
    assert.deepEqual(keep.keys("a"), ["a"]);
    keep.drop("a");
    assert.equal(keep.read("a"), null);
  }
});

test("what is no JSON reads as nothing", () => {
  const storage = new Memory();
  storage.setItem("antchat.rooms", "{");
  assert.equal(new Keep(storage).read("rooms"), null);
});

test("one's own messages are known by id, and once stored by id and seq", () => {
  const storage = new Memory();
  const own = new Own(new Keep(storage));
  own.add("a", 0);
  assert.equal(own.is("a", 7), true);
  own.add("a", 7);
  assert.equal(own.is("a", 7), true);
  assert.equal(own.is("a", 8), false, "somebody else used the id that everyone has seen");
  assert.equal(own.is("", 7), false);
  const other = new Own(new Keep(storage));
  assert.equal(other.is("a", 7), true, "another tab");
  own.add("b", 0);
  assert.equal(other.is("b", 1), false);
  other.reload();
  assert.equal(other.is("b", 1), true);
  for (let i = 0; i < 1000; i++) own.add(`x${i}`, i + 10);
  assert.ok(JSON.parse(storage.getItem("antchat.own")).length <= 500);
});
