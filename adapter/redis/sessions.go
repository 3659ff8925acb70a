package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

// owned are the sessions whose connections this node has: what it would have
// to write again if the store lost it, and what it compares before it asks.
type owned struct {
	mu    sync.Mutex
	byPID map[string]*ownedSession
	// left are those whose connections were lost within leftFor, at most
	// maxLeft: a store that has lost its latest may have lost their last joins.
	left []leftSession
}

type leftSession struct {
	pid string
	s   *ownedSession
	at  time.Time
}

const (
	leftFor = 30 * time.Second
	maxLeft = 4096
)

type ownedSession struct {
	rec     adapter.Session // Rooms unused
	token   uint64
	start   adapter.Position
	rooms   map[string]uint64 // → the cut at which it was joined
	claimed time.Time         // zero once resumed
	// leaving counts the leaves of rooms that are on their way to the store.
	leaving map[string]int
}

// mine finds the session of an owner.
func (t *owned) mineLocked(o *adapter.Owner) *ownedSession {
	if o == nil {
		return nil
	}
	if s := t.byPID[o.PID]; s != nil && s.token == o.Token {
		return s
	}
	return nil
}

func (t *owned) put(rec adapter.Session, token uint64, claimed time.Time) *ownedSession {
	s := &ownedSession{rec: rec, token: token, rooms: make(map[string]uint64), claimed: claimed}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.byPID[rec.PID]; old == nil || old.token < token {
		t.byPID[rec.PID] = s
	}
	return s
}

func (t *owned) has(pid string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byPID[pid] != nil
}

func (t *owned) in(pid, room string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.byPID[pid]; s != nil {
		_, ok := s.rooms[room]
		return ok
	}
	return false
}

func (t *owned) begin(o *adapter.Owner, lane int, pos uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.mineLocked(o); s != nil {
		s.start[lane] = pos
	}
}

func (t *owned) join(o *adapter.Owner, rooms []string, pos uint64) {
	t.joinAnd(o, rooms, pos, func() {})
}

// joinAnd is join, and calls then, under the lock, if the session is here.
func (t *owned) joinAnd(o *adapter.Owner, rooms []string, pos uint64, then func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.mineLocked(o); s != nil {
		for _, room := range rooms {
			if _, ok := s.rooms[room]; !ok {
				s.rooms[room] = pos
			}
		}
		then()
	}
}

func (t *owned) leave(o *adapter.Owner, rooms []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.mineLocked(o); s != nil {
		for _, room := range rooms {
			delete(s.rooms, room)
		}
	}
}

func (t *owned) save(o adapter.Owner, data []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.mineLocked(&o); s != nil {
		s.rec.Data = slices.Clone(data)
	}
}

func (t *owned) claimed(o adapter.Owner) (*adapter.Session, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.mineLocked(&o)
	if s == nil {
		return nil, false
	}
	rec := s.rec
	for room := range s.rooms {
		rec.Rooms = append(rec.Rooms, room)
	}
	slices.Sort(rec.Rooms)
	return &rec, true
}

func (t *owned) connected(o adapter.Owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.mineLocked(&o); s != nil {
		s.claimed = time.Time{}
	}
}

// drop forgets a session unless a newer owner of this node has it. It reports
// whether there was something to forget.
func (t *owned) drop(pid string, token uint64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byPID[pid]
	if s == nil || s.token > token {
		return false
	}
	delete(t.byPID, pid)
	return true
}

// part forgets a session as drop does, and remembers for a while one whose
// client may come back.
func (t *owned) part(o adapter.Owner, keep bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byPID[o.PID]
	if s == nil || s.token > o.Token {
		return false
	}
	delete(t.byPID, o.PID)
	if keep && s.claimed.IsZero() {
		if len(t.left) == maxLeft {
			t.left = t.left[1:]
		}
		t.left = append(t.left, leftSession{o.PID, s, time.Now()})
	}
	return true
}

// clear forgets every session.
func (t *owned) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.byPID)
	t.left = nil
}

// leaves notes leaves that are on their way to the store, or (by -1) have come to an end.
func (t *owned) leaves(o *adapter.Owner, rooms []string, by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.mineLocked(o)
	if s == nil {
		return
	}
	if s.leaving == nil {
		s.leaving = make(map[string]int)
	}
	for _, room := range rooms {
		if s.leaving[room] += by; s.leaving[room] <= 0 {
			delete(s.leaving, room)
		}
	}
	if len(s.leaving) == 0 {
		s.leaving = nil // a session that does not leave keeps nothing for it
	}
}

