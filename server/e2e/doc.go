// Package e2e holds the tests over real processes: the built server, real
// clients, cut networks, kill -9, and everything hostile that a raw socket can
// send. It has no code of its own; the server is only reached from outside.
//
//	interop/      socket.io-client 1.7.4 to 4.8.4 (node:test), and the SDKs from other registries (run.sh)
//	browser/      the page in Chromium
//	conformance/  the server for the published protocol suites
//	bench/        the whole server beside Node's
//
// The tests need node and, once, npm ci in this folder. They fail without.
package e2e
