// Speaks as the official chat example does: one room, no acknowledgements, the
// name given again after each reconnect.
const socket = io();
const $ = (id) => document.getElementById(id);
const log = (kind, text) => {
  const item = document.createElement("li");
  item.className = kind;
  item.textContent = text;
  $("log").append(item);
};

let name = "";
let connected = false;
let typing = false;
let pause;

$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  name = $("name").value;
  $("who").hidden = true;
  $("write").hidden = false;
  socket.emit("add user", name);
});
$("write").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value;
  if (!text || !connected) return;
  $("text").value = "";
  log("message", `${name}: ${text}`);
  socket.emit("new message", text);
  socket.emit("stop typing");
  typing = false;
});
$("text").addEventListener("input", () => {
  if (!typing) socket.emit("typing");
  typing = true;
  clearTimeout(pause);
  pause = setTimeout(() => {
    socket.emit("stop typing");
    typing = false;
  }, 400);
});

socket.on("login", (data) => {
  connected = true;
  log("login", String(data.numUsers));
});
socket.on("new message", (data) => log("message", `${data.username}: ${data.message}`));
socket.on("user joined", (data) => log("joined", `${data.username} ${data.numUsers}`));
socket.on("user left", (data) => log("left", `${data.username} ${data.numUsers}`));
socket.on("typing", (data) => ($("typing").textContent = data.username));
socket.on("stop typing", () => ($("typing").textContent = ""));
socket.on("disconnect", () => log("disconnect", ""));
socket.io.on("reconnect", () => {
  log("reconnect", "");
  if (name) socket.emit("add user", name);
});
