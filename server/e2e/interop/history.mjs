// For run.sh: "history.mjs write URL" writes the texts into a room as Node's
// client; "history.mjs read URL ROOM" checks what another client wrote there.
import assert from "node:assert/strict";
import { call, closeAll, connect, latest, texts, ways } from "./clients.mjs";

const [what, url, room = "written by node"] = process.argv.slice(2);
const scripts = Object.keys(texts).sort();
const socket = await connect(latest, ways[1], url);
await call(socket, "join room", { room });
if (what === "write") {
  for (const script of scripts) {
    assert.ok((await call(socket, "new message", { room, message: texts[script], id: script })).seq);
  }
} else {
  const { messages } = await call(socket, "history", { room });
  assert.deepEqual(
    messages.map((m) => m.message),
    [...scripts.map((script) => texts[script]), "가".repeat(4000)],
    room,
  );
}
closeAll();
