package chatapi

import (
	"sync"
	"time"

	"github.com/antchat/antchat/server/schedule"
	"github.com/antchat/antchat/server/socketio"
)

// leases are the sockets with a token, by when something is to be done about it:
// one queue for all, so that a connection needs no timer. Safe for concurrent use.
type leases struct {
	warning, leeway time.Duration
	changed         chan struct{} // the first one has changed; one place; never closed

	mu     sync.Mutex
	byTime schedule.Queue[lease]                       // guarded by mu
	of     map[*socketio.Socket]*schedule.Entry[lease] // guarded by mu
}

// lease is guarded by leases.mu.
type lease struct {
	socket  *socketio.Socket
	expires time.Time
	warned  bool
}

// dueLease is what is to be done: a warning or, when ended, the end.
type dueLease struct {
	socket  *socketio.Socket
	expires time.Time
	ended   bool
}

func (l *leases) init(warning, leeway time.Duration) {
	l.warning, l.leeway = warning, leeway
	l.changed = make(chan struct{}, 1)
	l.of = make(map[*socketio.Socket]*schedule.Entry[lease])
}

// add notes a member's token, in the place of an older one.
func (l *leases) add(m *member) {
	if m.token == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.of[m.socket]
	if one == nil {
		one = l.byTime.Add(time.Time{}, lease{socket: m.socket})
		l.of[m.socket] = one
	}
	one.Value.expires, one.Value.warned = m.token.expires, false
	l.byTime.Move(one, m.token.expires.Add(-l.warning))
	if l.byTime.First() == one {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	}
}

// drop forgets a member.
func (l *leases) drop(m *member) {
	if m.token == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.of[m.socket]; one != nil {
		l.removeLocked(one)
	}
}

func (l *leases) removeLocked(one *schedule.Entry[lease]) {
	l.byTime.Remove(one)
	delete(l.of, one.Value.socket)
}

// due takes out what is to be done by now, and says when to ask again: zero for
// not before the next add.
func (l *leases) due(now time.Time) (due []dueLease, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for one := l.byTime.First(); one != nil; one = l.byTime.First() {
		if one.At().After(now) {
			return due, one.At()
		}
		is := &one.Value
		due = append(due, dueLease{is.socket, is.expires, is.warned})
		if is.warned {
			l.removeLocked(one)
			continue
		}
		is.warned = true
		l.byTime.Move(one, is.expires.Add(l.leeway))
	}
	return due, time.Time{}
}
