package local

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"unique"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// session is a recovery record.
type session struct {
	pid, sid, user string
	// namespace is one of few: 8 bytes instead of 16.
	namespace unique.Handle[string]
	data      []byte // never changed in place
	token     uint64
	// start is the cut at which the socket was added: what was emitted to the
	// whole namespace, or to the socket itself, is its own from there on.
	start uint64
	rooms []joined
	gone  int64 // Unix milliseconds since when the connection is lost; 0 while it is there
}

// joined is a room and the cut at which it was joined.
type joined struct {
	room string
	pos  uint64
}

// sessions keeps the records. All fields are guarded by mu.
type sessions struct {
	max         int
	windowMilli int64
	// touch tells the committer that something is to be written; it does not
	// block. nil in memory, where nothing is.
	touch func()

	mu    sync.Mutex
	byPID *roomindex.Table[session]
	dirty map[string]*session // by pid; nil value: to be deleted
	lost  queue[lostSession]  // in the order of loss; may hold outdated ones
}

type lostSession struct {
	pid   string
	token uint64
	at    int64
}

func (t *sessions) markLocked(s *session) { t.noteLocked(s.pid, s) }

func (t *sessions) noteLocked(pid string, s *session) {
	if t.touch != nil {
		t.dirty[pid] = s
		t.touch()
	}
}

func (t *sessions) dropLocked(s *session) {
	t.byPID.Delete(s.pid)
	t.noteLocked(s.pid, nil)
}

// owned finds the session of an owner.
func (t *sessions) ownedLocked(o adapter.Owner) (*session, error) {
	s := t.byPID.Find(o.PID)
	if s == nil || s.token != o.Token {
		return nil, fmt.Errorf("session is not this connection's any more: %w", adapter.ErrFenced)
	}
	return s, nil
}

// check reports ErrFenced unless o owns its session; nil owners own nothing
// and pass.
func (t *sessions) check(o *adapter.Owner) error {
	if o == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.ownedLocked(*o)
	return err
}

func (t *sessions) create(r adapter.Session, pos uint64) (adapter.Owner, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byPID.Find(r.PID) != nil {
		return adapter.Owner{}, fmt.Errorf("create session: id is taken: %w", adapter.ErrConflict)
	}
	if t.byPID.Len() >= t.max && !t.evictLocked() {
		return adapter.Owner{}, fmt.Errorf("create session: %d are connected: %w", t.max, adapter.ErrFull)
	}
	s := &session{
		pid: r.PID, sid: r.SID, namespace: unique.Make(r.Namespace), user: r.User,
		data: r.Data, token: 1, start: pos,
	}
	for _, room := range r.Rooms {
		s.rooms = append(s.rooms, joined{room: room, pos: pos})
	}
	t.byPID.Put(s)
	t.markLocked(s)
	return adapter.Owner{PID: s.pid, Token: s.token}, nil
}

// evictLocked removes the longest lost session.
func (t *sessions) evictLocked() bool {
	for t.lost.len() > 0 {
		l := t.lost.front()
		t.lost.pop()
		if s := t.byPID.Find(l.pid); s != nil && s.token == l.token && s.gone == l.at {
			t.dropLocked(s)
			return true
		}
	}
	return false
}

// sweep removes sessions that were lost longer ago than the window.
func (t *sessions) sweep(nowMilli int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.lost.len() > 0 {
		l := t.lost.front()
		s := t.byPID.Find(l.pid)
		current := s != nil && s.token == l.token && s.gone == l.at
		if current && !t.expired(s, nowMilli) {
			return
		}
		t.lost.pop()
		if current {
			t.dropLocked(s)
		}
	}
}

func (t *sessions) expired(s *session, nowMilli int64) bool {
	return s.gone != 0 && nowMilli-s.gone > t.windowMilli
}

