package schedule

import (
	"container/heap"
	"time"
)

// Queue holds entries by their time. The zero Queue is empty and ready. It is not
// safe for concurrent use, and neither are its entries: they belong to whatever
// guards the queue. Adding, moving and removing take time that grows with the
// logarithm of what is in it.
type Queue[T any] struct {
	order order[T]
}

// Entry is one thing in a queue, or one that has been taken out of it.
type Entry[T any] struct {
	Value T

	at    time.Time
	place int // in the queue, counted from 1; 0 when out of it
}

// At says when the entry is due.
func (e *Entry[T]) At() time.Time { return e.at }

// Add puts a value into the queue. Of those due at the same time, any may be
// first.
func (q *Queue[T]) Add(at time.Time, value T) *Entry[T] {
	e := &Entry[T]{Value: value, at: at}
	heap.Push(&q.order, e)
	return e
}

// Move changes when an entry of this queue is due. One that is out stays out.
func (q *Queue[T]) Move(e *Entry[T], at time.Time) {
	e.at = at
	if e.place > 0 {
		heap.Fix(&q.order, e.place-1)
	}
}

// Remove takes an entry of this queue out. Removing it again does nothing.
func (q *Queue[T]) Remove(e *Entry[T]) {
	if e.place > 0 {
		heap.Remove(&q.order, e.place-1)
	}
}

// First is the entry that is due before all others, nil when the queue is empty.
func (q *Queue[T]) First() *Entry[T] {
	if len(q.order) == 0 {
		return nil
	}
	return q.order[0]
}

// Clear takes all entries out.
func (q *Queue[T]) Clear() {
	for _, e := range q.order {
		e.place = 0
	}
	q.order = nil
}

// order is container/heap's view of the queue.
type order[T any] []*Entry[T]

func (o order[T]) Len() int           { return len(o) }
func (o order[T]) Less(i, j int) bool { return o[i].at.Before(o[j].at) }

func (o order[T]) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].place, o[j].place = i+1, j+1
}

func (o *order[T]) Push(x any) {
	e := x.(*Entry[T])
	*o = append(*o, e)
	e.place = len(*o)
}

func (o *order[T]) Pop() any {
	last := len(*o) - 1
	e := (*o)[last]
	(*o)[last] = nil
	*o = (*o)[:last]
	e.place = 0
	return e
}
