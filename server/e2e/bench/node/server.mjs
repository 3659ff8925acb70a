// The peer: Node's socket.io with the two handlers of the benchmark, as its
// users run it (no compression, which is its default for WebSocket frames).
// With --redis=URL it is one of several nodes, by the classic adapter.
import { createServer } from "node:http";
import { parseArgs } from "node:util";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const { values } = parseArgs({ options: { redis: { type: "string" } } });

const http = createServer();
const io = new Server(http, { serveClient: false });

if (values.redis) {
  const publisher = createClient({ url: values.redis });
  const subscriber = publisher.duplicate();
  await Promise.all([publisher.connect(), subscriber.connect()]);
  io.adapter(createAdapter(publisher, subscriber));
}

io.on("connection", (socket) => {
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack();
  });
  socket.on("msg", (room, payload) => {
    io.to(room).emit("msg", payload);
  });
});

http.listen(0, "127.0.0.1", 8192, () => {
  const { port } = /** @type {import("node:net").AddressInfo} */ (http.address());
  console.log(`listening ${port}`);
});
