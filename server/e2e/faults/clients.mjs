// Hosts unmodified socket.io-client sockets for the fault harness. It only
// carries: what a client does next is decided by who writes to its input, and
// everything that a socket hears goes to its output. Both are lines of JSON.
//
// in:   {op: "open", c, url, auth, transports} {op: "emit", c, n, event, payload, timeout} {op: "close", c}
// out:  {k: "up", c, recovered} {k: "down", c, reason} {k: "event", c, name, payload} {k: "ack", c, n, answer | failed}
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const { io } = createRequire(import.meta.url)("sio4");

/** @type {Map<number, any>} */
const sockets = new Map();

/** @type {string[]} */
let lines = [];
/** @param {object} line */
function say(line) {
  if (lines.length === 0) {
    setImmediate(() => {
      process.stdout.write(lines.join(""));
      lines = [];
    });
  }
  lines.push(JSON.stringify(line) + "\n");
}

/** @param {any} m */
function open({ c, url, auth, transports }) {
  const socket = io(url, { auth, transports, forceNew: true, timeout: 4000, reconnectionDelay: 200, reconnectionDelayMax: 2000 });
  sockets.set(c, socket);
  socket.on("connect", () => say({ k: "up", c, recovered: socket.recovered }));
  socket.on("disconnect", (reason) => {
    say({ k: "down", c, reason });
    // The client leaves this one to the application.
    if (reason === "io server disconnect") {
      setTimeout(() => socket.connect(), 200);
    }
  });
  socket.on("connect_error", () => {
    // A refused CONNECT, too, is the application's to repeat.
    if (!socket.active) {
      setTimeout(() => socket.connect(), 200);
    }
  });
  socket.onAny((name, payload) => say({ k: "event", c, name, payload }));
}

/** @param {any} m */
function emit({ c, n, event, payload, timeout }) {
  const socket = sockets.get(c);
  if (!socket?.connected) {
    say({ k: "ack", c, n, failed: "disconnected" });
    return;
  }
  socket.timeout(timeout).emit(event, payload, (/** @type {Error | null} */ err, /** @type {any} */ answer) =>
    say(err ? { k: "ack", c, n, failed: err.message } : { k: "ack", c, n, answer }),
  );
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const m = JSON.parse(line);
    if (m.op === "open") {
      open(m);
    } else if (m.op === "emit") {
      emit(m);
    } else if (m.op === "close") {
      sockets.get(m.c)?.disconnect();
      sockets.delete(m.c);
    }
  })
  .on("close", () => process.exit(0));
