package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/process"
)

// measurement drives a freshly started fleet of so many nodes and adds its
// figures.
type measurement struct {
	nodes int
	redis file // what is between the nodes
	// program: ours is the program that a user runs, not the two handlers.
	program bool
	chat    bool // its clients speak the program's vocabulary
	others  bool // a message's sender does not get it
	bare    bool // the bare server has it too
	ours    bool // nobody else takes part
	fleet   bool // only servers that can share a Redis take part
	limited bool // ours has its limits of requests, as by default
	once    bool // those that a target is not about take one turn only
	// stretches of -measure that a turn has, after a warm-up each, and about how
	// many seconds it takes besides.
	stretches, besides float64
	run                func(ctx context.Context, f *fleet, l *load, o options, add func(key string, value float64)) error
}

// measurements by name, and their order.
var (
	order = []string{
		"saturated", "paced", "many-saturated", "many-paced", "idle", "lobby", "alone", "fleet-saturated", "fleet-paced", "rooms",
		"plain", "logged", "always", "slow", "storm", "abuse",
	}
	measurements = map[string]measurement{
		"saturated":       {nodes: 1, bare: true, stretches: 1, besides: 3, run: spread("saturated", 1, 1000, fanOut{Window: 8})},
		"paced":           {nodes: 1, bare: true, stretches: 1, besides: 3, run: spread("paced", 1, 1000, fanOut{Rate: 20})},
		"many-saturated":  {nodes: 1, bare: true, stretches: 1, besides: 7, run: spread("many-saturated", 1000, 10, fanOut{Window: 64})},
		"many-paced":      {nodes: 1, bare: true, stretches: 1, besides: 7, run: spread("many-paced", 1000, 10, fanOut{Rate: 1000})},
		"idle":            {nodes: 1, bare: true, besides: 14, run: idle},
		"lobby":           {nodes: 1, program: true, once: true, besides: 70, run: lobby},
		"alone":           {nodes: 1, fleet: true, stretches: 1, besides: 3, run: spread("alone", 1, 1000, fanOut{Rate: 15})},
		"fleet-saturated": {nodes: 2, redis: inMemory, stretches: 1, besides: 4, run: spread("fleet-saturated", 1, 1000, fanOut{Window: 8})},
		"fleet-paced":     {nodes: 2, redis: inMemory, stretches: 1, besides: 4, run: spread("fleet-paced", 1, 1000, fanOut{Rate: 15})},
		"rooms":           {nodes: 4, redis: inMemory, stretches: 3, besides: 6, run: manyRooms},
		"plain":           {nodes: 2, redis: everysec, ours: true, others: true, stretches: 1, besides: 10, run: spread("plain", 1000, 10, fanOut{Rate: 1000})},
		"logged":          {nodes: 2, redis: everysec, ours: true, program: true, chat: true, others: true, stretches: 1, besides: 10, run: spread("logged", 1000, 10, fanOut{Rate: 1000})},
		"always":          {nodes: 2, redis: always, ours: true, program: true, chat: true, others: true, stretches: 1, besides: 10, run: spread("always", 1000, 10, fanOut{Rate: 1000})},
		"slow":            {nodes: 1, ours: true, stretches: 2, besides: 30, run: slow},
		"storm":           {nodes: 4, redis: everysec, ours: true, program: true, besides: 35, run: storm},
		"abuse":           {nodes: 1, program: true, ours: true, limited: true, stretches: 4, besides: 10, run: abuse},
	}
)

const warmUp = 2 * time.Second

// spread measures the fan-out in so many rooms of one size, their members spread
// over the nodes.
func spread(name string, rooms, size int, rate fanOut) func(context.Context, *fleet, *load, options, func(string, float64)) error {
	return func(ctx context.Context, f *fleet, l *load, o options, add func(string, float64)) error {
		places := make([]place, rooms*size)
		for i := range places {
			// A room's members are on all nodes, also where their number divides that of
			// the rooms.
			places[i] = place{port: int32(f.nodes[(i/rooms+i%rooms)%len(f.nodes)].port), room: int32(i % rooms)}
		}
		if err := l.connect(ctx, places, 64); err != nil {
			return err
		}
		rate.Rooms, rate.WarmUp, rate.Measure = rooms, warmUp, o.measure
		var nodes []process.Usage
		var redis []time.Duration
		var delivered int
		err := l.whole(ctx, rate, func() error {
			u, r, err := f.cpu()
			nodes, redis, delivered = append(nodes, u), append(redis, r), l.delivered
			return err
		})
		if err != nil {
			return err
		}
		millions := float64(delivered) / 1e6
		add(name+" cpu", (nodes[1].CPU-nodes[0].CPU).Seconds()/millions)
		add(name+" user", (nodes[1].User-nodes[0].User).Seconds()/millions)
		if f.redis != nil {
			add(name+" redis", (redis[1]-redis[0]).Seconds()/millions)
		}
		add(name+" rate", float64(delivered)/o.measure.Seconds())
		add(name+" p50", milliseconds(l.latency, 0.50))
		add(name+" p99", milliseconds(l.latency, 0.99))
		add(name+" first p50", milliseconds(l.first, 0.50))
		add(name+" first p99", milliseconds(l.first, 0.99))
		if l.chat {
			add(name+" ack p50", milliseconds(l.acks, 0.50))
			add(name+" ack p99", milliseconds(l.acks, 0.99))
		}
		return nil
	}
}

