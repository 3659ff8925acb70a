import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { dayOf, dictionaries, languages, pick, reason, speak, timeOf } from "../page/app/words/words.js";

const page = new URL("../page/", import.meta.url);

/** Text of every file of the page but the dictionaries. */
const sources = readdirSync(page, { recursive: true })
  .map(String)
  .filter((name) => /\.(js|html)$/.test(name) && !/words.(en|ko)\.js$/.test(name))
  .map((name) => readFileSync(new URL(name.replaceAll("\\", "/"), page), "utf8"));

test("every language has every word, in the same form", () => {
  const keys = Object.keys(dictionaries.en);
  for (const [language, words] of Object.entries(dictionaries)) {
    assert.deepEqual(Object.keys(words), keys, language);
    for (const key of keys) {
      assert.equal(typeof words[key], typeof dictionaries.en[key], `${language}: ${key}`);
      const text = typeof words[key] === "function" ? words[key](example) : words[key];
      assert.ok(text.trim() !== "" && !/undefined|NaN|\[object/.test(text), `${language}: ${key}: ${text}`);
    }
  }
  assert.deepEqual(Object.keys(languages), Object.keys(dictionaries));
});
const example = { at: 1, name: "A", names: ["A", "B"], room: "R", count: 2, from: 3, to: 5, text: "T", reason: "R", seconds: 4, code: "C", time: "9", until: "U" };

test("what the page asks for is there, and what is there is asked for", () => {
  const asked = new Set();
  for (const text of sources) {
    for (const [, key] of text.matchAll(/\bdata-t(?:-[a-z-]+)?="(\w+)"/g)) asked.add(key);
    for (const [, key] of text.matchAll(/\b(?:w|words\(\))\.(\w+)/g)) asked.add(key);
    for (const [, key] of text.matchAll(/"(reason\w+)"/g)) asked.add(key);
  }
  const there = Object.keys(dictionaries.en);
  assert.deepEqual([...asked].filter((key) => !there.includes(key)), [], "not in the dictionaries");
  assert.deepEqual(there.filter((key) => !asked.has(key)), [], "nobody asks for these");
});

test("Korean speaks Korean", () => {
  const same = Object.keys(dictionaries.ko).filter((key) => typeof dictionaries.ko[key] === "string" && dictionaries.ko[key] === dictionaries.en[key]);
  assert.deepEqual(same, ["appName"]);
});

test("the language is the chosen one, then the browser's, then English", () => {
  assert.equal(pick("ko", ["en-US"]), "ko");
  assert.equal(pick(null, ["ko-KR", "en"]), "ko");
  assert.equal(pick(null, ["de", "ko"]), "ko");
  assert.equal(pick("xx", ["de"]), "en");
  assert.equal(pick({}, []), "en");
  assert.equal(pick("__proto__", ["constructor"]), "en");
});

test("one and many", () => {
  const { en } = dictionaries;
  assert.equal(en.peopleCount({ count: 1 }), "1 person here");
  assert.equal(en.peopleCount({ count: 1200 }), "1,200 people here");
  assert.equal(en.typing({ names: ["A"] }), "A is writing…");
  assert.equal(en.typing({ names: ["A", "B"] }), "A and B are writing…");
  assert.equal(en.typing({ names: ["A", "B", "C"] }), "Several people are writing…");
});

test("days and times are said as in that language", () => {
  const now = new Date(2026, 4, 20, 15, 30).getTime();
  const day = (n) => new Date(2026, 4, n, 9, 5).getTime();
  speak("en");
  assert.equal(dayOf(day(20), now), "Today");
  assert.equal(dayOf(day(19), now), "Yesterday");
  assert.equal(dayOf(day(3), now), "Sunday, May 3");
  assert.match(timeOf(day(3)), /^9:05\sAM$/);
  speak("ko");
  assert.equal(dayOf(day(20), now), "오늘");
  assert.equal(dayOf(day(3), now), "5월 3일 일요일");
  assert.match(dayOf(new Date(2024, 0, 1).getTime(), now), /2024년/);
  assert.match(timeOf(day(3)), /9:05/);
});

test("a code is explained, or shown", () => {
  speak("en");
  assert.equal(reason("not_member"), "you are not in this room");
  assert.match(reason("something_new"), /something_new/);
  assert.match(reason("constructor"), /constructor/);
});