// overtaken are those of some rooms of which a leave is on its way.
func (t *owned) overtaken(o *adapter.Owner, rooms []string) (some []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.mineLocked(o); s != nil {
		for _, room := range rooms {
			if s.leaving[room] > 0 {
				some = append(some, room)
			}
		}
	}
	return some
}

// sweep forgets claims that came to nothing.
func (t *owned) sweep(before time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid, s := range t.byPID {
		if !s.claimed.IsZero() && s.claimed.Before(before) {
			delete(t.byPID, pid)
		}
	}
	n := 0
	for n < len(t.left) && time.Since(t.left[n].at) > leftFor {
		n++
	}
	if t.left = t.left[n:]; len(t.left) == 0 {
		t.left = nil
	}
}

// parted are the sessions whose connections were lost lately. They do not change any
// more.
func (t *owned) parted() []leftSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.left)
}

func (t *owned) pids() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.byPID))
}

// some calls f with those of some sessions that are here.
func (t *owned) some(pids []string, f func(pid string, s *ownedSession)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, pid := range pids {
		if s := t.byPID[pid]; s != nil {
			f(pid, s)
		}
	}
}

// each calls f with every session.
func (t *owned) each(f func(pid string, s *ownedSession)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for pid, s := range t.byPID {
		f(pid, s)
	}
}

// sessionOutcome reads what the session script said.
func sessionOutcome(v any, err error) error {
	if err != nil {
		return err
	}
	r, err := asReply(v)
	if err != nil {
		return err
	}
	switch r.text(0) {
	case "ok":
		return nil
	case "dead", "fenced":
		return adapter.ErrFenced
	case "conflict":
		return adapter.ErrConflict
	case "none", "other", "expired":
		return fmt.Errorf("no such session: %w", adapter.ErrUnrecoverable)
	}
	return errWire
}

func isUnrecoverable(err error) bool { return errors.Is(err, adapter.ErrUnrecoverable) }

// Create implements adapter.Sessions.
func (a *Adapter) Create(ctx context.Context, s adapter.Session) (adapter.Owner, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.Owner{}, err
	}
	if err := a.sizeOfSession(s.Data); err != nil {
		return adapter.Owner{}, err
	}
	l := a.laneOfPID(s.PID)
	v, err := l.eval(ctx, false, lua().session, "create", s.PID, "1", s.Namespace, s.SID, s.User, s.Data)
	if err = sessionOutcome(v, err); err != nil {
		if errors.Is(err, adapter.ErrConflict) {
			return adapter.Owner{}, fmt.Errorf("create session: %w", err)
		}
		return adapter.Owner{}, a.outcome("create session", err)
	}
	o := adapter.Owner{PID: s.PID, Token: 1}
	s.Data, s.Rooms = slices.Clone(s.Data), nil
	a.owned.put(s, 1, time.Time{})
	return o, nil
}

// Lend implements adapter.Sessions.
func (a *Adapter) Lend(ctx context.Context, s adapter.Session, at adapter.Position) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if err := a.sizeOfSession(s.Data); err != nil {
		return err
	}
	first := a.laneOfPID(s.PID)
	v, err := first.eval(ctx, false, lua().session, "create", s.PID, "1", s.Namespace, s.SID, s.User, s.Data)
	if err = sessionOutcome(v, err); err != nil {
		if errors.Is(err, adapter.ErrConflict) {
			return fmt.Errorf("lend session: %w", err)
		}
		return a.outcome("lend session", err)
	}
	const token = "1"
	lanes := map[*lane]bool{first: true}
	for l, rooms := range a.byLane(s.Namespace, s.Rooms) {
		args := []any{"join", s.PID, l.hasPID(s.PID), token, at[l.n]}
		for _, room := range rooms {
			args = append(args, room)
		}
		v, err := l.eval(ctx, true, lua().session, args...)
		if err = sessionOutcome(v, err); err != nil {
			return a.outcome("lend session", err)
		}
		lanes[l] = true
	}
	// The window begins now: a record that nobody claims is forgotten.
	for l := range lanes {
		v, err := l.eval(ctx, true, lua().session, "gone", s.PID, l.hasPID(s.PID), token, a.o.Window.Milliseconds())
		if err = sessionOutcome(v, err); err != nil {
			return a.outcome("lend session", err)
		}
	}
	return nil
}

func (a *Adapter) sizeOfSession(data []byte) error {
	if len(data) > a.o.MaxSessionData {
		return fmt.Errorf("session data has %d bytes, %d are allowed: %w", len(data), a.o.MaxSessionData, adapter.ErrFull)
	}
	return nil
}

