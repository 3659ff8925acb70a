// Package local is the adapter of a single node: fan-out in process, the room
// log, sessions and everything else kept in an embedded store on disk, or
// wholly in memory.
//
// # Flow
//
// There is one lane. The stream (stream.go) gives out positions and pushes
// items to the sequencer under one short lock. Appends go to the committer
// (committer.go): one goroutine that writes many of them in one transaction,
// then publishes them in the order of their positions, then answers. While one
// transaction is synced the next one's appends collect.
//
// Emits do not wait for the disk: while a commit is under way they take
// positions that were set aside below the commit's own, so that the order of
// positions is the order of deliveries.
//
// # What survives
//
//	                       clean restart   kill -9
//	logged                 yes             yes, when Append had returned
//	recoverable            yes             no, and sessions that may have missed
//	                                       one are refused (see loose.go)
//	ephemeral, direct      no              no
//	session records        yes             yes, up to FlushInterval ago
//	presence, counters,    no              no
//	expiring records
//
// With no Dir nothing survives the process.
//
// # What it must not know
//
// Sockets' protocols, the chat's rules, and configuration.
package local
