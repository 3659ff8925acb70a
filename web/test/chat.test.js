// The chat against a server that answers by the test's word.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Chat } from "../page/app/chat.js";
import { Identity } from "../page/app/identity.js";
import { Keep } from "../page/app/keep.js";
import { Outbox } from "../page/app/outbox.js";
import { Memory } from "./memory.js";

globalThis.document ??= /** @type {any} */ ({ visibilityState: "visible" });

const message = (seq, more = {}) => ({ username: "Bo", message: `m${seq}`, room: "lobby", id: `i${seq}`, seq, ts: seq, ...more });
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => message(from + i));
const settle = async () => {
  for (let i = 0; i < 20; i++) await new Promise((done) => setImmediate(done));
};

/** The connection that the chat is given. */
class Wire {
  constructor(listener) {
    this.listener = listener;
    this.state = "connecting";
    this.handlers = {};
    this.asked = [];
    this.signals = [];
    this.log = range(1, 10);
    this.mine = [];
    this.answers = {
      "add user": (username) => ({ username, numUsers: 1, rooms: ["lobby"] }),
      "join room": ({ room, since = 0, limit }) => {
        const all = this.log.filter((m) => m.seq > since);
        return { room, epoch: "e1", seq: this.log.length, numUsers: 2, users: [{ username: "Bo" }, { username: "Mina" }], messages: all.slice(-limit), more: all.length > limit };
      },
      "new message": ({ room, message: text, id }) => {
        const m = message(this.log.length + 1, { message: text, id, username: "Mina" });
        this.log.push(m);
        return { id, room, seq: m.seq, ts: m.ts };
      },
      history: ({ after = 0, before = Infinity }) => ({ messages: this.log.filter((m) => m.seq > after && m.seq < before), epoch: "e1", more: false }),
      rooms: ({ mine }) => ({ rooms: mine ? this.mine : [], more: false }),
      read: (payload) => payload,
      "remove message": (payload) => payload,
      who: ({ room }) => ({ room, numUsers: 1, users: [{ username: "Mina" }] }),
      "leave room": ({ room }) => ({ room }),
    };
  }
  now() {}
  on(event, handle) {
    (this.handlers[event] ??= []).push(handle);
  }
  tell(event, payload) {
    for (const handle of this.handlers[event] ?? []) handle(payload);
  }
  async request(event, payload) {
    this.asked.push([event, payload]);
    if (this.state !== "connected") throw { code: "offline", message: "", retryable: true };
    const answer = await this.answers[event](payload);
    if (answer.error) throw answer.error;
    return answer;
  }
  signal(event, payload) {
    this.signals.push([event, payload]);
  }
  async up(recovered = false) {
    this.state = "connected";
    this.asked = [];
    this.listener.connected(recovered);
    await settle();
  }
  down() {
    this.state = "waiting";
    this.listener.disconnected();
  }
  names() {
    return this.asked.map(([event]) => event);
  }
}

let chat, wire, storage, heard;
function begin() {
  const keep = new Keep(storage);
  const identity = new Identity(keep, new Keep(new Memory()));
  identity.name = "Mina";
  let ids = 0;
  heard = [];
  chat = new Chat({
    identity,
    keep,
    outbox: new Outbox(keep, { tab: identity.tab, newID: () => `own${++ids}` }),
    connect: (session, listener) => (wire = new Wire(listener)),
    changed: () => {},
    heard: (room, m) => heard.push(m.seq),
  });
}
beforeEach(() => {
  storage = new Memory();
  begin();
});
const seqs = () => chat.active.timeline.messages.map((m) => m.seq);

test("connecting says the name, enters the rooms, and only then sends what waits", async () => {
  chat.say("early");
  await settle();
  assert.deepEqual(wire.asked, []);
  await wire.up();
  assert.deepEqual(wire.names(), ["add user", "rooms", "join room", "new message", "rooms"]);
  assert.deepEqual(seqs(), range(1, 11).map((m) => m.seq));
  assert.deepEqual(chat.outbox.list(), []);
  assert.equal(chat.own.is("own1", 11), true);
  assert.equal(chat.rooms.unread, 0);
});

test("coming back without recovery asks for what is missing", async () => {
  await wire.up();
  wire.down();
  wire.log.push(...range(11, 13));
  await wire.up(false);
  const [, asked] = wire.asked.find(([event]) => event === "join room");
  assert.deepEqual(asked, { room: "lobby", since: 10, epoch: "e1", limit: 100 });
  assert.deepEqual(seqs(), range(1, 13).map((m) => m.seq));
});

