package redis

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// lane is an order domain on this node: a pipe that writes, and a link, one
// subscriber connection, on which everything that was written comes back in
// one order (DELIVERY, "Lane", "Link").
type lane struct {
	// Immutable.
	a          *Adapter
	n          int
	base       string // prefix of keys and channels, with the hash tag
	publishCmd string // PUBLISH, or SPUBLISH on a Cluster
	pipe       *pipe
	calls      *calls
	witness    *witness

	// stale: something of what this node wrote may be missing.
	stale atomic.Bool
	// repaired counts the times that the link became live.
	repaired atomic.Uint64
	// heard counts what has come on the link; inHand says that its reader has some of
	// it that it has not passed on yet.
	heard  atomic.Uint64
	inHand atomic.Bool
	// reaping: this node is at it.
	reaping atomic.Bool
	// rewriting is held by whoever writes again what the store may have lost.
	rewriting sync.Mutex

	mu    sync.Mutex
	state linkState
	gen   uint64              // of the link; a new one per connection
	ps    *goredis.PubSub     // nil while there is none
	rooms map[string]*watched // by full name
	live  chan struct{}       // closed while the link is live; replaced at a loss
	pos   uint64              // everything up to here has been pushed to the sequencer
	start uint64              // of the era that the link belongs to; 0 before the first
	ops   map[string]*cutOp   // cuts whose marker has not come yet
	marks map[string]chan uint64
	// While the link is repaired:
	unconfirmed int
	repairID    string
	buffer      []held
	bufferBytes int
	overrun     bool // more came than the buffer holds: it is empty, and another round follows
	lostAt      time.Time
	lastBeat    time.Time
	steady      time.Time // since when no beat has failed; zero when the last did
	reason      string    // why the link is not live, for the status
	beatErr     string    // why the last beat failed
	warnings    []Finding // what inspect has found
}

type linkState uint8

const (
	linkDown      linkState = iota
	linkSyncing             // connected; what comes is of the past, until the marker
	linkBuffering           // behind the marker: kept until the past has been read
	linkLive
)

// watched is a room whose channel this node is subscribed to.
type watched struct {
	namespace, room string
	confirmed       bool
	users           int           // joins that need it
	ready           chan struct{} // closed when confirmed; replaced at a loss
	emptySince      time.Time
	// Where the room's log stands for this node's members, once set.
	set bool
	stand
	// losses are what this node knows the room to have lost; told, what its
	// members were told before the room said so. maxLosses bounds both.
	losses []lostRange
	told   []lostRange
}

// held is a message that waits for the end of a repair.
type held struct {
	channel string
	parcel  parcel
}

func newLane(a *Adapter, n int) *lane {
	l := &lane{
		a: a, n: n, base: a.base(n), publishCmd: "PUBLISH",
		rooms: make(map[string]*watched), live: make(chan struct{}),
		ops: make(map[string]*cutOp), marks: make(map[string]chan uint64),
		reason: "not connected yet", lostAt: time.Now(),
	}
	if a.conn.form == cluster {
		l.publishCmd = "SPUBLISH"
	}
	l.pipe, l.calls, l.witness = newPipe(l), &calls{l: l}, newWitness()
	return l
}

// fullName names a room among all namespaces. A namespace has no comma.
func fullName(namespace, room string) string { return namespace + "," + room }

// laneOf is the lane of a room, or of a socket's own id.
func (a *Adapter) laneOf(namespace, room string) *lane {
	if len(a.lanes) == 1 {
		return a.lanes[0]
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(fullName(namespace, room)))
	return a.lanes[h.Sum32()%uint32(len(a.lanes))]
}

// laneOfPID is the lane of a session's own record.
func (a *Adapter) laneOfPID(pid string) *lane { return a.laneOf("", pid) }

func (a *Adapter) base(n int) string { return a.o.base(n) }

// base begins the names of a lane's keys and channels.
func (o *Options) base(lane int) string {
	return "ac1:" + o.Prefix + "{L" + strconv.Itoa(lane) + "}:"
}

// push hands an item to the sequencer.
func (l *lane) push(f func(q *roomindex.Sequencer)) { l.a.seq.Push(roomindex.Func(f)) }

// steadyLink is how long a link must have lasted for its loss to be the first.
const steadyLink = 10 * time.Second