// claim raises the token. Until the claimant resumes, the session counts as
// lost, so that a claim that comes to nothing expires like any other.
func (t *sessions) claim(namespace, pid string, nowMilli int64) (adapter.Session, adapter.Owner, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.byPID.Find(pid)
	switch {
	case s == nil:
		return adapter.Session{}, adapter.Owner{}, fmt.Errorf("claim: no such session: %w", adapter.ErrUnrecoverable)
	case s.namespace.Value() != namespace:
		return adapter.Session{}, adapter.Owner{}, fmt.Errorf("claim: session is of another namespace: %w", adapter.ErrUnrecoverable)
	case t.expired(s, nowMilli):
		t.dropLocked(s)
		return adapter.Session{}, adapter.Owner{}, fmt.Errorf("claim: session is older than the window: %w", adapter.ErrUnrecoverable)
	}
	s.token++
	t.loseLocked(s, nowMilli)
	t.markLocked(s)
	r := adapter.Session{PID: s.pid, SID: s.sid, Namespace: s.namespace.Value(), User: s.user, Data: s.data}
	for _, j := range s.rooms {
		r.Rooms = append(r.Rooms, j.room)
	}
	return r, adapter.Owner{PID: s.pid, Token: s.token}, nil
}

func (t *sessions) loseLocked(s *session, nowMilli int64) {
	s.gone = max(nowMilli, 1)
	t.lost.push(lostSession{pid: s.pid, token: s.token, at: s.gone})
}

func (t *sessions) save(o adapter.Owner, data []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.ownedLocked(o)
	if err != nil {
		return err
	}
	s.data = data
	t.markLocked(s)
	return nil
}

func (t *sessions) lose(o adapter.Owner, nowMilli int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, err := t.ownedLocked(o); err == nil && s.gone == 0 {
		t.loseLocked(s, nowMilli)
		t.markLocked(s)
	}
}

func (t *sessions) end(o adapter.Owner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, err := t.ownedLocked(o); err == nil {
		t.dropLocked(s)
	}
}

// begin notes the cut at which a new session's socket was added. Owners may be
// nil here, as in connected, join and leave: sockets without a session have
// nothing to note.
func (t *sessions) begin(o *adapter.Owner, pos uint64) {
	t.change(o, func(s *session) { s.start, s.gone = pos, 0 })
}

// connected notes that a claimed session's socket is there again.
func (t *sessions) connected(o *adapter.Owner) {
	t.change(o, func(s *session) { s.gone = 0 })
}

// join notes rooms with the cut at which they were joined. A room that is
// known keeps its first cut: the socket has been a member since.
func (t *sessions) join(o *adapter.Owner, rooms []string, pos uint64) {
	t.change(o, func(s *session) {
		s.rooms = slices.Grow(s.rooms, len(rooms))
		for _, room := range rooms {
			if !slices.ContainsFunc(s.rooms, func(j joined) bool { return j.room == room }) {
				s.rooms = append(s.rooms, joined{room: room, pos: pos})
			}
		}
	})
}

func (t *sessions) leave(o *adapter.Owner, rooms []string) {
	t.change(o, func(s *session) {
		s.rooms = slices.DeleteFunc(s.rooms, func(j joined) bool { return slices.Contains(rooms, j.room) })
	})
}

func (t *sessions) change(o *adapter.Owner, f func(s *session)) {
	if o == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s, err := t.ownedLocked(*o); err == nil {
		f(s)
		t.markLocked(s)
	}
}

// resumable returns what a recovery needs of an owned session.
func (t *sessions) resumable(o adapter.Owner, namespace, sid string) (start uint64, rooms []joined, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s, err := t.ownedLocked(o)
	if err != nil {
		return 0, nil, err
	}
	if s.namespace.Value() != namespace || s.sid != sid {
		return 0, nil, fmt.Errorf("resume: socket is not the session's: %w", adapter.ErrUnrecoverable)
	}
	return s.start, slices.Clone(s.rooms), nil
}

