// Package adminui is the namespace that the official Socket.IO Admin UI
// (@socket.io/admin-ui 0.5) connects to: a page that shows a fleet's servers,
// connections and, in development mode, sockets, rooms and events, and that can
// emit, move sockets between rooms and end them.
//
// # Flow
//
//	a page → CONNECT → admit (password, token or session) → greet → room of the pages
//	a page is there → watch, to every node, each few seconds
//	a node that is watched → counters, hooks → server_stats, socket_… → room of the pages
//	a page → emit, join, leave, _disconnect → the Socket.IO server's own broadcasts
//
// Nodes that nobody watches send nothing, and their hooks return at once.
//
// # What it must not know
//
// Engine.IO: main hands its counts over. The chat: rooms and data are shown as
// the Socket.IO server has them.
package adminui
