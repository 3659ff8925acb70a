package main

import (
	"container/heap"
	"time"
)

// queue is members that wait for their reconnect, the next one first.
type queue []waiting

type waiting struct {
	m  *member
	at time.Time
}

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(v any)        { *q = append(*q, v.(waiting)) }
func (q *queue) Pop() any {
	old := *q
	v := old[len(old)-1]
	*q = old[:len(old)-1]
	return v
}

// comeBack has a member connect again as socket.io-client does: after a time
// that doubles from -backoff up to 5 s, half to one and a half of it; not before
// the server asked for.
func (r *runner) comeBack(m *member, atLeast time.Duration) {
	if m.queued {
		return
	}
	wait := r.o.Backoff << min(m.tries, 6)
	wait = min(wait, 5*time.Second)
	wait = wait/2 + time.Duration(r.random.Int64N(int64(wait)+1))
	m.tries++
	m.queued = true
	heap.Push(&r.again, waiting{m, time.Now().Add(max(wait, atLeast))})
}

// reopen opens those whose time has come, and says when the next one's comes.
func (r *runner) reopen(now time.Time) time.Time {
	for len(r.again) > 0 && !r.again[0].at.After(now) {
		m := heap.Pop(&r.again).(waiting).m
		m.queued = false
		r.counts.Reconnects++
		if err := r.open(m); err != nil {
			r.opening--
			r.counts.Closed[short(err)]++
			r.comeBack(m, time.Second)
		}
	}
	if len(r.again) > 0 {
		return r.again[0].at
	}
	return now.Add(time.Second)
}
