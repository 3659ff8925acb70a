package engineio

import "sync"

// queue is what waits for one client, in order. Empty, it holds no memory; its
// chunks come from a pool, so that queueing allocates nothing. Guarded by the
// session's mu.
type queue struct {
	head, tail *chunk
	size       int // bytes of all messages, those of off included
	off        int // bytes of the first message that are written already
	count      int32
	first      uint8 // index of the first message in head
	last       uint8 // index after the last message in tail
}

type chunk struct {
	next  *chunk
	items [15]*Prepared
}

var chunks = sync.Pool{New: func() any { return new(chunk) }}

const (
	// maxWrite is how much one write carries: enough to make its cost vanish,
	// small enough to bound a flusher's scratch.
	maxWrite = 64 << 10
	// maxJoin is the size from which a message is written by itself: copying it
	// would cost more than the write that it saves.
	maxJoin = 16 << 10
)

func (q *queue) push(p *Prepared) {
	switch {
	case q.tail == nil:
		c := chunks.Get().(*chunk)
		q.head, q.tail, q.first, q.last = c, c, 0, 0
	case int(q.last) == len(q.tail.items):
		c := chunks.Get().(*chunk)
		q.tail.next, q.tail, q.last = c, c, 0
	}
	q.tail.items[q.last] = p
	q.last++
	q.count++
	q.size += len(p.wire)
}

// waiting is how many bytes are left to write.
func (q *queue) waiting() int { return q.size - q.off }

// peek returns the first message, nil if there is none.
func (q *queue) peek() *Prepared {
	if q.count == 0 {
		return nil
	}
	return q.head.items[q.first]
}

// pop removes the first message.
func (q *queue) pop() {
	q.size -= len(q.head.items[q.first].wire)
	q.head.items[q.first] = nil
	q.first++
	q.off = 0
	q.count--
	switch {
	case q.count == 0:
		chunks.Put(q.head)
		q.head, q.tail, q.first, q.last = nil, nil, 0, 0
	case int(q.first) == len(q.head.items):
		c := q.head
		q.head, q.first = c.next, 0
		c.next = nil
		chunks.Put(c)
	}
}

func (q *queue) clear() {
	for q.count > 0 {
		q.pop()
	}
}

// batch returns the bytes to write next: of one message, in place, or of several
// small ones, copied together into scratch. Both stay valid after the lock is
// released.
func (q *queue) batch(scratch []byte, b64 bool) []byte {
	head := q.peek()
	if head == nil {
		return nil
	}
	b := head.bytes(b64)[q.off:]
	if q.count == 1 || len(b) >= maxJoin || cap(scratch) == 0 {
		return b[:min(len(b), maxWrite)]
	}
	out := append(scratch[:0], b...)
	c, i := q.head, int(q.first)+1
	for range q.count - 1 {
		if i == len(c.items) {
			c, i = c.next, 0
		}
		b := c.items[i].bytes(b64)
		if len(b) >= maxJoin || len(out)+len(b) > min(cap(scratch), maxWrite) {
			break
		}
		out = append(out, b...)
		i++
	}
	return out
}

// written removes n bytes from the front and returns how many messages that
// completed.
func (q *queue) written(n int, b64 bool) (messages int) {
	for n > 0 {
		left := len(q.peek().bytes(b64)) - q.off
		if n < left {
			q.off += n
			return messages
		}
		n -= left
		q.pop()
		messages++
	}
	return messages
}
