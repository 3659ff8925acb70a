// The peer: Node's socket.io with the two handlers of the benchmark, as its
// users run it (no compression, which is its default for WebSocket frames).
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { serveClient: false });

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
