// Command load is many thousands of Socket.IO clients against a server or a
// fleet of them, with a check of everything that they receive.
//
//	go run ./deploy/load -mode room -clients 1000 -rate 20 -targets http://127.0.0.1:3000 -pids $PID
//
// docs/load.md says what the modes do and how to read what they report. It
// speaks the protocol in the raw (package swarm) and works against any
// Socket.IO server: with the vocabulary "plain" the server has two handlers,
// join(room) and msg(room, text).
//
// Linux only. Targets other than this machine's need -allow-remote, and every
// run ends by itself (-limit).
package main