func milliseconds(h *hdr.Histogram, q float64) float64 {
	return float64(h.ValueAtQuantile(100*q)) / 1000
}

// whole is run, and fails when a delivery was lost or repeated.
func (l *load) whole(ctx context.Context, o fanOut, measured func() error) error {
	lost, err := l.run(ctx, o, measured)
	if err != nil {
		return err
	}
	if lost > 0 || l.repeated > 0 || l.unacked > 0 {
		return fmt.Errorf("%d deliveries and %d acknowledgements had not come %v after the last message, %d came again", lost, l.unacked, drain, l.repeated)
	}
	return nil
}

const (
	rooms     = 1000
	roomsRate = 600 // messages a second, to all busy rooms together
)

// manyRooms spreads rooms of two members over four nodes: three quarters of
// them lie on the first three nodes, each on two of them; the last quarter is
// the last node's alone. It then measures what each node spends while nothing
// happens, while the first three quarters are busy, and while the last is.
func manyRooms(ctx context.Context, f *fleet, l *load, o options, add func(string, float64)) error {
	var places []place
	last := len(f.nodes) - 1
	busy := rooms * last / len(f.nodes)
	for r := range int32(rooms) {
		at := []int{last, last}
		if int(r) < busy {
			at = []int{int(r) % last, int(r+1) % last}
		}
		for _, n := range at {
			places = append(places, place{port: int32(f.nodes[n].port), room: r})
		}
	}
	if err := l.connect(ctx, places, 64); err != nil {
		return err
	}
	for _, stretch := range []struct {
		name        string
		from, count int
		rate        float64
	}{
		{name: "quiet"},
		{name: "busy", count: busy, rate: roomsRate},
		{name: "own", from: busy, count: rooms - busy, rate: roomsRate / 3},
	} {
		var marks [][]time.Duration
		mark := func() error {
			used := make([]time.Duration, len(f.nodes))
			for i, s := range f.nodes {
				u, err := s.usage()
				if err != nil {
					return err
				}
				used[i] = u.CPU
			}
			marks = append(marks, used)
			return nil
		}
		var err error
		if stretch.count == 0 {
			err = l.still(ctx, o.measure, mark)
		} else {
			err = l.whole(ctx, fanOut{
				From: stretch.from, Rooms: stretch.count, Rate: stretch.rate, WarmUp: warmUp, Measure: o.measure,
			}, mark)
		}
		if err != nil {
			return err
		}
		share := make([]float64, len(f.nodes)) // per cent of a core
		for i := range share {
			share[i] = 100 * float64(marks[1][i]-marks[0][i]) / float64(o.measure)
		}
		add("rooms "+stretch.name+" others", (slices.Min(share[:last])+slices.Max(share[:last]))/2)
		add("rooms "+stretch.name+" last", share[last])
	}
	return nil
}

// still lets d pass between two marks.
func (l *load) still(ctx context.Context, d time.Duration, mark func() error) error {
	if err := l.idle(ctx, warmUp); err != nil {
		return err
	}
	if err := mark(); err != nil {
		return err
	}
	if err := l.idle(ctx, d); err != nil {
		return err
	}
	return mark()
}

// idle measures connecting, and what a connection holds when nothing happens.
func idle(ctx context.Context, f *fleet, l *load, o options, add func(string, float64)) error {
	return rest(ctx, "idle", f, l, o, 5*time.Second, add)
}

// lobby is idle for a minute, and with ours in the room where the program puts
// everyone; the first minute of 25 s heartbeats has two of them.
func lobby(ctx context.Context, f *fleet, l *load, o options, add func(string, float64)) error {
	return rest(ctx, "lobby", f, l, o, time.Minute, add)
}

// firstClients connect before those that are measured.
const firstClients = 200

func rest(ctx context.Context, name string, f *fleet, l *load, o options, d time.Duration, add func(string, float64)) error {
	s := f.nodes[0]
	places := slices.Repeat([]place{{port: int32(s.port), room: nowhere}}, o.idleClients)
	// The first ones have the code brought into memory, and compiled where that is
	// done late: that is no price of a connection.
	if err := l.connect(ctx, places[:firstClients], 64); err != nil {
		return err
	}
	if err := l.idle(ctx, time.Second); err != nil {
		return err
	}
	before, err := s.usage()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := l.connect(ctx, places, 128); err != nil {
		return err
	}
	took := time.Since(start)
	connected, err := s.usage()
	if err != nil {
		return err
	}
	thousands := float64(o.idleClients) / 1000
	add(name+" connect cpu", (connected.CPU-before.CPU).Seconds()*1000/thousands)
	add(name+" connect rate", float64(o.idleClients)/took.Seconds())
	if err := l.idle(ctx, d); err != nil {
		return err
	}
	settled, err := s.usage()
	if err != nil {
		return err
	}
	add(name+" bytes", float64(settled.RSS-before.RSS)/float64(o.idleClients))
	add(name+" files", float64(settled.Files-before.Files)/float64(o.idleClients))
	add(name+" cpu", (settled.CPU-connected.CPU).Seconds()*10/thousands) // of 10,000
	return nil
}
