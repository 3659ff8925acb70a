// Command faults hurts real servers while a few hundred real clients chat, and
// checks that what they were promised was kept: an acknowledged message is not
// lost, not repeated, and in one order for everybody; and what a store has lost
// all the same was told to every member.
//
//	senders ─┐                       ┌─ node1 ─ relay ─┐
//	members ─┼─ relay (balancer) ────┼─ node2 ─ relay ─┼─ Redis, append-only file
//	Node.js ─┘                       └─ node3 ─ relay ─┘
//
// A world (world.go) is one run: server processes, a redis-server (none for a
// single node on disk), TCP relays that can be a bad network (relay.go), and
// members. A member (member.go) does what a careful application does, whether
// its socket is an unmodified socket.io-client under Node (nodehost.go,
// clients.mjs) or the load client (socket.go), which speaks revisions 3 and 4
// and recovers by pid and offset, or joins again with since and epoch. It sends
// each message until it is acknowledged, and some again after that. Nothing is
// deduplicated in its views that came as an event: what comes twice is counted.
//
// The ledger (ledger.go) knows every acknowledgement; a view (view.go) is what
// one member was shown of one room. When the faults (faults.go) are over, the
// senders fall silent, so that a lost last message must be found by the servers
// themselves; then the verdict (verdict.go) reads each room's log from each
// server and compares. Columns of the report are explained at figures
// (report.go).
//
// A rollout (life.go) replaces every node, as a platform does, and is also about
// comfort: outage is the longest time that one client was without connection, peak
// the most that came back within one second. Where servers close connections at an
// age, somebody is always on the way back, so there nobody has to be connected at
// the end, but everybody must have what is theirs.
//
// With appendfsync always, and on a Sentinel's pair whose replica confirms each
// message (sentinel.go), nothing may be lost, and nothing told as lost. With
// everysec, on a pair that does not confirm, and after faults that destroy
// (FLUSHALL, a power cut), what is lost must have been told to every member whose
// right it was, those who were away too: lost minus told is 0.
// A notice that reaches past all that a member had seen of an epoch counts for
// whatever that epoch had further, since nobody can know how much that was.
//
// A soak (soak.go) is the long form: deploy/load's chat mix and its checks in
// place of the members, a fault each minute, and at the end how what the nodes and
// Redis hold grew (trend.go): go run ./server/e2e/faults -soak 1h.
//
// Run it from the repository's root, after npm ci in server/e2e:
//
//	go run ./server/e2e/faults [-forms single,always,everysec,sentinel,unconfirmed] [-only node-kill,redis-kill] [-seed 7] [-mixes 2] [-json file]
//
// -only also takes mixes as they are printed (mix.go), and mix for random ones.
// Servers whose clocks jump (clock.go) are built with a copy of package time.
// The random choices follow from the printed seed; the moments at which real
// processes meet do not. It exits with 1 when a promise was broken, and with 2
// when it could not do its work. It starts its processes on loopback and ends
// those only.
package main
