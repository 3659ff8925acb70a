// A member in a process of its own, so that a test can freeze it, as a phone's
// system freezes an app in the background. Asked, by any message, it says what it
// has seen.
import { versions, ways } from "./clients.mjs";
import { member } from "./member.mjs";

const [version, way, url, room] = process.argv.slice(2);
const m = member(
  versions.find(({ name }) => name === version) ?? versions[0],
  ways.find(({ name }) => name === way) ?? ways[0],
  url,
  room,
);
m.socket.once("connect", () => m.socket.emit("add user", m.name));
process.on("message", () => {
  const { name, shown, ends, fresh, joins, joined } = m;
  const { id, connected } = m.socket;
  process.send?.({ name, shown, ends, fresh, joins, joined, id, connected });
});
process.on("disconnect", () => process.exit()); // the test is over
