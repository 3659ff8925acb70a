package engineio

import "sync"

// queue is what waits for one client, in order. Empty, it holds no memory; its
// chunks come from a pool, so that queueing allocates nothing. Guarded by the
// session's mu.
type queue struct{ head *chunk }

type chunk struct {
	next  *chunk
	items [15]*Prepared
	ledger
}

// ledger is what a queue that is not empty has besides, in its first chunk.
type ledger struct {
	tail  *chunk
	size  int // bytes of all messages, those of off included
	off   int // bytes of the first message that are written already
	count int32
	first uint8 // index of the first message in the first chunk
	last  uint8 // index after the last message in the last one
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
	case q.head == nil:
		c := chunks.Get().(*chunk)
		c.ledger = ledger{tail: c}
		q.head = c
	case int(q.head.last) == len(q.head.items):
		c := chunks.Get().(*chunk)
		q.head.tail.next, q.head.tail, q.head.last = c, c, 0
	}
	l := &q.head.ledger
	l.tail.items[l.last] = p
	l.last++
	l.count++
	l.size += len(p.wire)
}

// count is how many messages are left to write.
func (q *queue) count() int {
	if q.head == nil {
		return 0
	}
	return int(q.head.count)
}

// waiting is how many bytes are left to write.
func (q *queue) waiting() int {
	if q.head == nil {
		return 0
	}
	return q.head.size - q.head.off
}

// peek returns the first message, nil if there is none.
func (q *queue) peek() *Prepared {
	if q.head == nil {
		return nil
	}
	return q.head.items[q.head.first]
}

// pop removes the first message.
func (q *queue) pop() {
	c := q.head
	c.size -= len(c.items[c.first].wire)
	c.items[c.first] = nil
	c.first++
	c.off = 0
	c.count--
	switch {
	case c.count == 0:
		q.head = nil
	case int(c.first) == len(c.items):
		c.first = 0
		q.head = c.next
		q.head.ledger = c.ledger
	default:
		return
	}
	c.next, c.ledger = nil, ledger{}
	chunks.Put(c)
}

func (q *queue) clear() {
	for q.head != nil {
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
	b := head.bytes(b64)[q.head.off:]
	if q.head.count == 1 || len(b) >= maxJoin || cap(scratch) == 0 {
		return b[:min(len(b), maxWrite)]
	}
	out := append(scratch[:0], b...)
	c, i := q.head, int(q.head.first)+1
	for range q.head.count - 1 {
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
		left := len(q.peek().bytes(b64)) - q.head.off
		if n < left {
			q.head.off += n
			return messages
		}
		n -= left
		q.pop()
		messages++
	}
	return messages
}
