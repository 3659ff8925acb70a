package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/redis"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := measure(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "redisneeds:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context) error {
	only := flag.String("only", "memory,speed,idle", "what to measure; also lobby and people")
	flag.Parse()
	for name := range strings.SplitSeq(*only, ",") {
		var err error
		switch name {
		case "memory":
			err = memory(ctx)
		case "speed":
			for _, fsync := range []string{"", "everysec", "always"} {
				err = errors.Join(err, speed(ctx, fsync))
			}
		case "idle":
			err = idle(ctx)
		case "lobby", "people":
			err = personal(ctx, name == "people")
		default:
			err = errors.New("-only: memory, speed, idle, lobby or people")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// namespace is where everything happens; text is what a message says, 128
// bytes as in the benchmark beside.
const namespace = "/"

var text = strings.Repeat("x", 128)

// id is as long as the ids that clients and servers make.
func id() string {
	var raw [15]byte
	rand.Read(raw[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// entry is a message as the chat appends it: with a name, a text and an id.
func entry(room string, keyed bool) adapter.Append {
	own := id()
	e := adapter.Append{
		Namespace: namespace, Room: room, Sender: id(), User: id(), ID: own,
		Event: adapter.Event{Name: "new message", Data: []byte(`["new message",{"username":"somebody","message":"` + text + `"}]`)},
	}
	if keyed {
		e.Key = e.User + " " + own
	}
	return e
}

// each does n things, some at a time.
func each(n, atOnce int, f func(i int) error) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, atOnce)
	for w := range atOnce {
		wg.Go(func() {
			for errs[w] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[w] = f(i)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// quiet is a namespace's receiver, and a socket, that nobody listens to.
type quiet struct{ id string }

func (quiet) Deliver(*adapter.Delivery, []adapter.Socket)       {}
func (quiet) Gap(adapter.Gap, []adapter.Socket)                 {}
func (quiet) Presence(adapter.PresenceChange, []adapter.Socket) {}
func (quiet) ServerEvent(adapter.Event, func([]byte))           {}
func (q quiet) ID() string                                      { return q.id }
func (quiet) Hold()                                             {}
func (quiet) Fence()                                            {}
func (quiet) Disconnect(bool)                                   {}
func (q quiet) Info() adapter.SocketInfo                        { return adapter.SocketInfo{ID: q.id} }
func room(i int) string                                         { return fmt.Sprintf("chat:room-%06d", i) }

// memory adds one kind of thing after another and says what each costs.
func memory(ctx context.Context) error {
	s, err := startStore(ctx, "")
	if err != nil {
		return err
	}
	defer s.stop()
	a, err := s.node(ctx, redis.Options{})
	if err != nil {
		return err
	}
	a.Open(namespace, quiet{})
	defer func() { _ = a.Close(ctx) }()
	before, err := s.info(ctx, "used_memory")
	if err != nil {
		return err
	}
	fmt.Println("memory of Redis, bytes per")
	step := func(what string, n int, f func(i int) error) error {
		if err := each(n, 64, f); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		after, err := s.info(ctx, "used_memory")
		if err != nil {
			return err
		}
		fmt.Printf("  %7.0f  %s (of %d)\n", (after-before)/float64(n), what, n)
		before = after
		return nil
	}
	appendTo := func(rooms int, keyed bool) func(int) error {
		return func(i int) error {
			_, err := a.Append(ctx, entry(room(i%rooms), keyed))
			return err
		}
	}
	var sockets []quiet
	for range 20_000 {
		sockets = append(sockets, quiet{id()})
	}
	owners := make([]*adapter.Owner, len(sockets))
	const half = 10_000 // sockets without a session; the others have one
	for _, x := range []struct {
		what string
		n    int
		f    func(i int) error
	}{
		{"room with its first message, no id", 20_000, appendTo(20_000, false)},
		{"further message of 128 bytes, no id, in those rooms, up to the 6th", 100_000, appendTo(20_000, false)},
		{"further message of 128 bytes, no id, in one room of 10,000", 10_000, func(int) error {
			_, err := a.Append(ctx, entry("chat:long", false))
			return err
		}},
		{"message with an id, in 100 rooms", 50_000, appendTo(100, true)},
		{"the first id of a room in a window", 9_900, func(i int) error {
			_, err := a.Append(ctx, entry(room(100+i), true))
			return err
		}},
		{"recoverable emit of 128 bytes, in 100 rooms", 50_000, func(i int) error {
			return a.Emit(ctx, adapter.Emit{
				Target: adapter.Target{Namespace: namespace, Rooms: []string{room(i % 100)}}, Class: adapter.Recoverable,
				Event: adapter.Event{Name: "msg", Data: []byte(`["msg","` + text + `"]`)},
			})
		}},
		{"person present in a room, in 100 rooms", 20_000, func(i int) error {
			_, err := a.Enter(ctx, namespace, room(i%100), sockets[i].id, adapter.Person{User: id(), Name: "somebody"})
			return err
		}},
		{"session (user, 64 bytes of data)", half, func(i int) error {
			o, err := a.Create(ctx, adapter.Session{
				PID: id(), SID: sockets[i].id, Namespace: namespace, User: id(), Data: []byte(`"` + text[:62] + `"`),
			})
			owners[i] = &o
			return err
		}},
		{"socket of such a session", half, func(i int) error { return a.Add(ctx, namespace, sockets[i], owners[i]) }},
		{"socket without a session", half, func(i int) error { return a.Add(ctx, namespace, sockets[half+i], nil) }},
		{"room that a session has joined, in 100 rooms", half, func(i int) error {
			_, err := a.Join(ctx, namespace, sockets[i], []string{room(i % 100)}, false, nil)
			return err
		}},
		{"room that a node is subscribed to", half - 100, func(i int) error {
			_, err := a.Join(ctx, namespace, sockets[half+i], []string{room(100 + i)}, false, nil)
			return err
		}},
	} {
		if err := step(x.what, x.n, x.f); err != nil {
			return err
		}
	}
	got, err := s.infos(ctx, "used_memory", "used_memory_rss", "used_memory_scripts")
	if err != nil {
		return err
	}
	fmt.Printf("  in all %.1f MB used, %.1f MB resident, scripts %.0f kB\n",
		got["used_memory"]/1e6, got["used_memory_rss"]/1e6, got["used_memory_scripts"]/1e3)
	return nil
}

// speed appends with ids, one at a time and many at a time.
func speed(ctx context.Context, fsync string) error {
	s, err := startStore(ctx, fsync)
	if err != nil {
		return err
	}
	defer s.stop()
	a, err := s.node(ctx, redis.Options{})
	if err != nil {
		return err
	}
	a.Open(namespace, quiet{})
	defer func() { _ = a.Close(ctx) }()
	// One member in each room, so that publishing is paid for.
	const rooms = 100
	for i := range rooms {
		member := quiet{id()}
		if err := a.Add(ctx, namespace, member, nil); err != nil {
			return err
		}
		if _, err := a.Join(ctx, namespace, member, []string{room(i)}, false, nil); err != nil {
			return err
		}
	}
	name := fsync
	if name == "" {
		name = "no file"
	}
	fmt.Printf("appends of 128 bytes with ids, 100 rooms, append-only file: %s\n", name)
	for _, x := range []struct{ n, atOnce int }{{2_000, 1}, {20_000, 16}, {50_000, 256}} {
		names := []string{
			"cmdstat_evalsha.calls", "cmdstat_evalsha.usec", "used_cpu_user", "used_cpu_sys", "aof_current_size", "total_net_output_bytes",
		}
		from, err := s.infos(ctx, names...)
		if err != nil {
			return err
		}
		took := make([]time.Duration, x.n)
		start := time.Now()
		err = each(x.n, x.atOnce, func(i int) error {
			e, begun := entry(room(i%rooms), true), time.Now()
			_, err := a.Append(ctx, e)
			took[i] = time.Since(begun)
			return err
		})
		all := time.Since(start)
		if err != nil {
			return err
		}
		to, err := s.infos(ctx, names...)
		if err != nil {
			return err
		}
		per := func(names ...string) (v float64) {
			for _, name := range names {
				v += to[name] - from[name]
			}
			return v
		}
		slices.Sort(took)
		n := float64(x.n)
		fmt.Printf("  %3d at once: %6.0f/s, p50 %.2f ms, p99 %.2f ms; Redis: %.1f µs per script, %.1f µs of CPU per append (%.1f user); %.0f bytes of file, %.0f of output per append\n",
			x.atOnce, n/all.Seconds(), ms(took[x.n/2]), ms(took[x.n*99/100]),
			per("cmdstat_evalsha.usec")/per("cmdstat_evalsha.calls"),
			1e6*per("used_cpu_user", "used_cpu_sys")/n, 1e6*per("used_cpu_user")/n, per("aof_current_size")/n, per("total_net_output_bytes")/n)
	}
	return nil
}

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// idle lets nodes do nothing for a while.
func idle(ctx context.Context) error {
	s, err := startStore(ctx, "")
	if err != nil {
		return err
	}
	defer s.stop()
	const nodes = 10
	const rooms = 1_000 // per node
	begun, err := s.infos(ctx, "used_memory")
	if err != nil {
		return err
	}
	for n := range nodes {
		a, err := s.node(ctx, redis.Options{})
		if err != nil {
			return err
		}
		a.Open(namespace, quiet{})
		defer func() { _ = a.Close(ctx) }()
		member := quiet{id()}
		if err := a.Add(ctx, namespace, member, nil); err != nil {
			return err
		}
		for i := range rooms {
			if _, err := a.Join(ctx, namespace, member, []string{room(n*rooms + i)}, false, nil); err != nil {
				return err
			}
		}
	}
	names := []string{"used_cpu_user", "used_cpu_sys", "total_commands_processed", "connected_clients", "used_memory"}
	from, err := s.infos(ctx, names...)
	if err != nil {
		return err
	}
	const pause = 10 * time.Second
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	to, err := s.infos(ctx, names...)
	if err != nil {
		return err
	}
	cpu := to["used_cpu_user"] + to["used_cpu_sys"] - from["used_cpu_user"] - from["used_cpu_sys"]
	fmt.Printf("%d idle nodes of %d rooms: %.1f connections and %.1f commands a second per node, Redis at %.2f %% of a core in all, %.0f kB of memory per node\n",
		nodes, rooms, (to["connected_clients"]-1)/nodes, (to["total_commands_processed"]-from["total_commands_processed"])/pause.Seconds()/nodes,
		100*cpu/pause.Seconds(), (to["used_memory"]-begun["used_memory"])/nodes/1e3)
	return nil
}
