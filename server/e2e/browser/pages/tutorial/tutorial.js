// Speaks as the getting-started tutorial does in its last step: what it has
// seen is in its auth, and it repeats what was not acknowledged.
const socket = io({ auth: { serverOffset: 0 }, ackTimeout: 10000, retries: 3 });
let counter = 0;

document.getElementById("form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = document.getElementById("input");
  if (!input.value) return;
  socket.emit("chat message", input.value, `${socket.id}-${counter++}`);
  input.value = "";
});
document.getElementById("toggle").addEventListener("click", () => {
  if (socket.connected) socket.disconnect();
  else socket.connect();
});
socket.on("chat message", (text, serverOffset) => {
  const item = document.createElement("li");
  item.textContent = text;
  item.dataset.offset = serverOffset;
  document.getElementById("messages").append(item);
  socket.auth.serverOffset = serverOffset;
});
socket.on("connect", () => (document.body.dataset.state = socket.recovered ? "recovered" : "connected"));
socket.on("disconnect", () => (document.body.dataset.state = "disconnected"));
