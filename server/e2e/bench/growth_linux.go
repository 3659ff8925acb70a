package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/deploy/load/process"
	"github.com/antchat/antchat/server/e2e/child"
)

// stage measures points of one kind. It is given the sizes ascending.
type stage struct {
	name  string
	sizes []int
	once  bool // in the first run only
	// seconds that it takes beside what is measured, about; stretches of -measure,
	// with a warm-up each.
	besides, stretches float64
	run                func(ctx context.Context, g *grower, sizes []int) error
}

var stages = []stage{
	{name: "members", sizes: []int{10, 30, 100, 300, 1000, 3000, 10_000}, besides: 20, stretches: 7, run: growMembers},
	{name: "connections", sizes: []int{1000, 2000, 5000, 10_000, 19_000}, once: true, besides: 115, run: growConnections},
	{name: "joins", sizes: []int{10, 100, 300, 1000, 3000, 10_000}, besides: 40, run: growJoins},
	{name: "messages", sizes: []int{50, 100, 200, 500, 1000, 2000}, besides: 5, stretches: 6, run: growMessages},
	{name: "nodes", sizes: []int{1, 2, 4, 8, 16}, besides: 45, stretches: 10, run: growNodes},
}

func stageNames() []string {
	names := make([]string, len(stages))
	for i, s := range stages {
		names[i] = s.name
	}
	return names
}

// grower is a run of all stages.
type grower struct {
	*growth
	root, dir string
	program   []string // how a node is started, short of its data directory
	measure   time.Duration
	warmUp    time.Duration // before that
	pause     time.Duration // announcements that are held back go out once a second
	spin      bool
	fleets    int // started so far
}

