// What a platform does to connections, as unmodified clients live through it:
// the age at which the server closes a WebSocket.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { call, connect, latest, until, versions, ways } from "./clients.mjs";
import { serve } from "./lifetime.mjs";
import { member } from "./member.mjs";

const room = "나이";

describe("engine.max_age", () => {
  test("WebSockets are closed at their age, nothing is lost, and polling goes on", async () => {
    const server = await serve({ ANTCHAT_ENGINE_MAX_AGE: "1500ms", ANTCHAT_ENGINE_MAX_AGE_JITTER: "700ms" });
    const members = [versions[1], latest].flatMap((version) => ways.map((way) => member(version, way, server.url, room)));
    await until(() => members.every((m) => m.joined), "everybody to be in");

    // The writer's connections end as well; its own retries send again what
    // has no acknowledgement.
    const writer = await connect(latest, ways[1], server.url, { retries: 20, ackTimeout: 3000 });
    let writerEnds = 0;
    writer.on("disconnect", () => writerEnds++);
    await call(writer, "join room", { room });
    const written = [];
    let acked = 0;
    const sockets = members.filter((m) => m.way.name !== "polling");
    let ticks = 0;
    await until(
      () => {
        if (ticks++ % 4 !== 0) {
          return false; // few enough that a page holds what somebody misses
        }
        const id = `m${written.length}`;
        written.push(id);
        writer.emit("new message", { room, message: id, id }, (err, answer) => {
          assert.equal(err, null);
          assert.equal(answer.error, undefined, JSON.stringify(answer));
          acked++;
        });
        return writerEnds >= 3 && sockets.every((m) => m.ends.length >= 3);
      },
      () => `three ends each: ${members.map((m) => `${m.name}: ${m.ends}`).join("; ")}`,
    );
    await until(() => acked === written.length, () => `${acked} of ${written.length} acknowledgements`);
    await until(
      () => members.every((m) => m.shown.length >= written.length),
      () => `all ${written.length} messages: ${members.map((m) => `${m.name} ${m.shown.length}`).join("; ")}`,
    );
    for (const m of members) {
      assert.deepEqual(m.shown, written, m.name);
      assert.ok(m.fresh === 0 || !m.version.recovers, `${m.name}: came back as a new session`);
      // A DISCONNECT packet would be "io server disconnect", after which a
      // client stays away.
      const expected = m.way.name === "polling" ? [] : m.ends.map(() => "transport close");
      assert.deepEqual(m.ends, expected, m.name);
    }
  });
});
