package roomindex

import (
	"context"
	"fmt"
	"sync"

	"github.com/antchat/antchat/adapter"
)

// Options bound a Sequencer.
type Options struct {
	// Queue is how many items may wait before publishers have to: 4,096 when
	// 0. The bound is soft: control items (joins, removals, fences) and
	// publishers that waited at the same time may pass it by one item each,
	// and as many again may be in the sequencer's hands.
	Queue int
	// Rooms, when set, is told on the sequencer's goroutine when the first
	// socket has come to a room and when the last one has left it; a socket's
	// id is a room of its own. It must not block.
	Rooms func(namespace, room string, open bool)
}

// Item is something that passes the sequencer: see the item types of this
// package and [Func].
type Item interface {
	// pass is called once, on the sequencer's goroutine.
	pass(q *Sequencer)
}

// Sequencer is the one goroutine of a node that calls Receivers. Its methods
// may be called from any goroutine, except those marked "Owner only", which
// belong to the sequencer's own goroutine: to the body of a [Func].
type Sequencer struct {
	limit int
	rooms func(namespace, room string, open bool) // or nil
	wake  chan struct{}                           // capacity 1
	done  chan struct{}                           // closed when the goroutine has ended

	// Guarded by mu.
	mu     sync.Mutex
	queue  []Item
	space  chan struct{} // closed at the next drain; nil while nobody waits
	closed bool

	// Guarded by names. The sequencer looks a namespace up per item.
	names      sync.RWMutex
	namespaces map[string]*Namespace

	// Owned by the goroutine.
	position adapter.Position
}

// Namespace is an open namespace.
type Namespace struct {
	Index    *Index
	Receiver adapter.Receiver
}

// NewSequencer starts a sequencer at a position; Close ends it.
func NewSequencer(start adapter.Position, o Options) *Sequencer {
	if o.Queue <= 0 {
		o.Queue = 4096
	}
	q := &Sequencer{
		limit:      o.Queue,
		rooms:      o.Rooms,
		wake:       make(chan struct{}, 1),
		done:       make(chan struct{}),
		namespaces: make(map[string]*Namespace),
		position:   start,
	}
	go q.run()
	return q
}

// Open makes r the receiver of a namespace. It panics if that is open already.
func (q *Sequencer) Open(name string, r adapter.Receiver) {
	q.names.Lock()
	defer q.names.Unlock()
	if q.namespaces[name] != nil {
		panic(fmt.Sprintf("roomindex: namespace %q is already open", name))
	}
	n := &Namespace{Index: NewIndex(), Receiver: r}
	if q.rooms != nil {
		n.Index.watch = func(room string, open bool) { q.rooms(name, room, open) }
	}
	q.namespaces[name] = n
}

// CloseNamespace forgets a namespace. Items for it that still wait pass
// without effect.
func (q *Sequencer) CloseNamespace(name string) {
	q.names.Lock()
	defer q.names.Unlock()
	delete(q.namespaces, name)
}

// Namespace looks an open namespace up; nil when it is not open.
func (q *Sequencer) Namespace(name string) *Namespace {
	q.names.RLock()
	defer q.names.RUnlock()
	return q.namespaces[name]
}

// Admit waits until the queue has room for a publisher's item. It reserves
// nothing: the caller pushes next, under whatever lock orders its stream.
func (q *Sequencer) Admit(ctx context.Context) error {
	for {
		q.mu.Lock()
		if q.closed {
			q.mu.Unlock()
			return adapter.ErrClosed
		}
		if len(q.queue) < q.limit {
			q.mu.Unlock()
			return nil
		}
		if q.space == nil {
			q.space = make(chan struct{})
		}
		space := q.space
		q.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return fmt.Errorf("wait for the sequencer: %w", ctx.Err())
		}
	}
}

// Push appends an item. It never blocks, so it may be called under the lock
// that orders the stream, and by the sequencer itself. It reports false, and
// drops the item, when the sequencer is closed.
func (q *Sequencer) Push(it Item) bool {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return false
	}
	q.queue = append(q.queue, it)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true
}

// Len is how many items wait.
func (q *Sequencer) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.queue)
}

// Rooms is the number of rooms, over all namespaces, that have sockets here.
func (q *Sequencer) Rooms() int {
	q.names.RLock()
	defer q.names.RUnlock()
	n := 0
	for _, ns := range q.namespaces {
		n += ns.Index.RoomCount()
	}
	return n
}

// Close refuses further items, lets those that wait pass, and returns when the
// goroutine has ended. Idempotent.
func (q *Sequencer) Close() {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		if q.space != nil {
			close(q.space)
			q.space = nil
		}
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	<-q.done
}

// Pass lets an item pass now, ahead of what waits. Owner only.
func (q *Sequencer) Pass(it Item) { it.pass(q) }

// Position is the position that the sequencer has passed. Owner only.
func (q *Sequencer) Position() adapter.Position { return q.position }

// Advance raises the position of a lane. Owner only.
func (q *Sequencer) Advance(lane int, pos uint64) {
	q.position[lane] = max(q.position[lane], pos)
}

func (q *Sequencer) run() {
	defer close(q.done)
	var batch []Item
	for {
		q.mu.Lock()
		batch, q.queue = q.queue, batch[:0]
		if q.space != nil {
			close(q.space)
			q.space = nil
		}
		closed := q.closed
		q.mu.Unlock()
		if len(batch) == 0 {
			if closed {
				return
			}
			<-q.wake
			continue
		}
		for i, it := range batch {
			batch[i] = nil
			it.pass(q)
		}
		if cap(batch) > 2*q.limit {
			batch = nil // one flood must not hold its memory for ever
		}
	}
}
