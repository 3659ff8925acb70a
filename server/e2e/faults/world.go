package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
	"github.com/antchat/antchat/server/e2e/loopback"
)

// size is how much load a world has.
type size struct {
	goClients, nodeClients int
	rooms, roomsEach       int
	senders                int
	every                  time.Duration // between two messages of a sender
	warmUp, after          time.Duration // load before the first fault and after the last
}

// world is one run: real servers, their store, the bad networks between them,
// and everybody who chats.
type world struct {
	// Immutable after build.
	size     size
	settings *settings
	random   *rand.Rand // may be drawn from by all
	dir      string
	ctx      context.Context
	cancel   context.CancelFunc
	ledger   *ledger
	front    *relay    // what most of the Go clients connect to
	second   *relay    // what the JavaScript clients and every fifth other connect to
	store    *store    // nil for one node on disk
	pair     *sentinel // in place of store
	host     *nodeHost
	members  []*member
	rooms    []string
	// spared: the first that many servers are never ended nor paused (soak.go
	// follows what they hold).
	spared int
	bulk   atomic.Bool // the bulk room's members write, as large and as fast as they can
	tasks  sync.WaitGroup

	mu sync.Mutex
	// servers, and their links to Redis (none without Redis). Guarded by mu, but
	// where no fault can strike; changed by faults that strike nodes alone.
	servers []*server
	links   []*relay
	health  map[*server]bool // guarded by mu, like all below
	notes   []string
	heals   []time.Duration
}

// note adds to the report what shows that a fault did something.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.notes = append(w.notes, fmt.Sprintf(format, args...))
}

// healed marks the moment from which on "time to whole" counts.
func (w *world) healed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.heals = append(w.heals, w.ledger.now())
}

// newWorld has started nothing; cancel is called by end.
func newWorld(ctx context.Context, cancel context.CancelFunc, o *settings, random *rand.Rand) *world {
	return &world{size: o.size, settings: o, random: random, ctx: ctx, cancel: cancel, ledger: newLedger(), health: make(map[*server]bool)}
}

// build starts everything and returns when everybody is in.
func build(ctx context.Context, o *settings, random *rand.Rand) (w *world, err error) {
	ctx, cancel := context.WithCancel(ctx)
	w = newWorld(ctx, cancel, o, random)
	defer func() {
		if err != nil {
			err = errors.Join(err, w.end())
		}
	}()
	if err = w.open(ctx); err != nil {
		return w, err
	}
	if w.host, err = startNode(o.here); err != nil {
		return w, err
	}
	w.populate()
	if w.store != nil {
		w.populateBulk()
	}
	if err = child.Await(ctx, deadline, w.back()); err != nil {
		return w, fmt.Errorf("not everybody got in: %w\n%s", err, w.unsettled())
	}
	return w, nil
}

// open starts the store, the servers and the balancers.
func (w *world) open(ctx context.Context) (err error) {
	if w.dir, err = os.MkdirTemp("", "antchat-faults-"); err != nil {
		return err
	}
	if w.settings.form.fleet {
		if err := w.openStore(ctx, w.settings.form); err != nil {
			return err
		}
	}
	for i := range w.settings.nodes {
		s, link, err := w.newServer("node" + strconv.Itoa(i+1))
		if err != nil {
			return err
		}
		w.servers = append(w.servers, s)
		if link != nil {
			w.links = append(w.links, link)
		}
		if err := s.Start(); err != nil {
			return err
		}
	}
	for _, s := range w.servers {
		if err := s.awaitReady(ctx); err != nil {
			return err
		}
	}
	if w.front, err = newRelay(w.pick); err != nil {
		return err
	}
	if w.second, err = newRelay(w.pick); err != nil {
		return err
	}
	w.watch()
	return nil
}

// newServer makes a node that is not started yet, and its link to Redis, if
// there is one.
func (w *world) newServer(name string) (*server, *relay, error) {
	settings := map[string]string{
		// A connection that says nothing any more is given up after 5 s, on
		// both sides.
		"ENGINE_PING_INTERVAL": "2s", "ENGINE_PING_TIMEOUT": "3s",
		"PRESENCE_GRACE": "2s", "LOG_MAX_MESSAGES": "1000000", "LOGGING_LEVEL": "info",
	}
	if w.settings.debug {
		settings["LOGGING_LEVEL"] = "debug"
	}
	maps.Copy(settings, w.settings.env)
	var link *relay
	switch {
	case w.pair != nil:
		settings["REDIS_URL"], settings["LOG_ACK_REPLICAS"] = w.pair.url(), strconv.Itoa(w.settings.form.acks)
	case w.store == nil:
		settings["DATA_DIR"] = filepath.Join(w.dir, "data")
	default:
		var err error
		if link, err = newRelay(func() (string, error) { return w.store.Addr, nil }); err != nil {
			return nil, nil, err
		}
		settings["REDIS_URL"] = "redis://" + link.addr()
	}
	s, err := newServer(name, w.settings.bin, settings)
	if err == nil && w.settings.watched {
		if s.admin, err = loopback.Addr(); err == nil {
			s.Env = append(s.Env, "ANTCHAT_ADMIN_LISTEN="+s.admin)
		}
	}
	return s, link, err
}

