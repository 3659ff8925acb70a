package main

// diagrams are what docs/growth.md shows, in its order.
var diagrams = []diagram{
	{
		name: "delivery", stage: "members", title: "CPU per delivery", x: "members of the room", y: "µs of a node's CPU per delivery",
		about: "One room, one node; 8,000 deliveries a second at every size, so a small room hears many messages and a large one few " +
			"(from 4,000 members on 2 a second).",
		curves: []curve{{
			key: "delivery", label: "CPU per delivery, µs", colour: "#1f77b4", digits: 1, per: true,
			about: "falls while the message's own work, its append, acknowledgement and encoding, is shared by more and more members; " +
				"from some 100 on what is left is one write to one connection, and that is nearly all the kernel's. It may rise a little where thousands of connections " +
				"no longer fit into the processor's caches: each write then fetches its socket from memory.",
		}},
	},
	{
		name: "memory", stage: "connections", title: "Memory per connection", x: "connections of the process", y: "bytes per connection",
		about: "One node; everybody is in the lobby, with a session record in Redis. 19,000 is what a process may have here, which may open 20,000 files. " +
			"Measured in the first run only.",
		curves: []curve{
			{
				key: "bytes", label: "resident bytes of the node per connection", colour: "#1f77b4", per: true,
				about: "the first thousands stand on a heap that Go has not filled or not given back yet, so that they scatter; then it is level. Tables double, which makes steps.",
			},
			{
				key: "redis bytes", label: "bytes used of Redis per connection", colour: "#d62728", per: true,
				about: "rises to its level: small sets are kept packed by Redis and become tables as they grow, and a table is between half full and full.",
			},
		},
	},
	{
		name: "join-time", stage: "joins", title: "Time to join, leave and recover", x: "members of the room", y: "ms, median",
		about: "A room on two nodes, of people with names; 100 more join it, leave it, and, members again, lose their connection and recover, 50 a second.",
		curves: []curve{
			{
				key: "join ms", label: "join, ms", colour: "#1f77b4", digits: 2,
				about: "a round trip to Redis, and 50 messages to read if there are as many; the answer names at most 100 people, which ends its growth there.",
			},
			{key: "leave ms", label: "leave, ms", colour: "#ff7f0e", digits: 2, about: "a round trip to Redis, whatever the room's size."},
			{
				key: "recover ms", label: "recover, ms", colour: "#2ca02c", digits: 2,
				about: "from the first SYN to the CONNECT with the old session: what counts is what was missed, not who is there.",
			},
		},
	},
	{
		name: "join-cpu", stage: "joins", title: "CPU to join, leave and recover", x: "members of the room", y: "µs of both nodes' CPU for each",
		about: "The same. What it takes to tell the members is in the figures.",
		curves: []curve{
			{
				key: "join us", label: "join, µs", colour: "#1f77b4",
				about: "linear up to 200 people, since each of them is told of each join; beyond that (`presence.announce_max`) they are told the number at " +
					"most once a second: the curve falls there, and what it rises again is that one broadcast, which is linear, divided by the 50 joins of its second.",
			},
			{key: "leave us", label: "leave, µs", colour: "#ff7f0e", about: "the same."},
			{
				key: "recover us", label: "recover, µs", colour: "#2ca02c",
				about: "a lost connection that comes back within `presence.grace` is told to nobody: level.",
			},
		},
	},
	{
		name: "messages", stage: "messages", title: "CPU against messages", x: "messages a second", y: "cores",
		about: "200 rooms of 10, each on both of two nodes.",
		curves: []curve{
			{
				key: "redis cores", label: "Redis, cores", colour: "#d62728", digits: 3,
				about: "less than linear: the more messages, the more of them share a round trip, and with it a wake-up of Redis and a write of its file. " +
					"What is there without any messages, heartbeats of nodes, lies under the first points.",
			},
			{key: "node cores", label: "both nodes, cores", colour: "#1f77b4", digits: 3, about: "less than linear for the same reasons; then writes to clients are joined, too."},
		},
	},
	{
		name: "nodes", stage: "nodes", title: "CPU against nodes", x: "nodes", y: "cores",
		about: "100 rooms of 16, their members spread over all nodes, 300 messages a second: the most that a message can meet, since a room of 16 is on 16 nodes.",
		curves: []curve{
			{
				key: "redis cores", label: "Redis, cores", colour: "#d62728", digits: 3,
				about: "a message is one script, whatever the nodes, and one PUBLISH that Redis writes to each node with members; with more nodes, fewer messages of each share a round trip.",
			},
			{
				key: "node cores", label: "all nodes, cores", colour: "#1f77b4", digits: 3,
				about: "each node with members decodes and encodes the message for its few: that is linear, beside the deliveries, which stay the same.",
			},
		},
	},
	{
		name: "latency", stage: "nodes", title: "One message's latency as nodes are added", x: "nodes", y: "ms",
		about: "One room of 160 people, spread over all nodes, 20 messages a second, nothing else. All nodes share one core here, so they deliver one after the other; " +
			"on machines of their own each writes to its part at the same time.",
		curves: []curve{
			{key: "first p50", label: "to its first member, median, ms", colour: "#2ca02c", digits: 2, about: "Redis's round trip and the first node's write: level."},
			{
				key: "last p50", label: "to its last member, median, ms", colour: "#1f77b4", digits: 2,
				about: "160 writes, whoever makes them, and what each further node adds of its own on the one core that they share.",
			},
			{key: "last p90", label: "to its last member, p90, ms", colour: "#9467bd", digits: 2},
		},
	},
}
