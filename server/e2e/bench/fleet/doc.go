// Command fleet puts a whole fleet on this machine: nodes over one Redis, and as
// many chatting clients as they can hold together.
//
//	go run ./server/e2e/bench/fleet                # 250,000 clients on 15 nodes
//	go run ./server/e2e/bench/fleet -record .      # and docs/fleet.md, its plot and fleet.json
//
// A process may hold only as many connections as it may open files (ulimit -n),
// hence that many nodes, and processes of the load tool. Everything is on
// loopback, and ends by itself. Linux only; redis-server is needed.
package main
