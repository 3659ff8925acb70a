package redis

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// Adapter is one node's adapter. Its methods may be called concurrently.
type Adapter struct {
	// Immutable.
	o        Options
	node     string
	conn     *connector
	lanes    []*lane
	seq      *roomindex.Sequencer
	owned    *owned
	presence *presence
	peers    *peers
	beatNow  []chan struct{}

	ctx    context.Context // ends with Close
	cancel context.CancelFunc

	ids     atomic.Uint64
	life    atomic.Pointer[string] // the incarnation
	fencing atomic.Bool
	closing atomic.Bool
	closed  chan struct{}

	// Owned by the sequencer.
	homes   map[string]home
	partial []*cutOp // cuts of new sockets that have passed in some lanes only

	mu         sync.Mutex
	wg         sync.WaitGroup // Add only under mu, while not closing
	namespaces map[string]bool
	gatherings map[string]*gathering
	cuts       map[*cutOp]bool
	echoes     map[string]chan struct{}  // orders that have not come back
	leaving    map[string]map[string]int // socket → room
	noted      map[string]time.Time      // last time that a fault was logged
}

// Open starts an adapter. It does not wait for Redis: until it is reached the
// Status is not ready, and what needs it fails with ErrUnavailable in bounded
// time. An error means bad options.
func Open(o Options) (*Adapter, error) { return openNode(o, nil) }

// openNode is Open with a watch on the rooms of this node's sockets: see
// roomindex.Options.
func openNode(o Options, rooms func(namespace, room string, open bool)) (*Adapter, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	conn, err := newConnector(o)
	if err != nil {
		return nil, err
	}
	if o.NodeID == "" {
		o.NodeID = random(5)[:6]
	}
	if err := o.fixLanes(conn.form); err != nil {
		return nil, err
	}
	a := &Adapter{
		o: o, node: o.NodeID, conn: conn,
		owned:    &owned{byPID: make(map[string]*ownedSession)},
		presence: &presence{here: make(map[seat]*present)},
		closed:   make(chan struct{}), homes: make(map[string]home),
		namespaces: make(map[string]bool), gatherings: make(map[string]*gathering), cuts: make(map[*cutOp]bool), echoes: make(map[string]chan struct{}),
		leaving: make(map[string]map[string]int), noted: make(map[string]time.Time),
	}
	a.peers = newPeers(a)
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.renew()
	a.seq = roomindex.NewSequencer(adapter.Position{}, roomindex.Options{Queue: o.Queue, Rooms: rooms})
	var keys []string
	for n := range o.Lanes {
		l := newLane(a, n)
		a.lanes = append(a.lanes, l)
		a.beatNow = append(a.beatNow, make(chan struct{}, 1))
		keys = append(keys, l.base+"lane")
	}
	conn.serve(keys)
	for _, l := range a.lanes {
		go l.pipe.run()
		a.spawn(l.run)
		a.spawn(l.beatLoop)
		a.spawn(l.auditLoop)
	}
	a.peers.out = newPipe(a.lanes[0])
	go a.peers.out.run()
	a.spawn(a.peers.listen)
	a.spawn(a.tidy)
	return a, nil
}

func random(n int) string {
	raw := make([]byte, n)
	rand.Read(raw) // never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}

// incarnation names this life of the node: what a lease is for. The node's id
// is its first 6 characters.
func (a *Adapter) incarnation() string { return *a.life.Load() }

func (a *Adapter) renew() {
	v := a.node + "." + random(6)
	a.life.Store(&v)
}

// nextID names a cut, a marker or a query, for ever.
func (a *Adapter) nextID() string {
	return a.incarnation() + "." + strconv.FormatUint(a.ids.Add(1), 36)
}

// spawn runs f on a goroutine that Close waits for; false when closing.
func (a *Adapter) spawn(f func()) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing.Load() {
		return false
	}
	a.wg.Go(f)
	return true
}

func (a *Adapter) track(op *cutOp, on bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if on {
		a.cuts[op] = true
	} else {
		delete(a.cuts, op)
	}
}

func (a *Adapter) tracked() []*cutOp {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.cuts))
}

func (a *Adapter) drop(why string) {
	if h := a.o.Hooks.Dropped; h != nil {
		h(why)
	}
}