// Claim implements adapter.Sessions. The token is raised in the session's own
// lane first, then in the others; the fence goes out with the first.
func (a *Adapter) Claim(ctx context.Context, namespace, pid string) (adapter.Session, adapter.Owner, error) {
	fail := func(err error) (adapter.Session, adapter.Owner, error) {
		return adapter.Session{}, adapter.Owner{}, a.outcome2("claim", err)
	}
	if err := a.usable(ctx); err != nil {
		return fail(err)
	}
	first := a.laneOfPID(pid)
	// Behind what this node has said of the session before: Gone and End do not
	// wait.
	ask := func(l *lane, has, token, created string) (reply, error) {
		v, err := l.pipe.do(ctx, &op{cmd: l.call(lua().session, "claim", pid, has, namespace, a.o.Window.Milliseconds(), a.o.Lease.Milliseconds(), token, created)})
		if err = sessionOutcome(v, err); err != nil {
			return nil, err
		}
		return asReply(v)
	}
	r, err := ask(first, "1", "0", "0")
	if err != nil {
		return fail(err)
	}
	created := r.text(6)
	rec := adapter.Session{PID: pid, SID: r.text(2), Namespace: namespace, User: r.text(3), Data: []byte(r.text(4))}
	o := adapter.Owner{PID: pid, Token: r.number(1)}
	s := &ownedSession{rec: rec, token: o.Token, rooms: make(map[string]uint64), claimed: time.Now()}
	read := func(l *lane, r reply) {
		own := r.list(5)
		for i := 0; i+1 < len(own); i += 2 {
			name := own.text(i)
			if name == "s" {
				s.start[l.n] = own.number(i + 1)
			}
			if room, ok := strings.CutPrefix(name, "r:"); ok {
				s.rooms[room] = own.number(i + 1)
			}
		}
	}
	read(first, r)
	for _, l := range a.lanes {
		if l == first {
			continue
		}
		r, err := ask(l, "0", strconv.FormatUint(o.Token, 10), created)
		if err != nil {
			return fail(err)
		}
		read(l, r)
	}
	a.owned.mu.Lock()
	if old := a.owned.byPID[pid]; old == nil || old.token < o.Token {
		a.owned.byPID[pid] = s
	}
	a.owned.mu.Unlock()
	for room := range s.rooms {
		rec.Rooms = append(rec.Rooms, room)
	}
	slices.Sort(rec.Rooms)
	return rec, o, nil
}

// Save implements adapter.Sessions.
func (a *Adapter) Save(ctx context.Context, o adapter.Owner, data []byte) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if err := a.sizeOfSession(data); err != nil {
		return err
	}
	v, err := a.laneOfPID(o.PID).eval(ctx, true, lua().session, "save", o.PID, "1", strconv.FormatUint(o.Token, 10), data)
	if err = sessionOutcome(v, err); err != nil {
		return a.outcome("save session", err)
	}
	a.owned.save(o, data)
	return nil
}

// Gone implements adapter.Sessions.
func (a *Adapter) Gone(o adapter.Owner) { a.endSession("gone", o, a.o.Window.Milliseconds()) }

// End implements adapter.Sessions.
func (a *Adapter) End(o adapter.Owner) { a.endSession("end", o) }

func (a *Adapter) endSession(how string, o adapter.Owner, args ...any) {
	if o.PID == "" {
		return
	}
	if !a.owned.part(o, how == "gone") {
		return // fenced: it belongs to somebody else, or waits for its client
	}
	for _, l := range a.lanes {
		l.pipe.control(l.call(lua().session, append([]any{how, o.PID, l.hasPID(o.PID), strconv.FormatUint(o.Token, 10)}, args...)...))
	}
}

// fenceStale looks which of this node's sessions were claimed elsewhere while
// the link could not tell.
func (l *lane) fenceStale(ctx context.Context) error {
	type pair struct {
		pid   string
		token uint64
	}
	var all []pair
	l.a.owned.each(func(pid string, s *ownedSession) { all = append(all, pair{pid, s.token}) })
	for part := range slices.Chunk(all, 1000) {
		args := make([]any, 0, 2*len(part))
		for _, p := range part {
			args = append(args, p.pid, p.token)
		}
		v, err := l.evalBy(ctx, l.own(upkeep), true, lua().tokens, args...)
		if err != nil {
			return err
		}
		r, err := asReply(v)
		if err != nil {
			return err
		}
		for i := 0; i+1 < len(r); i += 2 {
			l.a.fencePID(r.text(i), r.number(i+1))
		}
	}
	return nil
}
