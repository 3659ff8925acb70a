package chatapi

import (
	"container/heap"
	"sync"
	"time"

	"github.com/antchat/antchat/server/socketio"
)

// leases are the sockets with a token, by when something is to be done about it:
// one heap for all, so that a connection needs no timer. Safe for concurrent use.
type leases struct {
	warning, leeway time.Duration
	changed         chan struct{} // the first one has changed; one place; never closed

	mu     sync.Mutex
	byTime leaseHeap                   // guarded by mu
	of     map[*socketio.Socket]*lease // guarded by mu
}

// lease is guarded by leases.mu.
type lease struct {
	socket  *socketio.Socket
	expires time.Time
	next    time.Time
	warned  bool
	place   int
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
	l.of = make(map[*socketio.Socket]*lease)
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
		one = &lease{socket: m.socket}
		l.of[m.socket] = one
		heap.Push(&l.byTime, one)
	}
	one.expires, one.warned = m.token.expires, false
	one.next = one.expires.Add(-l.warning)
	heap.Fix(&l.byTime, one.place)
	if one.place == 0 {
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

func (l *leases) removeLocked(one *lease) {
	heap.Remove(&l.byTime, one.place)
	delete(l.of, one.socket)
}

// due takes out what is to be done by now, and says when to ask again: zero for
// not before the next add.
func (l *leases) due(now time.Time) (due []dueLease, next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.byTime) > 0 {
		one := l.byTime[0]
		if one.next.After(now) {
			return due, one.next
		}
		due = append(due, dueLease{one.socket, one.expires, one.warned})
		if one.warned {
			l.removeLocked(one)
			continue
		}
		one.warned, one.next = true, one.expires.Add(l.leeway)
		heap.Fix(&l.byTime, 0)
	}
	return due, time.Time{}
}

// leaseHeap orders leases by time.
type leaseHeap []*lease

func (h leaseHeap) Len() int           { return len(h) }
func (h leaseHeap) Less(i, j int) bool { return h[i].next.Before(h[j].next) }
func (h leaseHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}
func (h *leaseHeap) Push(x any) {
	one := x.(*lease)
	one.place = len(*h)
	*h = append(*h, one)
}
func (h *leaseHeap) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return one
}