// openStore starts what the servers keep their messages in.
func (w *world) openStore(ctx context.Context, f form) (err error) {
	if f.pair {
		w.pair, err = newSentinel(ctx, w.dir, f.fsync)
		return err
	}
	if w.store, err = newStore(w.dir, f.fsync); err != nil {
		return err
	}
	return w.store.begin(ctx)
}

// watch keeps the balancer's view of the servers, as any balancer does it.
func (w *world) watch() {
	for _, s := range w.servers {
		w.probe(s)
	}
}

// probe takes a node that is ready into the balancer's view.
func (w *world) probe(s *server) {
	w.mu.Lock()
	w.health[s] = true
	w.mu.Unlock()
	w.tasks.Go(func() {
		for pause(w.ctx, 300*time.Millisecond) == nil {
			ok := s.ready(w.ctx)
			w.mu.Lock()
			_, known := w.health[s]
			if known {
				w.health[s] = ok
			}
			w.mu.Unlock()
			if !known {
				return // replaced
			}
		}
	})
}

// pick is the balancer: any ready server, no stickiness; any at all when none
// is ready.
func (w *world) pick() (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var ready []*server
	for _, s := range w.servers {
		if w.health[s] {
			ready = append(ready, s)
		}
	}
	if len(ready) == 0 {
		ready = w.servers
	}
	return ready[rand.IntN(len(ready))].addr, nil
}

// populate starts the members. Which rooms somebody is in follows from its
// number alone.
func (w *world) populate() {
	for i := range w.size.rooms {
		w.rooms = append(w.rooms, fmt.Sprintf("방 %d", i+1))
	}
	total := w.size.goClients + w.size.nodeClients
	for i := range total {
		var rooms []string
		for j := range w.size.roomsEach {
			rooms = append(rooms, w.rooms[(i+j*(1+i/w.size.rooms%(w.size.rooms-1)))%w.size.rooms])
		}
		slices.Sort(rooms)
		rooms = slices.Compact(rooms)
		named := i%3 == 0
		if i < w.size.nodeClients {
			m := newMember(w.ctx, fmt.Sprintf("js%d", i), "socket.io-client", rooms, named, w.ledger)
			m.recovers = true
			transports := []string{"websocket"}
			if !w.settings.form.fleet && i%3 == 2 {
				transports = []string{"polling", "websocket"}
			}
			w.attach(m, func() socket { return w.host.open("http://"+w.second.addr(), m.session(), transports, m) })
			continue
		}
		revision, recovers, kind := 4, true, "recovery"
		switch i % 5 {
		case 3:
			recovers, kind = false, "since"
		case 4:
			revision, recovers, kind = 3, false, "since, revision 3"
		}
		m := newMember(w.ctx, fmt.Sprintf("go%d", i), kind, rooms, named, w.ledger)
		m.recovers = recovers
		by := w.front
		if i/5%5 == 0 {
			by = w.second
		}
		w.attach(m, func() socket { return openWS(w.ctx, by.addr(), m.session(), revision, recovers, m) })
	}
}

// bulkRoom has few members, who say nothing but when a fault is about bytes.
const (
	bulkRoom    = "큰 방"
	bulkMembers = 6
)

func (w *world) populateBulk() {
	w.rooms = append(w.rooms, bulkRoom)
	for i := range bulkMembers {
		m := newMember(w.ctx, fmt.Sprintf("bulk%d", i), "recovery", []string{bulkRoom}, false, w.ledger)
		m.recovers, m.bulk = true, true
		w.attach(m, func() socket { return openWS(w.ctx, w.front.addr(), m.session(), 4, true, m) })
	}
}

// attach gives a member its socket before anything can happen on it.
func (w *world) attach(m *member, open func() socket) {
	m.mu.Lock()
	m.socket = open()
	m.mu.Unlock()
	w.members = append(w.members, m)
}

func (w *world) settled() bool {
	return !slices.ContainsFunc(w.members, func(m *member) bool { return !m.settled() })
}

