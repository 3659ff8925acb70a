import assert from "node:assert/strict";
import { test } from "node:test";

import { Identity } from "../page/app/identity.js";
import { Keep } from "../page/app/keep.js";
import { Memory } from "./memory.js";

test("one person in all tabs, a tab of its own in each", () => {
  const local = new Keep(new Memory());
  const first = new Identity(local, new Keep(new Memory()));
  first.name = "Mina";
  const tab = new Keep(new Memory());
  const second = new Identity(local, tab);
  assert.equal(second.session, first.session);
  assert.equal(second.name, "Mina");
  assert.notEqual(second.tab, first.tab);
  assert.equal(new Identity(local, tab).tab, second.tab, "a reload is the same tab");
});

test("the secret is 128 random bits, and a spoilt one is replaced", () => {
  const local = new Keep(new Memory());
  for (const spoilt of [null, 5, "", "short", "x".repeat(32)]) {
    local.write("session", spoilt);
    assert.match(new Identity(local, new Keep(null)).session, /^[0-9a-f]{32}$/);
  }
});

test("another name is another person", () => {
  const local = new Keep(new Memory());
  const identity = new Identity(local, new Keep(null));
  identity.name = "Mina";
  identity.forget();
  const next = new Identity(local, new Keep(null));
  assert.notEqual(next.session, identity.session);
  assert.equal(next.name, "");
});
