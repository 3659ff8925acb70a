package plan

import (
	_ "embed"
	"encoding/json"
	"fmt"
)

// What the model is made of: CPU in seconds of one core, memory and network in
// bytes. The tests fit what is in constants.json to the records of this
// repository (make growth) and hold the model against them.
//
//go:embed constants.json
var fitted []byte

// CPU of a node.
var (
	// A node that has nothing to do: beats, collections, Redis's answers.
	cpuNode float64
	// A connection that says nothing, by the second: heartbeats.
	cpuIdle float64
	// A request: a message with its append and its acknowledgement, a join, a
	// page of history, a typing. cpuAlone is what more it costs when it comes
	// alone: half of that when a node has requestBatch of them a second, since then
	// writes and wake-ups are shared.
	cpuRequest, cpuAlone, requestBatch float64
	// What a node with members does for a message before the first delivery.
	cpuCopy float64
	// A delivery into a large room, and what more it costs in a small one: half of
	// that at deliverHalf members on a node. Nothing is joined at moderate rates;
	// saturated it is a third of it and less (docs/benchmarks.md).
	cpuDelivery, cpuSmall float64
	// Handshake, CONNECT, session record; and a room of a client that connects, and
	// what more that costs when nobody on that node was in the room.
	cpuConnect, cpuJoin, cpuFirst float64
	// Resident, with a log in Redis.
	memSession float64
)

// Redis: one core.
var (
	// A fleet that does nothing, and each node of it.
	redisIdle, redisBeat float64
	// A request: redisRequest when many share a round trip, and redisAlone more when
	// it comes alone: half of that at redisBatch a second.
	redisRequest, redisAlone, redisBatch float64
	redisCopy                            float64 // a publication to a node
	redisConnect, redisJoin              float64
)

// constants are those that are fitted, by their names in constants.json.
var constants = map[string]*float64{
	"cpuNode": &cpuNode, "cpuIdle": &cpuIdle, "cpuRequest": &cpuRequest, "cpuAlone": &cpuAlone, "requestBatch": &requestBatch,
	"cpuCopy": &cpuCopy, "cpuDelivery": &cpuDelivery, "cpuSmall": &cpuSmall, "cpuConnect": &cpuConnect, "cpuJoin": &cpuJoin, "cpuFirst": &cpuFirst,
	"memSession": &memSession, "redisIdle": &redisIdle, "redisBeat": &redisBeat, "redisRequest": &redisRequest, "redisAlone": &redisAlone,
	"redisBatch": &redisBatch, "redisCopy": &redisCopy, "redisConnect": &redisConnect, "redisJoin": &redisJoin,
}

func init() {
	var all map[string]float64
	if err := json.Unmarshal(fitted, &all); err != nil {
		panic(fmt.Sprintf("constants.json: %v", err)) // it is part of the program
	}
	for name, to := range constants {
		if *to = all[name]; !(*to > 0) {
			panic("constants.json has no " + name)
		}
	}
}

const (
	deliverHalf  = 100
	memProgram   = 30 << 20
	memWave      = 2    // times memSession while a wave of connects lasts
	memKernel    = 3840 // slab objects of an accepted TCP connection
	memUsable    = 0.75 // of a machine: 90 % for Go, of which 85 % may be in use
	maxSessions  = 250_000
	textMeasured = 128 // of the runs
)

const (
	// Memory of Redis: the table in docs/operations.md, "Memory".
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
	netEvent     = 207 // around a message's text, payload of TCP: docs/growth.json
	netAck       = 120
	netRequest   = 96 // around a text that comes
	netHeader    = 52 // IPv4 and TCP with time stamps, each packet
	netHeartbeat = 2 * (3 + netHeader) / 25.
	// Between a node and Redis: docs/operations.md, "Time".
	netAppend = 400
	netCopy   = 342
)
