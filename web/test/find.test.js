import assert from "node:assert/strict";
import { test } from "node:test";

import { Find } from "../page/app/find.js";
import { Room } from "../page/app/room.js";

/** @param {string[]} texts */
function roomOf(texts) {
  const room = new Room("r");
  room.timeline.add(texts.map((message, i) => ({ username: "A", message, room: "r", seq: i + 1, ts: 1 })));
  return room;
}

test("finds in any case and script, and takes what is typed for text", () => {
  const room = roomOf(["Good MORNING", "안녕하세요", "a.c [x] (y) ?", "abc", "two\nlines"]);
  const find = new Find();
  for (const [text, seqs] of /** @type {[string, number[]][]} */ ([
    ["morning", [1]],
    ["안녕", [2]],
    ["a.c", [3]],
    ["[x] (y) ?", [3]],
    ["two lines", [5]],
    ["  ", []],
    ["nowhere", []],
    ["\\", []],
    ["/", []],
    ["-", []],
  ])) {
    find.look(text);
    assert.deepEqual(find.found(room), seqs, text);
  }
});

test("steps from the newest back, and around", () => {
  const room = roomOf(["x1", "y", "x2", "x3"]);
  const find = new Find();
  find.look("x");
  assert.deepEqual(find.step(room, "older"), { at: 1, count: 3 });
  assert.equal(find.current, 4);
  assert.deepEqual(find.step(room, "older"), { at: 2, count: 3 });
  assert.equal(find.current, 3);
  find.step(room, "older");
  assert.deepEqual(find.step(room, "older"), { at: 1, count: 3 });
  assert.deepEqual(find.step(room, "newer"), { at: 3, count: 3 });
  assert.equal(find.current, 1);
  find.look("none");
  assert.deepEqual(find.step(room, "newer"), { at: 0, count: 0 });
});

test("a text in pieces is the same text", () => {
  const find = new Find();
  find.look("ab");
  assert.deepEqual(find.split("xABabx"), ["x", "AB", "", "ab", "x"]);
  assert.deepEqual(find.split("nothing"), ["nothing"]);
  find.look("");
  assert.deepEqual(find.split("ab"), ["ab"]);
});
