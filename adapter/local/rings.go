package local

import (
	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// maxRings bounds the rooms whose trimmed position is remembered.
const maxRings = 65536

// rings keep recoverable emits for the window: one ring per room for emits to
// a single room, and one per namespace (room "") for those to several or to
// all. Guarded by the stream's lock.
type rings struct {
	max, perRoom int
	maxBytes     int64
	windowMilli  int64

	rings map[roomKey]*ring
	order queue[*keptEvent] // all of them, oldest first; may hold gone ones
	count int
	bytes int64
	// forgotten is the highest trimmed position of rings that were dropped.
	forgotten uint64
}

type ring struct {
	key     roomKey
	events  queue[*keptEvent]
	trimmed uint64 // position of the newest event that is gone
}

type keptEvent struct {
	pos     uint64
	at      int64 // Unix milliseconds
	event   adapter.Event
	rooms   []string
	except  []string
	ring    *ring
	dropped bool
}

func (k *keptEvent) size() int64 { return int64(k.event.Size()) + 200 }

func ringKey(t *adapter.Target) roomKey {
	if len(t.Rooms) == 1 {
		return roomKey{t.Namespace, t.Rooms[0]}
	}
	return roomKey{t.Namespace, ""}
}

func (r *rings) add(pos uint64, nowMilli int64, ev *roomindex.Event) {
	r.put(ringKey(&ev.Target), &keptEvent{
		pos: pos, at: nowMilli, event: ev.Delivery.Event,
		rooms: ev.Target.Rooms, except: ev.Target.Except,
	})
	r.trim(nowMilli)
}

func (r *rings) put(key roomKey, k *keptEvent) {
	g := r.ring(key)
	k.ring = g
	g.events.push(k)
	r.order.push(k)
	r.count++
	r.bytes += k.size()
	if g.events.len() > r.perRoom {
		r.drop(g.events.front())
	}
}

func (r *rings) ring(key roomKey) *ring {
	g := r.rings[key]
	if g == nil {
		if len(r.rings) >= maxRings {
			r.forgetEmpty()
		}
		// It may have been here before, and forgotten.
		g = &ring{key: key, trimmed: r.forgotten}
		r.rings[key] = g
	}
	return g
}

// forgetEmpty drops the empty rings. What they knew goes into one number for
// all, which may refuse a recovery too many but never grants a wrong one.
func (r *rings) forgetEmpty() {
	for key, g := range r.rings {
		if g.events.len() == 0 {
			r.forgotten = max(r.forgotten, g.trimmed)
			delete(r.rings, key)
		}
	}
}

// drop removes the oldest event of a ring.
func (r *rings) drop(k *keptEvent) {
	g := k.ring
	g.events.pop()
	g.trimmed = k.pos
	k.dropped = true
	r.count--
	r.bytes -= k.size()
}

// trim brings the rings back within their bounds.
func (r *rings) trim(nowMilli int64) {
	for r.order.len() > 0 {
		k := r.order.front()
		if !k.dropped {
			if r.count <= r.max && r.bytes <= r.maxBytes && k.at >= nowMilli-r.windowMilli {
				return
			}
			// The oldest of all is the oldest of its ring.
			r.drop(k)
		}
		r.order.pop()
	}
}

// trimmed is the position up to which events of a ring may be gone.
func (r *rings) trimmedTo(key roomKey) uint64 {
	if g := r.rings[key]; g != nil {
		return g.trimmed
	}
	return r.forgotten
}

// queue is a first-in first-out slice.
type queue[T any] struct {
	items []T
	head  int
}

func (q *queue[T]) push(v T) { q.items = append(q.items, v) }
func (q *queue[T]) len() int { return len(q.items) - q.head }
func (q *queue[T]) front() T { return q.items[q.head] }
func (q *queue[T]) all() []T { return q.items[q.head:] }
func (q *queue[T]) pop() {
	var zero T
	q.items[q.head] = zero
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
		if cap(q.items) > 1024 {
			q.items = nil
		}
	} else if q.head > 1024 && q.head > len(q.items)/2 {
		q.items = append(make([]T, 0, len(q.items)-q.head), q.items[q.head:]...)
		q.head = 0
	}
}
