package plan

import (
	"fmt"
	"math"
)

// Load is what users do. All must be at least 0, Users and Rooms at least 1.
type Load struct {
	Users    float64 `json:"users"`    // connected at the same time
	Rooms    float64 `json:"rooms"`    // that exist
	Joined   float64 `json:"joined"`   // rooms of a user
	Rate     float64 `json:"rate"`     // messages a second, of all together
	Text     float64 `json:"text"`     // bytes of a message
	Typing   float64 `json:"typing"`   // typing events for each message: delivered, not kept
	Requests float64 `json:"requests"` // joins, pages of history and so on for each message
	Connects float64 `json:"connects"` // of a user in an hour
	Keep     float64 `json:"keep_s"`   // seconds that messages are kept (log.max_age)
	Last     float64 `json:"last"`     // messages kept of a room (log.max_messages)
}

// Machine is what a node runs on.
type Machine struct {
	VCPUs    float64
	GiB      float64
	Sessions float64 // connections that it may have
	Busy     float64 // share of its processors that may be used, of (0, 1]
	Spare    float64 // nodes beyond those that are needed
	Least    float64
}

// Members is how many users a room has, on average, at least 1.
func (l *Load) Members() float64 { return max(1, l.Users*l.Joined/l.Rooms) }

// Deliveries is how many events a second reach somebody: a sender does not get
// its own.
func (l *Load) Deliveries() float64 { return l.Rate * (1 + l.Typing) * (l.Members() - 1) }

// copies is on how many of so many nodes a room has members.
func (l *Load) copies(nodes float64) float64 {
	if nodes <= 1 {
		return 1
	}
	m := l.Members()
	return max(1, min(m, -nodes*math.Expm1(m*math.Log1p(-1/nodes))))
}

// requests a second that Redis hears of.
func (l *Load) requests() float64 { return l.Rate * (1 + l.Typing + l.Requests) }

func (l *Load) connects() float64 { return l.Users * l.Connects / 3600 }

// shared is the cost of one of many: alone falls off with how many there are
// beside it. The cost of all still rises with their number.
func shared(least, alone, beside float64) float64 { return least + alone/(1+beside) }

// NodeCPU is what so many nodes need together, in cores, with members of each
// room on copies of them.
func (l *Load) NodeCPU(nodes, copies float64) float64 {
	on := l.Members() / copies // as many of its members are on a node
	return nodes*cpuNode + l.Users*cpuIdle + l.requests()*shared(cpuRequest, cpuAlone, l.requests()/max(nodes, 1)/requestBatch) + l.Rate*(1+l.Typing)*copies*cpuCopy +
		l.Deliveries()*(cpuDelivery+cpuSmall/(1+on/deliverHalf)) + l.connects()*(cpuConnect+l.Joined*(cpuJoin+cpuFirst/on))
}

// RedisCPU is what one of so many primaries needs for so many nodes, in cores.
func (l *Load) RedisCPU(shards, nodes, copies float64) float64 {
	r := l.requests() / shards
	// More primaries than a fleet has are those of several fleets, which share the nodes.
	nodes *= min(1, maxShards/shards)
	return redisIdle + nodes*redisBeat + r*shared(redisRequest, redisAlone, r/redisBatch) + l.Rate*(1+l.Typing)/shards*copies*redisCopy +
		l.connects()/shards*(redisConnect+l.Joined*redisJoin)
}

// RedisUsed is what all primaries keep, in bytes of used_memory.
func (l *Load) RedisUsed(nodes, copies float64) float64 {
	each := min(l.Last, l.Rate*l.Keep/l.Rooms)
	logs := l.Rooms * (redisRoom + max(0, each*(redisMessage+l.Text)-redisRoomHolds))
	return logs + l.Rate*redisIDSeconds*redisID + l.Users*(redisSession+l.Joined*redisMember) + nodes*redisNode + l.Rooms*copies*redisRoomNode
}

// Network is bytes a second.
type Network struct {
	Out      float64 `json:"out"`      // to clients, with the headers of IP and TCP
	In       float64 `json:"in"`       // from clients
	Redis    float64 `json:"redis"`    // to and from Redis
	Payloads float64 `json:"payloads"` // of Out: what TCP carries, without heartbeats
}

func (l *Load) network(copies float64) Network {
	typed := l.Rate * l.Typing * (l.Members() - 1)
	spoken := l.Deliveries() - typed
	payloads := spoken*(netEvent+l.Text) + typed*netEvent + l.requests()*netAck
	return Network{
		Payloads: payloads,
		Out:      payloads + (l.Deliveries()+l.requests())*netHeader + l.Users*netHeartbeat/2,
		In:       l.requests()*(netRequest+netHeader) + l.Rate*l.Text + l.Users*netHeartbeat/2,
		Redis:    l.requests()*(netAppend+netHeader) + l.Rate*l.Text + l.Rate*(1+l.Typing)*copies*(netCopy+l.Text+netHeader),
	}
}