// run keeps the link up until the adapter closes.
func (l *lane) run() {
	fails := 0
	for l.a.ctx.Err() == nil {
		was, began := l.repaired.Load(), time.Now()
		err := l.session()
		if l.a.ctx.Err() != nil {
			break
		}
		// One that was live for a moment only is a failure too.
		if l.repaired.Load() != was && time.Since(began) > steadyLink {
			fails = 0
		}
		l.a.note(fmt.Sprintf("link of lane %d", l.n), err)
		pause := time.Duration(10+rand.IntN(40)) * time.Millisecond << min(fails, 5)
		fails++
		select {
		case <-time.After(pause):
		case <-l.a.ctx.Done():
		}
	}
	l.lose(0, "closed")
}

// session is the life of one connection.
func (l *lane) session() (err error) {
	ctx, cancel := context.WithCancel(l.a.ctx)
	defer cancel()
	client, err := l.a.conn.dedicated(ctx, l.n)
	if err != nil {
		l.lose(0, l.a.conn.redact(err).Error())
		return err
	}
	defer func() {
		if faultOf(err) != none {
			l.a.conn.forget(l.n, client)
		}
		_ = client.Close()
	}()
	var ps *goredis.PubSub
	if l.publishCmd == "SPUBLISH" {
		ps = client.SSubscribe(ctx)
	} else {
		ps = client.Subscribe(ctx)
	}
	defer func() { _ = ps.Close() }()
	// A read does not see the context end.
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })()

	l.mu.Lock()
	l.gen++
	gen := l.gen
	channels := []string{l.nodeChannel()}
	if l.n == 0 {
		channels = append(channels, l.base+"c*")
	}
	for name := range l.rooms {
		channels = append(channels, l.base+"c:"+name)
	}
	l.ps, l.state = ps, linkSyncing
	l.inHand.Store(true) // until it is connected
	l.unconfirmed = len(channels)
	l.repairID, l.buffer, l.bufferBytes, l.overrun = "", nil, 0, false
	l.lastBeat = time.Now()
	l.mu.Unlock()

	var repairs sync.WaitGroup
	defer repairs.Wait()
	defer cancel()
	reason := "closed"
	defer func() { l.lose(gen, reason) }()
	for len(channels) > 0 {
		n := min(len(channels), 1000)
		if err := l.subscribe(ctx, ps, channels[:n]...); err != nil {
			reason = l.a.conn.redact(err).Error()
			return err
		}
		channels = channels[n:]
	}
	for {
		// Without a limit: whether a silent connection is a dead one is for the beats
		// to say, which know whether Redis answers at all.
		l.inHand.Store(false)
		msg, err := ps.ReceiveTimeout(ctx, 0)
		l.inHand.Store(true)
		l.heard.Add(1)
		if err != nil {
			if l.lostMeanwhile(gen) {
				return nil
			}
			reason = l.a.conn.redact(err).Error()
			return err
		}
		if l.isLive() { // else nothing is passed on
			if err := l.a.seq.Admit(ctx); err != nil {
				return err
			}
		}
		var begin bool
		switch msg := msg.(type) {
		case *goredis.Subscription:
			if strings.HasSuffix(msg.Kind, "unsubscribe") {
				if l.unasked(msg.Channel) {
					reason = "unsubscribed by Redis"
					return fmt.Errorf("link: %s", reason)
				}
				continue
			}
			begin = l.confirm(gen, msg.Channel)
		case *goredis.Message:
			if !l.take(gen, msg.Channel, msg.Payload) {
				return nil
			}
		}
		if begin {
			repairs.Go(func() { l.repair(ctx, gen) })
		}
	}
}

func (l *lane) isLive() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == linkLive
}

func (l *lane) subscribe(ctx context.Context, ps *goredis.PubSub, channels ...string) error {
	if l.publishCmd == "SPUBLISH" {
		return ps.SSubscribe(ctx, channels...)
	}
	return ps.Subscribe(ctx, channels...)
}

func (l *lane) nodeChannel() string { return l.base + "n:" + l.a.node }

func (l *lane) lostMeanwhile(gen uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.gen != gen || l.state == linkDown
}

// unasked: Redis took a subscription away that this node wants (a slot moved).
func (l *lane) unasked(channel string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return channel == l.nodeChannel() || channel == l.base+"c*" || l.rooms[strings.TrimPrefix(channel, l.base+"c:")] != nil &&
		l.rooms[strings.TrimPrefix(channel, l.base+"c:")].confirmed
}

// confirm notes a confirmed subscription; it is true once all that the link
// began with are there.
func (l *lane) confirm(gen uint64, channel string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != gen {
		return false
	}
	if w := l.rooms[strings.TrimPrefix(channel, l.base+"c:")]; w != nil && !w.confirmed {
		w.confirmed = true
		close(w.ready)
	}
	if l.unconfirmed > 0 {
		l.unconfirmed--
		return l.unconfirmed == 0
	}
	return false
}

