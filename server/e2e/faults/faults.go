package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
)

// fault is something that goes wrong and is mended again.
type fault struct {
	name  string
	about string
	// fleet: it needs several nodes and Redis.
	fleet bool
	// loses: it takes away what was acknowledged, which must then be told.
	loses bool
	// lone: it acts on the one Redis, or the links to it. pair: on a Sentinel's
	// pair.
	lone, pair bool
	// clock: its servers are built so that their clocks can jump.
	clock bool
	// fsync, when not empty, is the only appendfsync it makes sense with.
	fsync string
	// env are settings of the servers in a world where it is to happen, as
	// environment names without the prefix; nil for none.
	env map[string]string
	// restless: with these settings connections end all the time, the verdict's
	// too, so that there is no moment at which everybody is connected.
	restless bool
	// strike does it, calls healed, and returns. It runs alone.
	strike func(ctx context.Context, w *world) error
}

// lease is how long a node counts as alive without a sign of life
// (DELIVERY, "Ownership"); a fault that is to outlast it takes longer.
const lease = 10 * time.Second

var faults = []fault{
	{name: "calm", about: "nothing", strike: func(ctx context.Context, w *world) error {
		defer w.healed()
		return pause(ctx, 2*time.Second)
	}},
	{name: "node-kill", about: "kill -9 of a node, started again after 2 s", strike: endNode(syscall.SIGKILL, 2*time.Second)},
	{name: "node-kill-long", about: "kill -9 of a node for longer than its lease", fleet: true, strike: endNode(syscall.SIGKILL, lease+4*time.Second)},
	{name: "node-term", about: "SIGTERM of a node, started again", strike: endNode(syscall.SIGTERM, time.Second)},
	{name: "node-rolling", about: "SIGTERM of each node, one after the other", fleet: true, strike: rolling},
	{name: "node-rollout", about: "each node is replaced by a new one, SIGTERM for the old", fleet: true, strike: rollout},
	{name: "node-pause", about: "SIGSTOP of a node, longer than its clients wait", strike: pauseNode(7 * time.Second)},
	{name: "node-pause-long", about: "SIGSTOP of a node for longer than its lease", fleet: true, strike: pauseNode(lease + 4*time.Second)},
	{name: "node-clock", about: "a node's clock jumps an hour ahead, then an hour back", fleet: true, clock: true, strike: jumpClock},
	{name: "client-switch", about: "clients change networks, the old connections stay half-open", strike: switchNetworks},
	{name: "client-half", about: "clients' connections go half-open", strike: halfOpenClients},
	{name: "client-cut", about: "all clients are cut off for 3 s", strike: cutClients},
	{name: "client-stall", about: "nothing passes between clients and servers for 2 s, then all at once", strike: stallClients},
	{name: "client-age", about: "the servers close WebSockets at an age of 2 to 3 s, for 9 s", env: shortLives, restless: true, strike: liveShort},
	{name: "client-flood", about: "more clients want to connect than the servers have time for", env: impatience, strike: flood},
	{name: "client-slow", about: "some clients get 2 KB a second for 6 s", strike: slowClients},

	{name: "redis-restart", about: "SIGTERM of Redis, started again from its file", fleet: true, lone: true, strike: endRedis(syscall.SIGTERM, time.Second)},
	{name: "redis-kill", about: "kill -9 of Redis, started again from its file", fleet: true, lone: true, strike: endRedis(syscall.SIGKILL, 3*time.Second)},
	{name: "redis-away", about: "kill -9 of Redis, away for longer than the lease", fleet: true, lone: true, strike: endRedis(syscall.SIGKILL, lease+4*time.Second)},
	{name: "redis-pause", about: "SIGSTOP of Redis for 6 s", fleet: true, lone: true, strike: pauseRedis},
	{name: "starve", about: "all servers and Redis get a twentieth of their time for 20 s", fleet: true, lone: true, strike: starve},
	{name: "subscriber-kill", about: "CLIENT KILL TYPE pubsub, three times", fleet: true, lone: true, strike: killClients("pubsub")},
	{name: "connection-kill", about: "CLIENT KILL TYPE normal, three times", fleet: true, lone: true, strike: killClients("normal")},
	{name: "output-limit", about: "a node reads slowly, Redis's output-buffer limit closes its subscriber", fleet: true, lone: true, strike: outputLimit},
	{name: "link-cut", about: "a node is cut off from Redis for 5 s", fleet: true, lone: true, strike: cutLink(5 * time.Second)},
	{name: "link-cut-long", about: "a node is cut off from Redis for longer than its lease", fleet: true, lone: true, strike: cutLink(lease + 4*time.Second)},
	{name: "link-slow", about: "a node's link to Redis carries 20 KB a second for 8 s", fleet: true, lone: true, strike: slowLink},
	{name: "link-half", about: "a node's connections to Redis go half-open", fleet: true, lone: true, strike: halfOpenLink},
	{name: "link-stall", about: "nothing passes between a node and Redis for longer than its lease, then all at once", fleet: true, lone: true, strike: stallLink},
	{name: "flush", about: "FLUSHALL: every log is gone, a new epoch begins", fleet: true, lone: true, loses: true, strike: flush},
	{name: "power-cut", about: "Redis loses power: the last second of its file is gone", fleet: true, lone: true, loses: true, fsync: "everysec", strike: powerCut},
	{name: "power-cut-away", about: "the same, while some clients are away who had seen nothing of what is gone", fleet: true, lone: true, loses: true, fsync: "everysec", strike: powerCutAway},
	{name: "failover", about: "kill -9 of the primary; the Sentinel promotes its replica", fleet: true, pair: true, strike: failOver(false)},
	{name: "failover-lag", about: "the same, with a replica that lacks the last second", fleet: true, pair: true, loses: true, fsync: "everysec", strike: failOver(true)},
}