// note logs a fault of Redis, each kind at most every few seconds.
func (a *Adapter) note(what string, err error) {
	if err == nil || a.ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	last := a.noted[what]
	now := time.Now()
	quiet := now.Sub(last) < 5*time.Second
	if !quiet {
		a.noted[what] = now
	}
	a.mu.Unlock()
	if !quiet {
		a.o.Logger.Warn(what, "error", a.conn.redact(err))
	}
}

// usable is the first step of every method that can fail.
func (a *Adapter) usable(ctx context.Context) error {
	if a.closing.Load() {
		return adapter.ErrClosed
	}
	if ctx.Err() != nil {
		return fmt.Errorf("not begun: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
	}
	return nil
}

// Lanes implements adapter.Adapter.
func (a *Adapter) Lanes() int { return len(a.lanes) }

// Status implements adapter.Adapter.
func (a *Adapter) Status() adapter.Status {
	if a.closing.Load() {
		return adapter.Status{Reason: "closed"}
	}
	for _, l := range a.lanes {
		l.mu.Lock()
		state, reason, beatErr := l.state, l.reason, l.beatErr
		l.mu.Unlock()
		switch {
		case state != linkLive && reason != "":
			return adapter.Status{Reason: fmt.Sprintf("redis: link of lane %d: %s", l.n, reason)}
		case state != linkLive:
			return adapter.Status{Reason: fmt.Sprintf("redis: link of lane %d is being repaired", l.n)}
		case beatErr != "":
			return adapter.Status{Reason: "redis: " + beatErr}
		case l.pipe.away():
			return adapter.Status{Reason: fmt.Sprintf("redis: lane %d cannot be written to", l.n)}
		}
	}
	return adapter.Status{Ready: true, Warnings: a.warnings()}
}

// Close implements adapter.Adapter. Appends under way are sent; sessions and
// presence stay in the store until the lease has run out, so that clients come
// back elsewhere as if nothing was.
func (a *Adapter) Close(ctx context.Context) error {
	a.mu.Lock()
	first := a.closing.CompareAndSwap(false, true)
	a.mu.Unlock()
	if first {
		go func() {
			a.shutDown()
			close(a.closed)
		}()
	}
	select {
	case <-a.closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("redis: close: %w", context.Cause(ctx))
	}
}

func (a *Adapter) shutDown() {
	ctx, cancel := context.WithTimeout(context.Background(), a.o.Timeout)
	defer cancel()
	for _, l := range a.lanes {
		l.pipe.close() // what is queued still goes out
		_, _ = l.eval(ctx, false, lua().quit, a.o.Lease.Milliseconds(), max(0, min(a.o.Grace, a.o.Lease)).Milliseconds())
	}
	a.cancel()
	for _, l := range a.lanes {
		l.calls.close()
	}
	a.peers.out.close()
	a.wg.Wait()
	a.seq.Close()
	a.conn.close()
}

// tidy does what happens because time has passed.
func (a *Adapter) tidy() {
	tick := time.NewTicker(min(max(min(max(a.o.Grace, 0), a.o.Linger)/8, 5*time.Millisecond), 250*time.Millisecond))
	defer tick.Stop()
	var last time.Time
	for {
		select {
		case <-a.ctx.Done():
			return
		case now := <-tick.C:
			a.expirePresence(now)
			// What looks at every session and room is done as rarely as it may be.
			if now.Sub(last) < a.o.Linger/4 {
				continue
			}
			last = now
			a.owned.sweep(now.Add(-2*a.o.Window - time.Minute))
			for _, l := range a.lanes {
				l.prune(now)
			}
		}
	}
}

func (l *lane) auditLoop() {
	var known strays
	for n := 1; ; n++ {
		select {
		case <-l.a.ctx.Done():
			return
		case <-time.After(l.a.o.Audit - l.a.o.Audit/8 + time.Duration(l.a.ids.Load()%8)*l.a.o.Audit/64):
		}
		if err := l.audit(l.a.ctx); err != nil {
			l.a.note("audit", err)
		}
		if err := l.inspect(l.a.ctx); err != nil {
			l.a.note("audit", err)
		}
		if n%strayAudits == 0 {
			if err := l.sweep(l.a.ctx, &known); err != nil {
				l.a.note("audit", err)
			}
		}
	}
}

var _ adapter.Adapter = (*Adapter)(nil)