// lose ends a link: what depends on its order is cut short at once, before
// anything later is sent (DELIVERY, "Link"). gen 0 means whichever there is.
func (l *lane) lose(gen uint64, reason string) {
	l.mu.Lock()
	if gen != 0 && l.gen != gen {
		l.mu.Unlock()
		return
	}
	l.loseLocked(reason)
	l.mu.Unlock()
}

func (l *lane) loseLocked(reason string) {
	l.reason = reason
	if l.state == linkDown {
		return
	}
	if l.state == linkLive {
		l.live = make(chan struct{})
		l.lostAt = time.Now()
		if h := l.a.o.Hooks.LinkLost; h != nil {
			h(l.n, reason)
		}
	}
	l.state = linkDown
	l.buffer, l.bufferBytes = nil, 0
	for _, w := range l.rooms {
		if w.confirmed {
			w.confirmed, w.ready = false, make(chan struct{})
		}
	}
	for id, op := range l.ops {
		delete(l.ops, id)
		op.linkLost(l)
	}
	for id, ch := range l.marks {
		delete(l.marks, id)
		close(ch)
	}
	if l.ps != nil {
		_ = l.ps.Close() // ends the reader
		l.ps = nil
	}
}

// want keeps rooms subscribed and waits until the link is live and all of them
// are confirmed. The caller calls done when it needs them no more; the linger
// begins then if nobody has joined.
func (l *lane) want(ctx context.Context, namespace string, rooms []string) (done func(), err error) {
	ws := make([]*watched, len(rooms))
	done = func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, w := range ws {
			w.users--
		}
	}
	l.mu.Lock()
	var fresh []string
	for i, room := range rooms {
		name := fullName(namespace, room)
		w := l.rooms[name]
		if w == nil {
			w = &watched{namespace: namespace, room: room, ready: make(chan struct{})}
			l.rooms[name] = w
			fresh = append(fresh, l.base+"c:"+name)
		}
		w.users++
		w.emptySince = time.Time{}
		ws[i] = w
	}
	ps := l.ps
	if ps != nil && len(fresh) > 0 {
		// Under the lock, so that the order of (un)subscriptions is that of
		// the map's changes.
		if err := l.subscribe(l.a.ctx, ps, fresh...); err != nil {
			l.loseLocked(l.a.conn.redact(err).Error())
		} else if l.unconfirmed > 0 {
			l.unconfirmed += len(fresh)
		}
	}
	l.mu.Unlock()
	for {
		l.mu.Lock()
		wait := l.live
		if l.state == linkLive {
			wait = nil
			for _, w := range ws {
				if !w.confirmed {
					wait = w.ready
					break
				}
			}
		}
		l.mu.Unlock()
		if wait == nil {
			return done, nil
		}
		select {
		case <-wait:
		case <-ctx.Done():
			done()
			return nil, fmt.Errorf("wait for the link: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
		case <-l.a.ctx.Done():
			done()
			return nil, adapter.ErrClosed
		}
	}
}

// pruneStep is how many rooms prune looks at while it holds the lane's lock: a
// node may have many thousands.
const pruneStep = 512

// prune unsubscribes rooms that have been empty for the linger.
func (l *lane) prune(now time.Time) {
	l.mu.Lock()
	names := slices.Collect(maps.Keys(l.rooms))
	l.mu.Unlock()
	for step := range slices.Chunk(names, pruneStep) {
		l.pruneSome(step, now)
	}
}

func (l *lane) pruneSome(names []string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != linkLive {
		return
	}
	var gone []string
	for _, name := range names {
		w := l.rooms[name]
		if w == nil {
			continue
		}
		n := l.a.seq.Namespace(w.namespace)
		switch {
		case w.users > 0 || n != nil && n.Index.RoomLen(w.room) > 0:
			w.emptySince = time.Time{}
		case w.emptySince.IsZero():
			w.emptySince = now
		case now.Sub(w.emptySince) >= l.a.o.Linger && w.confirmed:
			delete(l.rooms, name)
			l.witness.keep(name, w)
			gone = append(gone, l.base+"c:"+name)
		}
	}
	if len(gone) == 0 {
		return
	}
	var err error
	if l.publishCmd == "SPUBLISH" {
		err = l.ps.SUnsubscribe(l.a.ctx, gone...)
	} else {
		err = l.ps.Unsubscribe(l.a.ctx, gone...)
	}
	if err != nil {
		l.loseLocked(l.a.conn.redact(err).Error())
	}
}