// faultsFor lists those that a world of that form can have.
func faultsFor(form form) (some []fault) {
	for _, f := range faults {
		if (form.fleet || !f.fleet) && (f.fsync == "" || f.fsync == form.fsync) && (form.pair || !f.pair) && !(form.pair && f.lone) {
			some = append(some, f)
		}
	}
	return some
}

func (w *world) anyServer() *server {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.servers[w.spared+w.random.IntN(len(w.servers)-w.spared)]
}

func (w *world) anyLink() (*relay, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.random.IntN(len(w.links))
	return w.links[i], w.servers[i].Name
}

func endNode(s syscall.Signal, away time.Duration) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		n := w.anyServer()
		w.note("%s: %v", n.Name, s)
		if err := n.end(s); err != nil {
			return err
		}
		if err := pause(ctx, away); err != nil {
			return err
		}
		return w.startAgain(ctx, n)
	}
}

func (w *world) startAgain(ctx context.Context, n *server) error {
	if err := n.Start(); err != nil {
		return err
	}
	if err := n.awaitReady(ctx); err != nil {
		return err
	}
	w.healed()
	return nil
}

func rolling(ctx context.Context, w *world) error {
	for _, n := range w.servers[w.spared:] {
		if err := n.end(syscall.SIGTERM); err != nil {
			return err
		}
		if err := w.startAgain(ctx, n); err != nil {
			return err
		}
		if err := pause(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

func pauseNode(long time.Duration) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		n := w.anyServer()
		w.note("%s: paused for %v", n.Name, long)
		n.Signal(sigStop)
		defer w.healed()
		defer n.Signal(sigCont)
		return pause(ctx, long)
	}
}

// switchNetworks: the old connection is left as it is and a new one opened at
// once, so that the server has both for a while.
func switchNetworks(ctx context.Context, w *world) error {
	jumped := 0
	for _, m := range w.members {
		if w.random.IntN(2) == 0 && m.socket.jump() {
			jumped++
		}
	}
	buried := w.second.some(w.random, 0.5)
	for _, p := range buried {
		p.bury()
	}
	w.note("%d clients changed networks", jumped+len(buried))
	w.healed()
	// What is half-open is noticed by the heartbeat.
	return pause(ctx, 6*time.Second)
}

func halfOpenClients(ctx context.Context, w *world) error {
	front, web := w.front.some(w.random, 0.4), w.second.some(w.random, 0.4)
	halve(front)
	halve(web)
	w.note("%d connections", len(front)+len(web))
	w.healed()
	return pause(ctx, 6*time.Second)
}

func cutClients(ctx context.Context, w *world) error {
	w.note("%d connections", w.front.cut()+w.second.cut())
	err := pause(ctx, 3*time.Second)
	w.mendClients()
	return err
}

func (w *world) mendClients() {
	w.front.mend()
	w.second.mend()
	w.healed()
}

func stallClients(ctx context.Context, w *world) error {
	w.note("%d connections", w.front.stall()+w.second.stall())
	err := pause(ctx, 2*time.Second)
	w.mendClients()
	return err
}

func slowClients(ctx context.Context, w *world) error {
	front, web := w.front.some(w.random, 0.2), w.second.some(w.random, 0.2)
	throttle(front, 2000)
	throttle(web, 2000)
	w.note("%d connections", len(front)+len(web))
	err := pause(ctx, 6*time.Second)
	w.mendClients()
	return err
}

func endRedis(s syscall.Signal, away time.Duration) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		if err := w.store.end(s); err != nil {
			return err
		}
		if err := pause(ctx, away); err != nil {
			return err
		}
		defer w.healed()
		return w.store.begin(ctx)
	}
}