test("coming back with recovery enters nothing: the messages come by themselves, once", async () => {
  await wire.up();
  wire.down();
  await wire.up(true);
  assert.deepEqual(wire.names().filter((name) => name === "join room"), []);
  for (const seq of [11, 11, 12, 5]) wire.tell("new message", message(seq));
  assert.deepEqual(heard, [11, 12]);
  assert.deepEqual(seqs(), range(1, 12).map((m) => m.seq));
});

test("a session recovered before the rooms were entered enters them", async () => {
  await wire.up();
  chat.open("other");
  await settle();
  wire.down();
  wire.answers["join room"] = () => new Promise(() => {}); // cut off meanwhile
  await wire.up(false);
  wire.down();
  wire.answers["join room"] = ({ room }) => ({ room, epoch: "e1", seq: 0, numUsers: 1, users: [], messages: [], more: false });
  await wire.up(true);
  assert.deepEqual(wire.asked.filter(([event]) => event === "join room").map(([, asked]) => asked.room), ["other", "lobby"]);
});

test("a message whose answer got lost is not sent again once it is seen in the room", async () => {
  await wire.up();
  wire.answers["new message"] = ({ id }) => {
    wire.log.push(message(11, { id, username: "Mina" }));
    wire.down();
    return { error: { code: "no_answer", message: "", retryable: true } };
  };
  chat.say("hello");
  await settle();
  assert.equal(chat.outbox.list().length, 1);
  await wire.up(false);
  assert.deepEqual(chat.outbox.list(), []);
  assert.equal(wire.names().includes("new message"), false);
  assert.deepEqual(seqs().filter((seq) => seq === 11), [11]);
});

test("somebody who uses one's id does not take one's message out of the outbox once it was stored", async () => {
  await wire.up();
  chat.say("hello"); // own1, stored as 11
  await settle();
  wire.tell("new message", message(12, { id: "own1" }));
  assert.equal(chat.own.is("own1", 11), true);
  assert.equal(chat.own.is("own1", 12), false);
  assert.deepEqual(heard, [12]);
});

test("a hole that stays is filled from the history", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    await wire.up();
    wire.log.push(...range(11, 13));
    wire.tell("new message", message(13));
    assert.deepEqual(seqs().slice(-2), [10, 13]);
    mock.timers.tick(2500);
    await settle();
    assert.deepEqual(seqs(), range(1, 13).map((m) => m.seq));
  } finally {
    mock.timers.reset();
  }
});

test("what the server lost is marked, and the new epoch is used from then on", async () => {
  await wire.up();
  wire.tell("room gap", { room: "lobby", epoch: "e2", from: 9, to: 10 });
  assert.deepEqual(seqs(), range(1, 8).map((m) => m.seq));
  wire.tell("new message", message(9, { message: "another" }));
  assert.equal(chat.active.timeline.messages.at(-1).message, "another");
  wire.down();
  await wire.up(false);
  const [, asked] = wire.asked.find(([event]) => event === "join room");
  assert.deepEqual([asked.since, asked.epoch], [9, "e2"]);
});

test("unread: counted elsewhere and while one reads further up, kept over a reload", async () => {
  await wire.up();
  chat.open("other");
  await settle();
  wire.tell("new message", message(11));
  wire.tell("new message", message(12));
  assert.equal(chat.rooms.get("lobby").unread, 2);
  assert.equal(chat.rooms.unread, 2);
  begin();
  assert.deepEqual([...chat.rooms.keys()], ["lobby", "other"]);
  wire.log.push(...range(11, 12));
  chat.attend(false);
  await wire.up();
  assert.equal(chat.rooms.get("lobby").unread, 2);
  chat.attend(true);
  assert.equal(chat.rooms.unread, 0);
});

