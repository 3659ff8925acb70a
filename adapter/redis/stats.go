package redis

import "time"

// Stats are an adapter's present figures.
type Stats struct {
	Queued   int // items that wait for the sequencer
	Commands int // that wait for a batch to Redis
	Rooms    int // that have sockets here
	Presence int // people in rooms by sockets of this node: in two rooms twice

	Links, LiveLinks int // lanes, and those whose link is whole
	Subscriptions    int // rooms whose channel this node listens to
	Warnings         int // things to be mended, as Status lists them
}

// Stats gathers them. It takes locks for a moment each.
func (a *Adapter) Stats() Stats {
	s := Stats{Queued: a.seq.Len(), Rooms: a.seq.Rooms(), Links: len(a.lanes), Warnings: len(a.warnings())}
	for _, l := range a.lanes {
		l.pipe.mu.Lock()
		s.Commands += len(l.pipe.queue)
		l.pipe.mu.Unlock()
		l.mu.Lock()
		s.Subscriptions += len(l.rooms)
		if l.state == linkLive {
			s.LiveLinks++
		}
		l.mu.Unlock()
	}
	a.presence.mu.Lock()
	s.Presence = len(a.presence.here)
	a.presence.mu.Unlock()
	return s
}

// Behind is how long the first of what waits to be sent to Redis has waited: 0 when
// Redis keeps up. It takes locks for a moment.
func (a *Adapter) Behind() (d time.Duration) {
	for _, l := range a.lanes {
		l.pipe.mu.Lock()
		if q := l.pipe.queue; len(q) > 0 {
			d = max(d, time.Since(q[0].at))
		}
		l.pipe.mu.Unlock()
		l.calls.mu.Lock()
		if q := l.calls.waiting; len(q) > 0 {
			d = max(d, time.Since(q[0].at))
		}
		l.calls.mu.Unlock()
	}
	return d
}
