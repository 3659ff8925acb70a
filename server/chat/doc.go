// Package chat is the domain: what a name, a room, a text may be, who a person
// is, how a message becomes an entry of a room's log and an entry a message,
// what a page of history holds, who is counted as present, when a coming or
// going is announced, and how long somebody is "typing".
//
// # Flow
//
// The layer above decodes a request, asks this package, and gets facts (a
// [Sent], a [Page], a [Roster]) or a typed error ([*Invalid], the Err
// variables, or an error of package adapter, wrapped). It is that layer which
// tells anybody.
//
// # What it must not know
//
// Sockets, packets, event names on the wire other than the one a log entry is
// stored under, JSON that clients send, timers and goroutines: nothing here
// starts one or looks at the clock, the caller passes the time. So every rule
// is tested without a network.
package chat
