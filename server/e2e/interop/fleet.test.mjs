// A fleet without sticky sessions in which nodes die and Redis is cut off, while
// people write: every client has every message once, in order.
import assert from "node:assert/strict";
import { test } from "node:test";
import { deadline, latest, start, until, versions, ways } from "./clients.mjs";
import { fleet } from "./fleet.mjs";
import { atEnd } from "./lifetime.mjs";

const room = "r";

/** A client that is where it should be, whatever happens to its connection. */
function reader(version, way, url) {
  const socket = start(version, way, url);
  /** @type {{name: string, last: number, epoch: string, seen: string[], wrong: string[], returns: number, joined: boolean}} */
  const r = { name: `${version.name} over ${way.name}`, last: -1, epoch: "", seen: [], wrong: [], returns: 0, joined: false };
  const take = (m) => {
    if (m.seq !== r.last + 1) {
      r.wrong.push(`${m.seq} after ${r.last}`);
    }
    r.last = m.seq;
    r.seen.push(m.message);
  };
  const join = () => {
    const id = socket.id;
    const where = r.last < 0 ? { room } : { room, since: r.last, epoch: r.epoch, limit: 200 };
    socket.emit("join room", where, (answer) => {
      if (socket.id !== id) {
        return; // of an earlier connection
      }
      if (answer.error) {
        setTimeout(() => socket.connected && socket.id === id && join(), 200);
        return;
      }
      if (answer.gap || answer.more) {
        r.wrong.push(`gap ${JSON.stringify(answer.gap)}, more ${answer.more}`);
      }
      if (r.last < 0) {
        r.last = answer.seq;
      } else {
        answer.messages.forEach(take);
      }
      r.epoch = answer.epoch;
      r.joined = true;
    });
  };
  socket.on("connect", () => {
    if (!socket.recovered) {
      join();
    }
    r.returns++;
  });
  socket.on("new message", take);
  return r;
}

/** Says something until it is acknowledged. A new session has to join first. */
async function say(socket, id) {
  for (const end = Date.now() + 2 * deadline; ; ) {
    assert.ok(Date.now() < end, `${id} is never acknowledged`);
    await until(() => socket.connected, "the writer to be connected");
    socket.emit("join room", { room });
    const ack = await new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), 2000);
      socket.emit("new message", { room, message: id, id }, (answer) => {
        clearTimeout(timer);
        resolve(answer);
      });
    });
    if (ack?.seq) {
      return ack.seq;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test("nodes die and Redis is cut off: every message, once, in order", { timeout: 4 * deadline }, async () => {
  const server = await fleet({});
  atEnd(() => server.remove());
  const readers = versions.flatMap((version) => [ways[0], ways[2], ways[2]].map((way) => reader(version, way, server.url)));
  await until(() => readers.every((r) => r.joined), "everybody to be in the room");
  const writer = start(latest, ways[2], server.url);
  let writing = true;
  let written = 0;
  const writes = (async () => {
    while (writing) {
      await say(writer, `m${written}`);
      written++;
      // What is missed while a client is away must fit into one answer.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  })();
  for (let round = 0; round < 3; round++) {
    const victim = server.members[round];
    await victim.kill();
    await new Promise((resolve) => setTimeout(resolve, 500));
    await victim.start();
    await server.store.command("CLIENT KILL TYPE pubsub");
    await new Promise((resolve) => setTimeout(resolve, 500));
    await server.store.command("CLIENT KILL TYPE normal");
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  writing = false;
  await writes;
  assert.ok(written > 20, `only ${written} were written`);
  const behind = () => readers.filter((r) => r.seen.length < written).map((r) => `${r.name}: ${r.seen.length} of ${written}`);
  // A poll whose answer was lost is recalled when its hold is over, 11 s later, and
  // that may happen to one client again and again.
  await until(() => behind().length === 0, () => behind().join("\n"), 2 * deadline);
  const expected = Array.from({ length: written }, (_, i) => `m${i}`);
  for (const r of readers) {
    assert.deepEqual(r.wrong, [], r.name);
    assert.deepEqual(r.seen, expected, r.name);
  }
  assert.ok(readers.some((r) => r.returns > 1), "nobody's connection was lost");
});
