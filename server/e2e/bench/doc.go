// Command bench measures the whole server beside what else one could pick, in
// one run and under one load, and prints all with their ratios and the targets:
// Node's socket.io, and the Go libraries of zishang520 and googollee, whose
// servers are in peers, a module of its own.
//
// It starts one peer's server or servers at a time, pinned to the first core,
// and drives them from this process, pinned to the second, over loopback:
//
//	saturated  one room of 1,000 clients, 128-byte payload, 8 messages
//	           outstanding: server CPU seconds per million deliveries
//	paced      the same room at 20 messages a second
//	many-saturated  10,000 clients in 1,000 rooms of 10, 64 messages outstanding
//	many-paced      the same rooms, 1,000 messages a second in all
//	idle       10,000 connections, after a first 200: resident bytes of each after 5 s, and
//	           CPU milliseconds per 1,000 connects, first SYN to last CONNECT
//	lobby      the same for a minute, with heartbeats, and ours is the program
//	           with its default settings: everyone in the lobby, log and session
//	           records on disk
//
//	abuse      the program with its default limits: 200 people in the lobby, and
//	           their p99 with and without one more, in turn, who sends 1,000
//	           messages a second: in another room, and there, where it gets as
//	           many through as it may. Others have no such limits and are not asked
//
// With several nodes, and a redis-server of their own on the second core that
// keeps nothing on disk (Node's with @socket.io/redis-adapter, classic):
//
//	fleet-saturated  two nodes, 500 clients of the one room on each: CPU of
//	                 both servers together, and of Redis
//	fleet-paced      the same at 15 messages a second
//	alone            the same load on one node without Redis: what the fleet
//	                 adds to a delivery's latency is the difference
//	rooms            1,000 rooms of two members on four nodes: CPU of a node
//	                 while only rooms are busy that it has no member in
//
// And ours alone, since nobody else has it:
//
//	plain   two nodes and Redis with its file (appendfsync everysec), 1,000 rooms
//	        of 10, 1,000 broadcasts a second, each to the nine others of the
//	        sender's room, as the chat's are
//	logged  the program there: new message, which is logged and acknowledged;
//	        what that costs beside the broadcasts, and how long the answer takes
//	always  the same with appendfsync always
//	slow    one room of 1,000, of whom 100 stop reading: the others' p99, and the
//	        memory that it takes, until they are closed
//	storm   four nodes of the program; the one with 15,000 clients is killed:
//	        time until all are back on the others, and CPU (the load tool's)
//
// In the first five, bare writes take a turn as well: a server that does nothing
// but write a ready-made frame to each connection is the kernel's own price.
//
// Every figure is a median over runs with its range; the peers take turns, so
// that a busy minute of the machine meets all. A lost or repeated delivery
// fails the run; a peer's failed run is noted, and the others go on. CPU is the
// server processes' own (user and system), so it does not suffer from what else
// the machine does; latencies do.
//
// Each server has two handlers: join(room) joins and acknowledges; msg(room,
// payload) emits msg(payload) to the room. The peers run as their users run them:
// default options, Node in production mode, no recovery; googollee speaks
// revision 3 only, and its clients do too. Ours runs with recovery on and with
// clients that look like browsers, so the recovery offset rides on every
// delivery; with Redis each message is also kept there for the recovery window.
//
// With -record it writes docs/benchmarks.json, and from that docs/benchmarks.md,
// its plots and the README's figures; -rewrite makes them of the last record. With
// -merge what was measured now replaces that part of the record only.
// With -check it says which ratios are worse than the recorded ones.
//
// With -growth it measures something else: what things cost as they get larger
// (growth_linux.go has the stages), and writes docs/growth.json, docs/growth.md and
// its plots. It fails when something grows faster than linearly.
//
// Run it from within the repository, after npm ci in server/e2e:
//
//	go run ./server/e2e/bench [-runs 3] [-measure 6s] [-only rooms,…] [-peers node,antchat,bare]
//
// Linux only: it reads /proc and drives its clients with epoll.
package main