test("a refused name is asked for again, a refused room says so, an absent store is asked again", async () => {
  wire.answers["add user"] = () => ({ error: { code: "invalid_name", message: "", retryable: false } });
  await wire.up();
  assert.deepEqual([chat.nameRefused, chat.identity.name], ["invalid_name", ""]);
  wire.answers["add user"] = (username) => ({ username, numUsers: 1, rooms: [] });
  chat.start("Mina");
  await settle();
  assert.deepEqual([chat.nameRefused, chat.active.joined], ["", true]);

  const join = wire.answers["join room"];
  wire.answers["join room"] = () => ({ error: { code: "too_many_rooms", message: "", retryable: false } });
  chat.open("one too many");
  await settle();
  assert.equal(chat.active.refused, "too_many_rooms");
  const name = chat.active.name;
  chat.open("lobby");
  assert.equal(chat.rooms.has(name), false, "what could not be entered does not stay");

  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    wire.answers["join room"] = () => ({ error: { code: "unavailable", message: "", retryable: true } });
    chat.open("later");
    await settle();
    wire.answers["join room"] = join;
    mock.timers.tick(3000);
    await settle();
    assert.equal(chat.active.joined, true);
  } finally {
    mock.timers.reset();
  }
});

test("people: told one by one, or as a number", async () => {
  const names = () => chat.active.users.map((one) => one.username);
  await wire.up();
  wire.tell("user joined", { username: "Al", numUsers: 3, room: "lobby" });
  assert.deepEqual(names(), ["Al", "Bo", "Mina"]);
  wire.tell("user left", { username: "Bo", numUsers: 2, room: "lobby" });
  assert.deepEqual([names(), chat.active.numUsers], [["Al", "Mina"], 2]);
  wire.tell("room users", { numUsers: 9000, room: "lobby" });
  assert.equal(chat.active.numUsers, 9000);
  wire.tell("user joined", { username: "X", numUsers: 1, room: "elsewhere" });
  assert.equal(chat.rooms.has("elsewhere"), false);
});

test("nonsense from the wire changes nothing", async () => {
  await wire.up();
  for (const payload of [undefined, null, {}, { room: "lobby" }, { ...message(11), seq: "11" }, { ...message(11), room: "elsewhere" }]) wire.tell("new message", payload);
  assert.deepEqual(seqs(), range(1, 10).map((m) => m.seq));
});

test("where one has read is the same on every device", async () => {
  wire.mine = [{ room: "lobby", read: 7, unread: 3 }, { room: "elsewhere", read: 1, unread: 5 }];
  chat.attentive = false;
  await wire.up();
  assert.equal(chat.active.unread, 3);
  wire.tell("read", { room: "lobby", seq: 9 });
  assert.deepEqual([chat.active.read, chat.active.unread], [9, 1]);
  wire.tell("read", { room: "lobby", seq: 2 });
  assert.equal(chat.active.read, 9, "never back");
  chat.attend(true);
  assert.equal(chat.active.unread, 0);
  await new Promise((done) => setTimeout(done, 600));
  assert.deepEqual(wire.asked.filter(([event]) => event === "read"), [["read", { room: "lobby", seq: 10 }]]);
});

test("a removed message has no text, and a moderator's entry is no hole", async () => {
  await wire.up();
  wire.tell("message removed", { room: "lobby", removed: 3, seq: 11 });
  wire.tell("new message", message(12));
  assert.deepEqual(chat.active.timeline.messages.find((m) => m.seq === 3), { ...message(3), message: "", removed: true });
  assert.equal(chat.active.timeline.hole(), null);
  wire.tell("new message", message(14));
  assert.deepEqual(chat.active.timeline.hole(), { after: 12, before: 14 });
});

test("a direct message opens its room, unread, under the sender's name", async () => {
  const room = "@a.me";
  wire.answers["add user"] = (username) => ({ username, user: "me", numUsers: 1, rooms: ["lobby"] });
  await wire.up();
  const join = wire.answers["join room"];
  wire.answers["join room"] = (asked) => (asked.room === room ? { room, epoch: "d", seq: 1, numUsers: 1, users: [], messages: [{ ...message(1), room, user: "a", username: "Al" }], more: false } : join(asked));
  wire.tell("direct message", { room, user: "a", username: "Al", seq: 1, epoch: "d" });
  await settle();
  const direct = chat.rooms.get(room);
  assert.deepEqual([direct?.title, direct?.unread, direct?.joined], ["Al", 1, true]);
  chat.openDirect({ user: "a", username: "Al" });
  assert.equal(chat.active, direct);
});

test("what the platform tells everybody is shown", async () => {
  await wire.up();
  wire.tell("announcement", { message: "back at nine", username: "ops", ts: 1 });
  assert.equal(chat.announcement, "ops: back at nine");
});
