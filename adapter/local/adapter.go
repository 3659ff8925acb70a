package local

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// Adapter is one node's adapter. Its methods may be called concurrently.
type Adapter struct {
	// Immutable.
	o         Options
	node      string
	seq       *roomindex.Sequencer
	stream    *stream
	store     store
	committer *committer
	sessions  *sessions
	loose     *loose
	forks     forks
	presence  *presence
	expiring  *expiring
	tables    *tables
	peers     *peers

	health health

	closing atomic.Bool
	closed  chan struct{} // closed when Close has done its work
	stop    chan struct{} // ends the janitor and the waits of queries
	janitor sync.WaitGroup
}

// health is the status. Its methods may be called concurrently.
type health struct{ reason atomic.Pointer[string] }

func (h *health) set(reason string) { h.reason.Store(&reason) }

func (h *health) get() string {
	if r := h.reason.Load(); r != nil {
		return *r
	}
	return ""
}

// Open starts an adapter. With a directory it waits up to a second for the
// directory's lock; a damaged data file, or another process using it, is one
// clear error.
func Open(o Options) (*Adapter, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if o.NodeID == "" {
		var raw [5]byte
		rand.Read(raw[:]) // never fails
		o.NodeID = base64.RawURLEncoding.EncodeToString(raw[:])[:6]
	}
	if len(o.NodeID) != 6 {
		return nil, fmt.Errorf("local: NodeID %q has not 6 characters", o.NodeID)
	}
	a := &Adapter{
		o: o, node: o.NodeID,
		closed: make(chan struct{}), stop: make(chan struct{}),
	}
	nowMilli := a.nowMilli()
	a.stream = &stream{
		setAside: setAsideMemory,
		limit:    math.MaxUint64,
		logs:     make(map[roomKey]*roomLog),
		logNames: make(map[string][]string),
		kept: rings{
			max: o.RecoverableMax, perRoom: o.RecoverablePerRoom, maxBytes: o.RecoverableBytes,
			windowMilli: o.Window.Milliseconds(), rings: make(map[roomKey]*ring),
		},
	}
	a.committer = &committer{
		a: a, limit: o.Queue,
		wake: make(chan struct{}, 1), dirty: make(chan struct{}, 1), done: make(chan struct{}),
		keys:     newDedupe(o.DedupeWindow.Milliseconds(), o.MaxKeys, nowMilli),
		lastTime: nowMilli,
	}
	a.sessions = &sessions{
		max: o.MaxSessions, windowMilli: o.Window.Milliseconds(),
		byPID: roomindex.NewTable(func(s *session) string { return s.pid }), dirty: make(map[string]*session),
	}
	if o.Dir != "" {
		a.sessions.touch = a.committer.touch
	}
	a.loose = newLoose(o.Dir != "", o.Window)
	a.expiring = newExpiring(o.MaxRecords, o.MaxRecordBytes)
	a.tables = newTables(o.Dir != "", o.MaxTables, o.MaxTableBytes)
	a.peers = newPeers(o.MaxAsks)
	if o.Dir == "" {
		a.store = newMemory(o.MaxBytes)
		a.stream.pos = next(0, nowMilli)
	} else if err := a.openDisk(nowMilli); err != nil {
		return nil, fmt.Errorf("local: open %s: %w", o.Dir, err)
	}
	a.seq = roomindex.NewSequencer(adapter.Position{a.stream.pos}, roomindex.Options{Queue: o.Queue})
	a.stream.seq = a.seq
	a.presence = newPresence(a.seq, o.Grace.Milliseconds())
	go a.committer.run()
	a.janitor.Go(a.tidy)
	return a, nil
}

func (a *Adapter) nowMilli() int64 { return a.o.Clock().UnixMilli() }

// usable is the first step of every method that can fail.
func (a *Adapter) usable(ctx context.Context) error {
	if a.closing.Load() {
		return adapter.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("not begun: %w: %w", adapter.ErrUnavailable, context.Cause(ctx))
	}
	return nil
}

// Lanes implements adapter.Adapter: a single node has one.
func (a *Adapter) Lanes() int { return 1 }

// Status implements adapter.Adapter.
func (a *Adapter) Status() adapter.Status {
	if a.closing.Load() {
		return adapter.Status{Reason: "closed"}
	}
	reason := a.health.get()
	return adapter.Status{Ready: reason == "", Reason: reason}
}

// Close implements adapter.Adapter: appends under way are committed and
// delivered, session records and recoverable emits are written, connected
// sessions count as lost from now on. The context bounds the wait; the work
// goes on behind it.
func (a *Adapter) Close(ctx context.Context) error {
	first := a.closing.CompareAndSwap(false, true)
	done := make(chan error, 1)
	if first {
		go func() {
			done <- a.shutDown()
			close(a.closed)
		}()
	}
	select {
	case err := <-done:
		return err
	case <-a.closed:
		if first {
			return <-done
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("local: close: %w", context.Cause(ctx))
	}
}

func (a *Adapter) shutDown() error {
	close(a.stop)
	a.janitor.Wait()
	a.peers.close()
	a.committer.close()
	a.seq.Close()
	// Nobody else writes from here on.
	a.sessions.loseAll(a.nowMilli())
	err := a.finish()
	return errors.Join(err, a.store.close())
}

// tidy is the janitor: everything that happens because time has passed.
func (a *Adapter) tidy() {
	shortest := a.o.Window
	if a.o.Grace > 0 {
		shortest = min(shortest, a.o.Grace)
	}
	tick := min(max(shortest/8, 5*time.Millisecond), 250*time.Millisecond)
	t := time.NewTicker(tick)
	defer t.Stop()
	var last, lastMark, lastSweep, lastTables int64
	for {
		select {
		case <-a.stop:
			return
		case <-t.C:
		}
		nowMilli := a.nowMilli()
		a.presence.expire(nowMilli)
		a.sessions.sweep(nowMilli)
		if nowMilli-last >= 1000 || nowMilli < last {
			last = nowMilli
			a.expiring.sweep(nowMilli)
			if nowMilli-lastTables >= 60_000 || nowMilli < lastTables {
				lastTables = nowMilli
				a.tables.sweep(nowMilli)
			}
			a.loose.withdraw(nowMilli)
			a.stream.trimKept(nowMilli)
			if a.health.get() != "" || nowMilli-lastMark >= a.markInterval() && a.sessions.any() {
				lastMark = nowMilli
				a.committer.askMark()
			}
		}
		if nowMilli-lastSweep >= min(60_000, max(1000, a.o.LogAge.Milliseconds()/8)) || nowMilli < lastSweep {
			lastSweep = nowMilli
			a.committer.askSweep()
		}
	}
}

func (s *stream) trimKept(nowMilli int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.trim(nowMilli)
}
