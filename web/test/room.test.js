import assert from "node:assert/strict";
import { test } from "node:test";

import { Room } from "../page/app/room.js";

test("people come and go, and a name may be there twice", () => {
  const room = new Room("lobby");
  room.people(3, ["나", { username: "Bo" }, "Al"]);
  assert.deepEqual(room.users.toSorted(), ["Al", "Bo", "나"].toSorted());
  room.arrived("Bo", 4);
  room.left("Bo", 3);
  assert.equal(room.users.filter((name) => name === "Bo").length, 1);
  assert.equal(room.numUsers, 3);
  room.left("nobody", 3);
  assert.equal(room.users.length, 3);
});

test("the list of names is bounded, the number is not", () => {
  const room = new Room("lobby");
  for (let i = 1; i <= 1000; i++) room.arrived(`p${i}`, i);
  assert.equal(room.users.length, 500);
  assert.equal(room.numUsers, 1000);
});

test("writing ends by itself", () => {
  const room = new Room("lobby");
  room.types("Bo", 1000);
  assert.deepEqual(room.writers(2000), ["Bo"]);
  assert.deepEqual(room.writers(8000), []);
  for (let i = 0; i < 100; i++) room.types(`p${i}`, 1000);
  assert.ok(room.writers(1001).length <= 20);
});

test("who leaves writes no more", () => {
  const room = new Room("lobby");
  room.people(1, ["Bo"]);
  room.types("Bo");
  room.left("Bo", 0);
  assert.deepEqual(room.writers(), []);
});