// any reports whether there are sessions at all.
func (t *sessions) any() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.byPID.Len() > 0
}

// loseAll marks every connected session as lost: at a clean close.
func (t *sessions) loseAll(nowMilli int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for s := range t.byPID.All {
		if s.gone == 0 {
			t.loseLocked(s, nowMilli)
			t.markLocked(s)
		}
	}
}

// sessionChange is a record to be written, or deleted when record is nil.
type sessionChange struct {
	pid    string
	record []byte
}

// takeDirty hands over what is to be written. When the write fails the caller
// gives the changes back by giveBack.
func (t *sessions) takeDirty() []sessionChange {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.dirty) == 0 {
		return nil
	}
	out := make([]sessionChange, 0, len(t.dirty))
	for pid, s := range t.dirty {
		c := sessionChange{pid: pid}
		if s != nil {
			c.record = appendSession(nil, s)
		}
		out = append(out, c)
	}
	t.dirty = make(map[string]*session)
	return out
}

func (t *sessions) giveBack(changes []sessionChange) {
	if len(changes) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changes {
		t.noteLocked(c.pid, t.byPID.Find(c.pid))
	}
}

// load puts records that were read from disk in place. Those that were
// connected are lost since the last sign of life.
func (t *sessions) load(list []*session, lastSign int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range list {
		if s.gone == 0 {
			s.gone = max(lastSign, 1)
		}
	}
	slices.SortFunc(list, func(a, b *session) int { return int(a.gone - b.gone) })
	for _, s := range list {
		t.byPID.Put(s)
		t.lost.push(lostSession{pid: s.pid, token: s.token, at: s.gone})
	}
}

// Create implements adapter.Sessions.
func (a *Adapter) Create(ctx context.Context, s adapter.Session) (adapter.Owner, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.Owner{}, err
	}
	if err := a.sizeOfSession(s.Data); err != nil {
		return adapter.Owner{}, err
	}
	return a.sessions.create(s, a.stream.now())
}

func (a *Adapter) sizeOfSession(data []byte) error {
	if len(data) > a.o.MaxSessionData {
		return fmt.Errorf("session data has %d bytes, %d are allowed: %w", len(data), a.o.MaxSessionData, adapter.ErrFull)
	}
	return nil
}

// Lend implements adapter.Sessions.
func (a *Adapter) Lend(ctx context.Context, s adapter.Session, at adapter.Position) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if err := a.sizeOfSession(s.Data); err != nil {
		return err
	}
	o, err := a.sessions.create(s, at[0])
	if err != nil {
		return err
	}
	a.sessions.lose(o, a.nowMilli())
	return nil
}

// Claim implements adapter.Sessions.
func (a *Adapter) Claim(ctx context.Context, namespace, pid string) (adapter.Session, adapter.Owner, error) {
	if err := a.usable(ctx); err != nil {
		return adapter.Session{}, adapter.Owner{}, err
	}
	// The token is raised and the fence pushed in one step of the stream, so
	// that of two claims the later one also fences the earlier one's socket.
	var s adapter.Session
	var o adapter.Owner
	fence := fenceOf(namespace)
	_, err := a.stream.cut(fence, func(uint64) (err error) {
		s, o, err = a.sessions.claim(namespace, pid, a.nowMilli())
		fence.SocketID, fence.Token = s.SID, o.Token
		return err
	})
	return s, o, err
}

// Save implements adapter.Sessions.
func (a *Adapter) Save(ctx context.Context, o adapter.Owner, data []byte) error {
	if err := a.usable(ctx); err != nil {
		return err
	}
	if err := a.sizeOfSession(data); err != nil {
		return err
	}
	return a.sessions.save(o, data)
}

// Gone implements adapter.Sessions.
func (a *Adapter) Gone(o adapter.Owner) { a.sessions.lose(o, a.nowMilli()) }

// End implements adapter.Sessions.
func (a *Adapter) End(o adapter.Owner) { a.sessions.end(o) }
