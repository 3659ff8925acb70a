// A member of a room who is where it should be, whatever happens to its
// connection: what any good front end does.
import assert from "node:assert/strict";
import { call, connect, latest, start, ways } from "./clients.mjs";

/**
 * Notes what it is shown and how its connections end. What cannot recover joins
 * again after the last message that it knows, as docs/protocol.md tells it to.
 * @param {import("./clients.mjs").Version} version
 * @param {import("./clients.mjs").Way} way
 * @param {string} url
 * @param {string} room
 * @param {object} [options] the client's
 */
export function member(version, way, url, room, options = {}) {
  const socket = start(version, way, url, options);
  /** @type {any} */
  const m = { name: `${version.name} over ${way.name}`, way, version, socket, shown: [], seqs: [], ends: [], fresh: 0, joins: 0, joined: false };
  const show = (message) => {
    m.shown.push(message.message);
    m.seqs.push(message.seq);
    m.epoch = message.epoch;
  };
  socket.on("connect", () => {
    m.joins++;
    if (m.joined && socket.recovered) {
      return;
    }
    m.fresh += m.joined ? 1 : 0;
    const known = m.seqs.length > 0 ? { since: m.seqs.at(-1), epoch: m.epoch } : m.joined ? { since: m.from, epoch: m.fromEpoch } : {};
    // Taken in the acknowledgement itself and not after a promise: what is live
    // may come in the same payload, behind it.
    socket.emit("join room", { room, limit: 200, ...known }, (answer) => {
      assert.equal(answer.error, undefined, JSON.stringify(answer));
      if (!m.joined) {
        [m.joined, m.from, m.fromEpoch] = [true, answer.seq, answer.epoch];
        return;
      }
      assert.equal(answer.gap, null);
      assert.equal(answer.more, false);
      answer.messages.forEach(show);
    });
  });
  socket.on("new message", show);
  socket.on("disconnect", (reason) => m.ends.push(reason));
  return m;
}

/**
 * Who has come to the room, and who has left it: names, as they are told.
 * @param {any} socket
 * @param {string} room
 */
function news(socket, room) {
  /** @type {{came: string[], left: string[]}} */
  const told = { came: [], left: [] };
  socket.on("user joined", (u) => u.room === room && told.came.push(u.username));
  socket.on("user left", (u) => u.room === room && told.left.push(u.username));
  return told;
}

/**
 * Somebody at a desk, who writes, and what was written.
 * @param {string} url
 * @param {string} room
 */
export async function desk(url, room) {
  const socket = await connect(latest, ways[1], url);
  await call(socket, "join room", { room });
  /** @type {string[]} */
  const written = [];
  return {
    socket,
    written,
    ...news(socket, room),
    async write(/** @type {number} */ n) {
      for (; n > 0; n--) {
        const id = `m${written.length}`;
        const ack = await call(socket, "new message", { room, message: id, id });
        assert.ok(ack.seq, JSON.stringify(ack));
        written.push(id);
      }
    },
  };
}
