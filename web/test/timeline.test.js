import assert from "node:assert/strict";
import { test } from "node:test";

import { Timeline } from "../page/app/timeline.js";

const message = (seq) => ({ seq, username: "a", message: `m${seq}`, room: "lobby", id: `i${seq}`, ts: seq });
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i));
const seqs = (timeline) => timeline.messages.map((m) => m.seq);
const page = (from, to, more = false) => ({ messages: range(from, to), first: from, last: to, more });
const answer = (from, to, more = false, gap = null) => ({ room: "lobby", epoch: "e", seq: to, numUsers: 1, users: [], ...page(from, to, more), gap });
const shown = (timeline) => [...timeline.entries()].map((e) => ("gap" in e ? `${e.gap.from}-${e.gap.to}` : e.message.seq));

test("live messages come in order and once, whatever comes first", () => {
  const t = new Timeline();
  t.join(answer(1, 3), 0);
  assert.deepEqual(t.add([message(5)]).length, 1);
  assert.deepEqual(t.add([message(4)]).length, 1, "the answer to one's own message came later");
  assert.deepEqual(t.add([message(4), message(5), message(2)]), []);
  assert.deepEqual(seqs(t), [1, 2, 3, 4, 5]);
  assert.equal(t.hole(), null);
});

test("the first message of a room may be answered after the second one arrived", () => {
  const t = new Timeline();
  t.join(answer(1, 0), 0);
  t.add([message(2)]);
  assert.equal(t.add([message(1)]).length, 1);
  assert.deepEqual(seqs(t), [1, 2]);
});

test("a hole is found, filled, and not asked for again", () => {
  const t = new Timeline();
  t.join(answer(1, 2), 0);
  t.add([message(6)]);
  const hole = t.hole();
  assert.deepEqual(hole, { after: 2, before: 6 });
  t.fill(hole, range(3, 4)); // 5 is not there any more
  assert.deepEqual(seqs(t), [1, 2, 3, 4, 6]);
  const rest = t.hole();
  assert.deepEqual(rest, { after: 4, before: 6 });
  t.fill(rest, []);
  assert.equal(t.hole(), null);
});

test("scrolling back slides the window, and coming forward slides it back", () => {
  const t = new Timeline(100);
  t.join(answer(451, 500, true), 0);
  for (let first = 451; t.first > 201; first -= 50) t.older(page(first - 50, first - 1, true));
  assert.equal(t.messages.length, 100);
  assert.deepEqual([t.first, t.last, t.hasOlder, t.hasNewer], [201, 300, true, true]);
  assert.equal(t.add([message(501)]).length, 1, "it is news");
  assert.equal(t.add([message(501)]).length, 0, "once");
  assert.equal(t.last, 300, "but outside the window");
  while (t.hasNewer) t.newer(page(t.to + 1, Math.min(t.to + 50, 501), t.to + 50 < 501));
  assert.deepEqual([t.first, t.last, t.hasOlder], [402, 501, true]);
  t.add([message(502)]);
  assert.equal(t.last, 502);
  assert.equal(t.hole(), null);
});

test("a page may hold moderators' entries alone, and one goes on beyond it", () => {
  const t = new Timeline(100);
  t.join({ ...answer(101, 200, true), messages: [] }, 0);
  assert.deepEqual([t.messages.length, t.from, t.hasOlder, t.head], [0, 101, true, 200]);
  t.older({ ...page(51, 100, true), messages: [] });
  assert.deepEqual([t.from, t.hasOlder], [51, true]);
  t.older(page(1, 50));
  assert.deepEqual([t.from, t.hasOlder, t.last], [1, false, 50]);
  t.add([message(201)]);
  t.fill({ after: 50, before: 201 }, []);
  assert.equal(t.hole(), null);

  // Away meanwhile, and only moderators were at work since.
  t.join({ ...answer(202, 320, true), messages: [] }, 201);
  assert.deepEqual([seqs(t).at(-1), t.head, t.hasOlder], [201, 320, false]);
  t.join({ ...answer(400, 500, true), messages: [] }, 320);
  assert.deepEqual([t.messages.length, t.from, t.hasOlder], [0, 400, true]);

  // Back in the history, and forward over such a page.
  const back = new Timeline(100);
  back.join(answer(101, 200, true), 0);
  back.older(page(1, 100));
  assert.deepEqual([back.to, back.hasNewer], [100, true]);
  back.newer({ ...page(101, 150, true), messages: [] });
  assert.deepEqual([back.to, back.hasNewer], [150, true]);
});

test("at the end, only the newest stay", () => {
  const t = new Timeline(100);
  t.join(answer(1, 50), 0);
  t.add(range(51, 115));
  assert.equal(t.messages.length, 115, "a little more is let be, so that not every message moves the list");
  t.trim();
  assert.deepEqual([t.first, t.last, t.hasOlder], [16, 115, true]);
  for (const m of range(116, 5000)) t.add([m]);
  assert.ok(t.messages.length <= 120, "even if nobody trims");
});

test("catching up joins what is there, or starts from the newest page", () => {
  const t = new Timeline();
  t.join(answer(1, 50, true), 0);
  assert.equal(t.hasOlder, true);
  t.join(answer(51, 60), 50);
  assert.deepEqual([t.first, t.last], [1, 60]);
  t.join({ ...answer(1, 0), seq: 60, more: true }, 60);
  assert.deepEqual([t.first, t.last], [1, 60], "nothing new");
  t.join(answer(901, 1000, true), 60);
  assert.deepEqual([t.first, t.last, t.hasOlder], [901, 1000, true], "too much was missed: the rest is a scroll away");
});

test("while reading far back, catching up leaves the window alone", () => {
  const t = new Timeline(100);
  t.join(answer(401, 500, true), 0);
  t.older(page(301, 400, true));
  assert.equal(t.hasNewer, true);
  t.join(answer(501, 510), 500);
  assert.deepEqual([t.first, t.last, t.head], [301, 400, 510]);
});

test("what the server lost is said in its place, and its numbers may come again", () => {
  const t = new Timeline();
  t.join(answer(1, 10), 0);
  t.gap({ from: 9, to: 12 });
  assert.deepEqual(seqs(t), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.equal(t.head, 8);
  assert.equal(t.add([{ ...message(9), message: "another nine" }]).length, 1);
  assert.deepEqual(shown(t).slice(-3), [8, "9-12", 9]);
  t.add([message(13)]);
  assert.equal(t.hole(), null);
});

test("a gap in the answer to a join", () => {
  const t = new Timeline();
  t.join(answer(1, 10), 0);
  t.join(answer(14, 15, false, { from: 11, to: 13 }), 10);
  assert.deepEqual(shown(t).slice(-4), [10, "11-13", 14, 15]);
  assert.equal(t.hole(), null);
});

test("a log that began anew replaces everything", () => {
  const t = new Timeline();
  t.join(answer(90, 100, true), 0);
  t.join(answer(1, 3), 100);
  assert.deepEqual(shown(t), [1, 2, 3]);
  t.add([message(4)]);
  assert.equal(t.last, 4);
});

test("nonsense ranges are ignored", () => {
  const t = new Timeline();
  t.join(answer(1, 3), 0);
  t.gap({ from: 5, to: 2 });
  t.gap({ from: NaN, to: 2 });
  assert.deepEqual(shown(t), [1, 2, 3]);
});