func recordGrowth(ctx context.Context, root, dir string, o options) error {
	g := &grower{
		root: root, dir: dir, measure: o.measure, warmUp: warmUp, pause: 1500 * time.Millisecond, spin: o.spin,
		growth: &growth{
			Date: time.Now().UTC().Format(time.DateOnly), Runs: o.runs, Seconds: o.measure.Seconds(), Stages: map[string][]point{}, Parts: map[string]part{},
			Arguments: []string{"-growth", ".", "-runs", strconv.Itoa(o.runs), "-measure", o.measure.String(), "-only", strings.Join(o.only, ",")},
		},
	}
	var err error
	if g.Machine, err = process.Machine(); err != nil {
		return err
	}
	g.Machine += ", loopback"
	if g.Versions, err = versions(ctx, root, nil); err != nil {
		return err
	}
	servers, err := build(ctx, root, dir, []string{"program"})
	if err != nil {
		return err
	}
	g.program = servers["program"]
	turns := func(do func(run int, s stage) error) error {
		for run := range o.runs {
			for _, s := range stages {
				if slices.Contains(o.only, s.name) && (run == 0 || !s.once) {
					if err := do(run, s); err != nil {
						return fmt.Errorf("%s: %w", s.name, err)
					}
				}
			}
		}
		return nil
	}
	about := 10 * time.Second // builds
	_ = turns(func(_ int, s stage) error {
		about += time.Duration(s.besides*float64(time.Second)) + time.Duration(s.stretches)*(warmUp+o.measure)
		return nil
	})
	fmt.Fprintf(os.Stderr, "about %.0f minutes\n", about.Minutes())
	began := time.Now()
	err = turns(func(run int, s stage) error {
		if err := s.run(ctx, g, s.sizes); err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%4.0f s  %s, run %d of %d done\n", time.Since(began).Seconds(), s.name, run+1, o.runs)
		for len(g.Loads) <= run {
			g.Loads = append(g.Loads, 0)
		}
		g.Loads[run] = loadAverage()
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range o.only {
		g.Parts[name] = part{Commit: g.Versions[0].Version, Date: g.Date, Runs: g.Runs, Seconds: g.Seconds, Loads: g.Loads}
	}
	all := g.growth
	if o.merge {
		if all, err = readGrowth(filepath.Join(o.growth, growthPath)); err != nil {
			return err
		}
		all.merge(g.growth)
	}
	if err := all.write(o.growth); err != nil {
		return err
	}
	if faster := all.faster(); len(faster) > 0 {
		return fmt.Errorf("grows faster than linearly: %s", strings.Join(faster, "; "))
	}
	return nil
}

// with starts so many nodes over a Redis, and clients of the program's
// vocabulary, for do.
func (g *grower) with(ctx context.Context, nodes int, do func(f *fleet, l *load) error) error {
	g.fleets++
	argv := append(slices.Clip(g.program), filepath.Join(g.dir, fmt.Sprintf("growth-%d-{node}", g.fleets)))
	f, err := startFleet(ctx, g.root, nodes, everysec, "--redis.url", argv)
	if err != nil {
		return err
	}
	defer f.stop()
	time.Sleep(500 * time.Millisecond) // its start-up is not what is measured
	l, err := newLoad(4, g.spin)
	if err != nil {
		return err
	}
	l.chat, l.others = true, true
	defer l.close()
	return do(f, l)
}

// spend is what a stretch took: CPU of the nodes and of Redis.
type spend struct {
	nodes, redis, took time.Duration
	deliveries         int
	heard              float64 // messages, by what was delivered of them
	bytes              uint64  // that clients got
}

// during measures what is spent while do runs.
func (f *fleet) during(do func() error) (s spend, err error) {
	start := time.Now()
	nodes, redis, err := f.cpu()
	if err != nil {
		return s, err
	}
	if err := do(); err != nil {
		return s, err
	}
	s.took = time.Since(start)
	after, redisAfter, err := f.cpu()
	s.nodes, s.redis = after.CPU-nodes.CPU, redisAfter-redis
	return s, err
}

// speak has messages sent as o says, and measures what they cost.
func (g *grower) speak(ctx context.Context, f *fleet, l *load, o fanOut) (s spend, err error) {
	o.WarmUp, o.Measure = g.warmUp, g.measure
	var start time.Time
	var nodes, redis time.Duration
	err = l.whole(ctx, o, func() error {
		u, r, err := f.cpu()
		if start.IsZero() {
			start, nodes, redis, s.bytes = time.Now(), u.CPU, r, l.swarm.Received
			return err
		}
		s.bytes = l.swarm.Received - s.bytes
		s.took, s.nodes, s.redis, s.deliveries = time.Since(start), u.CPU-nodes, r-redis, l.delivered
		return err
	})
	s.heard = float64(s.deliveries) / float64(l.readers(&l.rooms[o.From]))
	if rate := s.heard / s.took.Seconds(); err == nil && rate < 0.9*o.Rate {
		fmt.Fprintf(os.Stderr, "this machine is too busy: %.0f of %g messages a second were delivered\n", rate, o.Rate)
	}
	return s, err
}

// cores adds what is the same for all: shares of a core.
func (g *grower) cores(stage string, size int, of shape, prefix string, s spend) {
	add := func(key string, v float64) { g.add(stage, float64(size), of, prefix+key, v) }
	add("node cores", s.nodes.Seconds()/s.took.Seconds())
	add("redis cores", s.redis.Seconds()/s.took.Seconds())
	if s.heard > 0 {
		add("rate", s.heard/s.took.Seconds())
		add("payloads", float64(s.bytes)/s.took.Seconds())
	}
}

// connect connects the clients of the places and adds what that cost.
func (g *grower) connect(ctx context.Context, stage string, size int, of shape, f *fleet, l *load, places []place) error {
	s, err := f.during(func() error { return l.connect(ctx, places, 64) })
	if err != nil {
		return err
	}
	g.cores(stage, size, of, "connect ", s)
	g.add(stage, float64(size), of, "connect rate", float64(len(places))/s.took.Seconds())
	return nil
}

// over spreads the members of so many rooms over the nodes: a room's are on as
// many of them as it has members.
func (f *fleet) over(rooms, members, first int) (all []place) {
	for j := range members {
		for r := range rooms {
			all = append(all, place{port: int32(f.nodes[(j+r)%len(f.nodes)].port), room: int32(first + r)})
		}
	}
	return all
}

// memberRate is of deliveries a second, in one room of any size, as long as it
// hears memberLeast messages.
const (
	memberRate  = 8000
	memberLeast = 2
)

func growMembers(ctx context.Context, g *grower, sizes []int) error {
	for _, n := range sizes {
		rate := max(memberLeast, memberRate/float64(n))
		of := shape{Users: float64(n), Rooms: 1, Joined: 1, Rate: rate, Nodes: 1, Copies: 1}
		err := g.with(ctx, 1, func(f *fleet, l *load) error {
			if err := l.connect(ctx, f.over(1, n, 0), 64); err != nil {
				return err
			}
			s, err := g.speak(ctx, f, l, fanOut{Rooms: 1, Rate: rate})
			if err != nil {
				return err
			}
			add := func(key string, v float64) { g.add("members", float64(n), of, key, v) }
			add("delivery", 1e6*s.nodes.Seconds()/float64(s.deliveries))
			add("message", 1e6*s.nodes.Seconds()/s.heard)
			add("p99", milliseconds(l.latency, 0.99))
			g.cores("members", n, of, "", s)
			return nil
		})
		if err != nil {
			return fmt.Errorf("%d: %w", n, err)
		}
	}
	return nil
}

// settled is how long a node keeps at most what a wave of connects has left
// (server/memory.go), and a little.
const settled = 18 * time.Second

func growConnections(ctx context.Context, g *grower, sizes []int) error {
	return g.with(ctx, 1, func(f *fleet, l *load) error {
		s := f.nodes[0]
		connect := func(n int) error {
			return l.connect(ctx, slices.Repeat([]place{{port: int32(s.port), room: nowhere}}, n-len(l.clients)), 64)
		}
		// The first ones have the code brought into memory.
		if err := connect(min(firstClients, sizes[0]/2)); err != nil {
			return err
		}
		if err := l.idle(ctx, time.Second); err != nil {
			return err
		}
		first := len(l.clients)
		before, err := s.usage()
		if err != nil {
			return err
		}
		used, err := f.redis.usedMemory()
		if err != nil {
			return err
		}
		for _, n := range sizes {
			of := shape{Users: float64(n), Rooms: 1, Nodes: 1, Copies: 1}
			added := n - len(l.clients)
			wave, err := f.during(func() error { return connect(n) })
			if err != nil {
				return err
			}
			rest, err := f.during(func() error { return l.idle(ctx, min(settled, 5*g.measure)) })
			if err != nil {
				return err
			}
			now, err := s.usage()
			if err != nil {
				return err
			}
			usedNow, err := f.redis.usedMemory()
			if err != nil {
				return err
			}
			g.add("connections", float64(n), of, "bytes", float64(now.RSS-before.RSS)/float64(n-first))
			g.add("connections", float64(n), of, "redis bytes", float64(usedNow-used)/float64(n-first))
			g.add("connections", float64(n), of, "connect", 1e6*wave.nodes.Seconds()/float64(added))
			g.add("connections", float64(n), of, "connect rate", float64(added)/wave.took.Seconds())
			g.cores("connections", n, of, "connect ", wave)
			g.cores("connections", n, of, "", rest)
		}
		return nil
	})
}

const (
	messageRooms, messageMembers = 200, 10
)

func growMessages(ctx context.Context, g *grower, sizes []int) error {
	return g.with(ctx, 2, func(f *fleet, l *load) error {
		of := shape{Users: messageRooms * messageMembers, Rooms: messageRooms, Joined: 1, Rate: float64(sizes[0]), Nodes: 2, Copies: 2}
		if err := g.connect(ctx, "messages", sizes[0], of, f, l, f.over(messageRooms, messageMembers, 0)); err != nil {
			return err
		}
		for _, rate := range sizes {
			of.Rate = float64(rate)
			s, err := g.speak(ctx, f, l, fanOut{Rooms: messageRooms, Rate: of.Rate})
			if err != nil {
				return fmt.Errorf("%d a second: %w", rate, err)
			}
			g.cores("messages", rate, of, "", s)
			g.add("messages", float64(rate), of, "ack p99", milliseconds(l.acks, 0.99))
		}
		return nil
	})
}

// Over nodes: nodeRooms rooms of nodeMembers, then one of wideMembers.
const (
	nodeRooms, nodeMembers, nodeRate = 100, 16, 300
	wideMembers, wideRate            = 160, 20
)

func growNodes(ctx context.Context, g *grower, sizes []int) error {
	for _, n := range sizes {
		of := shape{Users: nodeRooms * nodeMembers, Rooms: nodeRooms, Joined: 1, Rate: nodeRate, Nodes: float64(n), Copies: float64(min(n, nodeMembers))}
		err := g.with(ctx, n, func(f *fleet, l *load) error {
			// The lone ones are as good as nowhere.
			places := append(f.over(nodeRooms, nodeMembers, 0), f.over(1, wideMembers, nodeRooms)...)
			if err := g.connect(ctx, "nodes", n, of, f, l, places); err != nil {
				return err
			}
			idle, err := f.during(func() error { return l.idle(ctx, g.measure) })
			if err != nil {
				return err
			}
			g.cores("nodes", n, of, "idle ", idle)
			s, err := g.speak(ctx, f, l, fanOut{Rooms: nodeRooms, Rate: nodeRate})
			if err != nil {
				return err
			}
			g.cores("nodes", n, of, "", s)
			if _, err := g.speak(ctx, f, l, fanOut{From: nodeRooms, Rooms: 1, Rate: wideRate}); err != nil {
				return err
			}
			g.add("nodes", float64(n), of, "first p50", milliseconds(l.first, 0.50))
			g.add("nodes", float64(n), of, "last p50", milliseconds(l.last, 0.50))
			g.add("nodes", float64(n), of, "last p90", milliseconds(l.last, 0.90))
			return nil
		})
		if err != nil {
			return fmt.Errorf("%d: %w", n, err)
		}
	}
	return nil
}

// usedMemory is used_memory of a Redis.
func (s *server) usedMemory() (int64, error) {
	r := child.Redis{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port))}
	info, err := r.Do("INFO", "memory")
	if err != nil {
		return 0, err
	}
	_, text, found := strings.Cut(info, "\nused_memory:")
	if !found {
		return 0, errors.New("INFO has no used_memory")
	}
	text, _, _ = strings.Cut(text, "\r")
	return strconv.ParseInt(text, 10, 64)
}