func pauseRedis(ctx context.Context, w *world) error {
	w.store.Signal(sigStop)
	defer w.healed()
	defer w.store.Signal(sigCont)
	return pause(ctx, 6*time.Second)
}

// starve: everything is slow at once, as on machines that have too much to do.
func starve(ctx context.Context, w *world) error {
	w.mu.Lock()
	all := []func(syscall.Signal){w.store.Signal}
	for _, n := range w.servers {
		all = append(all, n.Signal)
	}
	w.mu.Unlock()
	signal := func(s syscall.Signal) {
		for _, one := range all {
			one(s)
		}
	}
	defer w.healed()
	defer signal(sigCont)
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		signal(sigCont)
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
		signal(sigStop)
		if err := pause(ctx, 190*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}

func killClients(kind string) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		for range 3 {
			n, err := w.store.Do("CLIENT", "KILL", "TYPE", kind)
			if err != nil {
				return err
			}
			w.note("%s connections killed", n)
			w.healed()
			if err := pause(ctx, time.Second); err != nil {
				return err
			}
		}
		return nil
	}
}

// outputLimit: the limit is small and one node's link slow, while large
// messages come fast. Redis says in its log that it has closed somebody.
func outputLimit(ctx context.Context, w *world) error {
	const setting = "client-output-buffer-limit"
	if _, err := w.store.Do("CONFIG", "SET", setting, "pubsub 32768 0 0"); err != nil {
		return err
	}
	before := w.store.log.count(overLimit)
	link, name := w.anyLink()
	w.bulk.Store(true)
	link.slow(1000)
	err := child.Await(ctx, deadline, func() bool { return w.store.log.count(overLimit) > before })
	link.mend()
	w.bulk.Store(false)
	w.note("%s: closed %d times for its output buffer", name, w.store.log.count(overLimit)-before)
	if err != nil {
		return fmt.Errorf("the output-buffer limit was not hit: %w", err)
	}
	if _, err := w.store.Do("CONFIG", "SET", setting, "pubsub 33554432 8388608 60"); err != nil {
		return err
	}
	w.healed()
	return nil
}

func cutLink(long time.Duration) func(context.Context, *world) error {
	return func(ctx context.Context, w *world) error {
		link, name := w.anyLink()
		w.note("%s: %d connections cut for %v", name, link.cut(), long)
		err := pause(ctx, long)
		link.mend()
		w.healed()
		return err
	}
}

func slowLink(ctx context.Context, w *world) error {
	link, name := w.anyLink()
	w.note("%s: %d connections", name, link.slow(20_000))
	err := pause(ctx, 8*time.Second)
	link.mend()
	w.healed()
	return err
}

// halfOpenLink: new connections pass, the old ones never say anything again.
func halfOpenLink(ctx context.Context, w *world) error {
	link, name := w.anyLink()
	all := link.some(w.random, 1)
	halve(all)
	w.note("%s: %d connections", name, len(all))
	w.healed()
	return pause(ctx, 8*time.Second)
}

func stallLink(ctx context.Context, w *world) error {
	link, name := w.anyLink()
	w.note("%s: %d connections", name, link.stall())
	err := pause(ctx, lease+4*time.Second)
	link.mend()
	w.healed()
	return err
}

func flush(_ context.Context, w *world) error {
	defer w.healed()
	_, err := w.store.Do("FLUSHALL")
	return err
}

// powerCutAway: those who are away come back with what they saw last, which
// Redis still has. They are told all the same.
func powerCutAway(ctx context.Context, w *world) error {
	w.note("%d connections are away", w.second.cut())
	err := pause(ctx, time.Second)
	if err == nil {
		err = powerCut(ctx, w)
	}
	if err == nil {
		err = pause(ctx, time.Second)
	}
	w.second.mend()
	w.healed()
	return err
}

func powerCut(ctx context.Context, w *world) error {
	taken, err := w.store.crash(ctx)
	if err != nil {
		return err
	}
	w.note("%d bytes of the append-only file are gone", taken)
	if err := pause(ctx, time.Second); err != nil {
		return err
	}
	defer w.healed()
	return w.store.begin(ctx)
}
