package plan

// CPU is in seconds of one core (2 cores of an AMD EPYC, Zen 3, KVM, that did
// other work too), memory and network in bytes. "Runs" are those in
// testdata/runs.json: nodes over one Redis with appendfsync everysec, clients by
// deploy/load with the chat's own vocabulary, so every message is logged and
// acknowledged.
const (
	// A node that has nothing to do: beats, collections, Redis's answers. Runs.
	// A quiet machine has 2 to 3 ms (docs/operations.md).
	cpuNode = 8e-3
	// A connection that says nothing, by the second: heartbeats. 0.40 s for
	// 10,000 in a minute (docs/decisions, "polled-connections").
	cpuIdle = 0.7e-6
	// A request: a message with its append and its acknowledgement, a join, a
	// page of history, a typing. cpuAlone is what more it costs when it comes
	// alone: half of that when a node has requestBatch of them a second, since then
	// writes and wake-ups are shared. A curve through the runs, which have 30 to 500
	// a second on each node.
	cpuRequest   = 100e-6
	cpuAlone     = 290e-6
	requestBatch = 350
	// What a node with members does for a message before the first delivery. Runs
	// with members on six nodes beside runs with members on one.
	cpuCopy = 30e-6
	// A delivery into a large room, and what more it costs in a small one: half of
	// that at deliverHalf members on a node. Runs with 10, 100 and 500 members on
	// a node; 7.6 by server/e2e/bench (docs/operations.md). Nothing is joined at
	// moderate rates; saturated it is 1.5 to 2.2.
	cpuDelivery = 6.6e-6
	cpuSmall    = 4e-6
	deliverHalf = 100
	cpuConnect  = 310e-6 // handshake, CONNECT, session record. Run "idle".
	cpuJoin     = 160e-6 // a room of a client that connects. Runs.
	// What more it costs when nobody on that node was in the room. Runs with
	// members on six nodes beside runs with members on one.
	cpuFirst     = 400e-6
	memProgram   = 30 << 20
	memSession   = 2000 // resident: docs/operations.md, "A node's memory"
	memWave      = 2    // times memSession while a wave of connects lasts
	memKernel    = 3840 // slab objects of an accepted TCP connection
	memUsable    = 0.75 // of a machine: 90 % for Go, of which 85 % may be in use
	maxSessions  = 250_000
	textMeasured = 128 // of the runs
)

// Redis: 7.0.15, one core.
const (
	redisIdle = 2e-3 // a fleet that does nothing. Run "idle".
	// A request: redisRequest when many share a round trip (38 µs at 26,200 a
	// second: server/e2e/bench/redisneeds), and redisAlone more when it comes
	// alone: half of that at redisBatch a second. Runs at 10 to 1,000 a second.
	redisRequest = 35e-6
	redisAlone   = 190e-6
	redisBatch   = 700
	redisCopy    = 2e-6   // PUBLISH to one node more: commandstats of the runs
	redisConnect = 134e-6 // run "idle"
	redisJoin    = 105e-6 // runs
	// Memory: the table in docs/operations.md, "Memory".
	redisRoom      = 4770
	redisRoomHolds = 4096 // of that, for messages
	redisMessage   = 170  // and its text
	redisID        = 170
	redisIDSeconds = 2400
	redisSession   = 860 // and its socket
	redisMember    = 35 + 290
	redisNode      = 340e3
	redisRoomNode  = 240
	redisSpare     = 2.2 // resident over used 1.1, and as much again for forks and backlogs
	// primaries that the lanes of one fleet may lie on.
	maxShards = 4
	redisGiB  = 100 // of one primary, so that a fork and a full copy stay bearable: a choice
)

// Network.
const (
	netEvent     = 207 // around a message's text, payload of TCP. Runs.
	netAck       = 120 // runs
	netRequest   = 96  // around a text that comes. Runs.
	netHeader    = 52  // IPv4 and TCP with time stamps, each packet
	netHeartbeat = 2 * (3 + netHeader) / 25.
	// Between a node and Redis: docs/operations.md, "Time".
	netAppend = 400
	netCopy   = 342
)
