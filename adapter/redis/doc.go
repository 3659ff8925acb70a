// Package redis is the adapter of many nodes that share a Redis: one chat.
//
// # Flow
//
// A lane (one on a single Redis, four on a Cluster) has three ways to Redis.
// The pipe is one connection that writes in order and in batches: appends,
// emits, presence, the ends of sessions. The link is one subscriber connection
// on which everything that any node published comes back in one order: events,
// beats, and the markers of this node's own cuts. General connections carry
// reads and cuts.
//
//	Append → pipe → append.lua (dedupe, sequence, stream, publish) → every link
//	link → gap check per room → sequencer → Receiver
//	Join → subscribe → cut.lua (position C, marker on the link) → installed at the marker
//
// What a link may have missed is never guessed at: any doubt (an error, a
// silent connection, a hole in a room's sequence, a new era of the store, a
// head that the audit found ahead) ends the link. A new one subscribes to
// everything again, reads the past up to a marker and delivers it, merged by
// position over all rooms, before what came behind the marker.
//
// The scripts in lua/ are the store's half of DELIVERY; a lane's keys and
// channels share a hash tag:
//
//	lane            hash: position, replication id, start of the era, forks
//	cfg             hash: the number of lanes (lane 0)
//	m:room s:room   head and stream (seq-pos) of a room's log
//	d:room:bucket   dedupe answers
//	v:room w:ns vt  recoverable emits to one room, to several or all; trimmed up to
//	o:pid j:pid     a session, and its part of a lane
//	z n zd g gr x   leases, the dead, since when, half reaped, by whom, emits made
//	on: in: pn:     sessions, sockets, presence of an incarnation
//	i:sid           which node has a socket
//	p: pz: pr lr    people of a room, in order; rooms with people; with a log
//	x:c: x:v:       counters and expiring records
//
// Channels: c:room, c* (no room or several; lane 0), n:node.
//
// # What it must not know
//
// What an event means, and who reads it. Nothing outside sees a Redis type.
package redis
