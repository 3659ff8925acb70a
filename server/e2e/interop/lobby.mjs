// Prints the messages of a lobby, each as [username, text]: lobby.mjs URL COUNT.
// Waits until there are as many, at most 30 s.
import { call, closeAll, connect, latest, until, ways } from "./clients.mjs";

const [url, count] = process.argv.slice(2);
const socket = await connect(latest, ways[1], url);
/** @type {any[]} */
let messages = [];
await until(async () => {
  ({ messages } = await call(socket, "history", { room: "lobby", limit: 200 }));
  return messages.length >= Number(count);
}, `${count} messages`);
console.log(JSON.stringify(messages.map((m) => [m.username, m.message])));
closeAll();