// Need is what a load needs on machines of a kind.
type Need struct {
	Nodes   float64 `json:"nodes"`
	Bound   string  `json:"bound"` // what asks for that many: least, cpu, memory or connections
	ByCPU   float64 `json:"nodes_by_cpu"`
	ByMem   float64 `json:"nodes_by_memory"`
	ByConns float64 `json:"nodes_by_connections"`

	NodeCPU    float64 `json:"node_cores"`     // of all nodes together
	NodeMemory float64 `json:"node_bytes"`     // of each: process and kernel, a wave of connects included
	Copies     float64 `json:"copies"`         // nodes that a message goes to
	Fanout     float64 `json:"fanout_s"`       // from a node's first delivery of a message to its last
	Members    float64 `json:"members"`        // of a room
	Deliveries float64 `json:"deliveries_s"`   // a second
	Connects   float64 `json:"connects_s"`     // a second
	Shards     float64 `json:"redis_shards"`   // primaries
	ShardBound string  `json:"redis_bound"`    // cpu or memory
	RedisCPU   float64 `json:"redis_cores"`    // of each primary
	RedisUsed  float64 `json:"redis_used"`     // bytes of all primaries
	RedisGiB   float64 `json:"redis_gib_each"` // to provide for each primary

	Network  Network  `json:"network_bytes_s"`
	Warnings []string `json:"warnings,omitempty"`
}

// Size says what a load needs on machines of one kind.
func Size(l *Load, m *Machine) *Need {
	n := &Need{Members: l.Members(), Deliveries: l.Deliveries(), Connects: l.connects()}
	perUser := memSession*memWave + memKernel
	n.ByMem = math.Ceil(l.Users * perUser / max(m.GiB*(1<<30)*memUsable-memProgram, 1<<20))
	n.ByConns = math.Ceil(l.Users / m.Sessions)
	// More nodes need more, since rooms are spread over more of them: upwards from
	// the fewest, until they carry themselves. What a node adds of its own is far
	// below what it has.
	nodes := max(1, n.ByMem, n.ByConns)
	each := m.VCPUs*m.Busy - cpuNode
	for range 1000 {
		n.Copies = l.copies(nodes)
		n.ByCPU = max(1, math.Ceil((l.NodeCPU(nodes, n.Copies)-nodes*cpuNode)/each))
		if n.ByCPU <= nodes {
			break
		}
		nodes = n.ByCPU
	}
	switch nodes {
	case n.ByConns:
		n.Bound = "connections"
	case n.ByMem:
		n.Bound = "memory"
	default:
		n.Bound = "cpu"
	}
	n.Nodes = nodes + m.Spare
	if n.Nodes < m.Least || nodes == 1 {
		n.Nodes, n.Bound = max(n.Nodes, m.Least), "least"
	}
	// What is there is used, the spare one too.
	n.Copies = l.copies(n.Nodes)
	n.NodeCPU = l.NodeCPU(n.Nodes, n.Copies)
	n.NodeMemory = memProgram + l.Users/n.Nodes*perUser
	on := n.Members / n.Copies // as many of its members are on a node
	n.Fanout = cpuCopy + on*(cpuDelivery+cpuSmall/(1+on/deliverHalf))
	n.Network = l.network(n.Copies)
	n.redis(l)
	n.warn(l)
	return n
}

// redis finds the fewest primaries that carry it.
func (n *Need) redis(l *Load) {
	const busy = 0.6 // of a core that runs scripts one after the other: beyond it appends wait
	n.RedisUsed = l.RedisUsed(n.Nodes, n.Copies)
	byMemory := max(1, math.Ceil(n.RedisUsed*redisSpare/(redisGiB<<30)))
	n.Shards, n.ShardBound = byMemory, "memory"
	if byMemory == 1 {
		n.ShardBound = "least"
	}
	// Twice the primaries never need more than half and what stays: it ends.
	for l.RedisCPU(n.Shards, n.Nodes, n.Copies) > busy && n.Shards < 1e9 {
		n.Shards = max(n.Shards+1, math.Floor(n.Shards*1.01))
		n.ShardBound = "cpu"
	}
	n.RedisCPU = l.RedisCPU(n.Shards, n.Nodes, n.Copies)
	n.RedisGiB = n.RedisUsed * redisSpare / n.Shards / (1 << 30)
}

func (n *Need) warn(l *Load) {
	add := func(format string, args ...any) { n.Warnings = append(n.Warnings, fmt.Sprintf(format, args...)) }
	if n.Shards > maxShards {
		add("%.0f Redis primaries are needed, and the lanes of one fleet lie on at most %d: divide the users into %.0f fleets", n.Shards, maxShards, math.Ceil(n.Shards/maxShards))
	}
	if n.Fanout > 0.1 {
		add("one message is %.0f ms of work for a node: its last member sees it that late; make rooms smaller, or spread them over more nodes", 1000*n.Fanout)
	}
	if share := l.Rate / l.Rooms * n.Fanout; share > 0.5 {
		add("each room takes %.1f cores of each node that it is on; one room has one at most", share)
	}
	if l.Text > 8*textMeasured {
		add("CPU was measured with texts of %d bytes; longer ones cost more than is said here", textMeasured)
	}
}
