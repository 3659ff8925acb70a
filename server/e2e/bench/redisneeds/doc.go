// Command redisneeds measures what a fleet needs of its Redis: the figures of
// docs/operations.md come from here.
//
//	go run ./server/e2e/bench/redisneeds [-only memory,speed,idle | lobby | people]
//
// It drives the adapter of a node, without sockets or clients, on redis-servers
// of its own (loopback, a free port, a temporary directory):
//
//	memory  what INFO's used_memory grows by, per thing kept
//	speed   appends with the append-only file off, everysec and always: how
//	        many a second, how long one takes, Redis's own time per script
//	        (INFO commandstats) and per append in all (its process's CPU),
//	        bytes of file and of output
//	idle    what nodes without traffic cost, and their connections
//	lobby   what people cost who are in the lobby alone, and
//	people  each in a room of its own too: memory and CPU of Redis and of the node
//
// The memory of what shrinks again (recoverable emits, ids) is that of its
// window, full; redis-server's own 1 MB or so is not counted.
package main