// back says whether everybody has been settled once since it was called: all
// of them at the same moment, unless the world is restless.
func (w *world) back() func() bool {
	if !w.settings.restless {
		return w.settled
	}
	waiting := slices.Clone(w.members)
	return func() bool {
		waiting = slices.DeleteFunc(waiting, (*member).settled)
		return len(waiting) == 0
	}
}

func (w *world) unsettled() (text string) {
	n := 0
	for _, m := range w.members {
		if m.settled() {
			continue
		}
		if n++; n <= 5 {
			m.mu.Lock()
			text += fmt.Sprintf("%s (%s): up %v, named %v; ended: %v", m.name, m.kind, m.up, m.said, m.reasons)
			for _, v := range m.views {
				text += fmt.Sprintf("; %s: state %d, %v", v.room, v.state, v.cursor)
			}
			text += "\n"
			m.mu.Unlock()
		}
	}
	return fmt.Sprintf("%s%d of %d members\n", text, n, len(w.members))
}

// load lets the senders write and some of the others come and go, until stop
// is called, which waits for the last acknowledgement.
func (w *world) load() (stop func() error) {
	ctx, done := context.WithCancel(w.ctx)
	var tasks sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for i, m := range w.members {
		seed := rand.New(rand.NewPCG(uint64(i), 77))
		switch {
		case m.bulk:
			tasks.Go(func() {
				if err := w.write(ctx, m, seed); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		case i*w.size.senders/len(w.members) != (i+1)*w.size.senders/len(w.members):
			tasks.Go(func() {
				if err := w.write(ctx, m, seed); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
				}
			})
		case i%7 == 1:
			m.mu.Lock()
			m.roams = true
			m.mu.Unlock()
			tasks.Go(func() { w.roam(ctx, m, seed) })
		}
	}
	return func() error {
		done()
		tasks.Wait()
		return errors.Join(errs...)
	}
}

// write sends messages one after the other, each until it is acknowledged, the
// last one too. Now and then it sends one again that has its acknowledgement:
// the answer must be the same.
func (w *world) write(ctx context.Context, m *member, random *rand.Rand) error {
	rooms := make([]string, 0, len(m.views))
	for room := range m.views {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	finish, cancel := context.WithCancel(w.ctx)
	defer cancel()
	// What has begun may take its time when the load ends, but not for ever.
	defer context.AfterFunc(ctx, func() { time.AfterFunc(deadline, cancel) })()
	for n := 0; ; n++ {
		every := w.size.every/2 + time.Duration(random.Int64N(int64(w.size.every)))
		if m.bulk {
			every = 20 * time.Millisecond
		}
		if pause(ctx, every) != nil {
			return nil
		}
		if m.bulk && !w.bulk.Load() {
			continue
		}
		id := fmt.Sprintf("%s-%d", m.name, n)
		room := rooms[random.IntN(len(rooms))]
		if _, err := m.say(finish, room, id); err != nil {
			return fmt.Errorf("%s has no acknowledgement: %w", id, err)
		}
		if random.IntN(20) == 0 {
			if _, err := m.say(finish, room, id); err != nil {
				return fmt.Errorf("%s again: %w", id, err)
			}
		}
	}
}

// roam leaves a room and comes back.
func (w *world) roam(ctx context.Context, m *member, random *rand.Rand) {
	rooms := make([]string, 0, len(m.views))
	for room := range m.views {
		rooms = append(rooms, room)
	}
	slices.Sort(rooms)
	for {
		room := rooms[random.IntN(len(rooms))]
		away := pause(ctx, time.Second+time.Duration(random.Int64N(int64(3*time.Second)))) == nil
		if away {
			m.wander(room, false)
			away = pause(ctx, time.Duration(random.Int64N(int64(2*time.Second)))) == nil
		}
		m.wander(room, true)
		if !away {
			return
		}
	}
}

// end stops everything that the world has started. Errors are ends that were
// not clean.
func (w *world) end() error {
	var errs []error
	for _, l := range w.links {
		l.mend()
	}
	for _, m := range w.members {
		m.socket.close()
	}
	w.cancel()
	if w.host != nil {
		errs = append(errs, w.host.stop())
	}
	for _, s := range w.servers {
		s.Signal(sigCont)
		errs = append(errs, s.end(syscall.SIGTERM))
		for _, line := range s.log.disasters() {
			errs = append(errs, fmt.Errorf("%s said: %s", s.Name, line))
		}
	}
	for _, r := range append([]*relay{w.front, w.second}, w.links...) {
		if r != nil {
			r.close()
		}
	}
	if w.pair != nil {
		errs = append(errs, w.pair.stop())
	}
	if w.store != nil {
		w.store.Signal(sigCont)
		errs = append(errs, w.store.end(syscall.SIGTERM))
	}
	w.tasks.Wait()
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return errors.Join(errs...)
}
