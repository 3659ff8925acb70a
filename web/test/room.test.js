import assert from "node:assert/strict";
import { test } from "node:test";

import { Room } from "../page/app/room.js";

test("people come and go, and a name may be there twice", () => {
  const room = new Room("lobby");
  room.people(3, [{ username: "나" }, { username: "Bo", user: "b1" }, { username: "Al" }]);
  assert.deepEqual(room.users.map((one) => one.username).toSorted(), ["Al", "Bo", "나"].toSorted());
  room.arrived({ username: "Bo", user: "b2", numUsers: 4 });
  room.left({ username: "Bo", user: "b1", numUsers: 3 });
  assert.deepEqual(room.users.filter((one) => one.username === "Bo"), [{ username: "Bo", user: "b2" }], "the other one stays");
  assert.equal(room.numUsers, 3);
  room.left({ username: "nobody", numUsers: 3 });
  assert.equal(room.users.length, 3);
  room.left({ username: "Al", numUsers: 2 });
  assert.equal(room.users.length, 2, "known by the name alone");
});

test("the list of names is bounded, the number is not", () => {
  const room = new Room("lobby");
  for (let i = 1; i <= 1000; i++) room.arrived({ username: `p${i}`, user: `u${i}`, numUsers: i });
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
  room.people(1, [{ username: "Bo" }]);
  room.types("Bo");
  room.left({ username: "Bo", numUsers: 0 });
  assert.deepEqual(room.writers(), []);
});
