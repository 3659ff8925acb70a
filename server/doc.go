// Command antchat is a chat server for Socket.IO clients.
//
// This package is the wiring: it alone maps settings to the options of the
// other packages, and it knows in which order they start and stop.
//
// # Start
//
// Each step needs those before it; the first that fails ends the start.
//
//  1. settings (exit code 2 if one is wrong), logging
//  2. the adapter: opens the store, so nothing is accepted that could not be kept
//  3. Socket.IO, and the chat on its root namespace: all handlers are registered
//  4. Engine.IO, the gateway: the first client could be served now
//  5. the listener; the address to open is printed
//
// # Stop
//
// SIGTERM and SIGINT (Ctrl-C) stop the server within http.stop_timeout, with
// exit code 0; a second signal ends it at once. The order is that of the data:
// whoever feeds a layer is gone before the layer is.
//
//  1. /readyz answers 503, so that balancers look elsewhere
//  2. new sessions are refused with 503, and those that there are are closed
//     ("server shutting down"), each at a moment when its client waits for no
//     answer: in a fleet one after the other over http.drain_window; alone all
//     at once, since clients have nowhere to go, and the sooner the node is
//     back the better. Polls are served until then, so the listener stays open.
//     Clients reconnect by themselves, and their sessions stay recoverable
//  3. the listener closes; requests under way are answered; sessions that are
//     left are closed
//  4. Socket.IO ends: handlers under way return
//  5. the chat, then the adapter, whose store is synced
//  6. what is left of traces is sent; the operator's address closes last
package main
