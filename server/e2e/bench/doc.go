// Command bench measures the whole server beside Node's socket.io, in one run
// and under one load, and prints both with their ratios and the targets.
//
// It starts one server at a time, pinned to the first core, and drives it from
// this process, pinned to the second, over loopback:
//
//	saturated  one room of 1,000 clients, 128-byte payload, 8 messages
//	           outstanding: server CPU seconds per million deliveries
//	paced      the same room at 20 messages a second
//	idle       10,000 connections: resident bytes per connection, and CPU
//	           milliseconds per 1,000 connects, first SYN to last CONNECT
//
// Every figure is a median over runs with its range; the servers take turns, so
// that a busy minute of the machine meets both. A lost or repeated delivery
// fails the run. CPU is the server process's own (user and system), so it does
// not suffer from what else the machine does; latencies do.
//
// Each server has two handlers: join(room) joins and acknowledges; msg(room,
// payload) emits msg(payload) to the room. Node runs as its users run it:
// production mode, no recovery. Ours runs with recovery on and with clients that
// look like browsers, so the recovery offset rides on every delivery.
//
// Run it from the repository's root, after npm ci in server/e2e:
//
//	go run ./server/e2e/bench [-runs 3] [-measure 8s] [-only saturated,paced,idle] [-peers node,antchat]
//
// Linux only: it reads /proc and drives its clients with epoll.
package main
