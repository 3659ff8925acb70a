package socketio

import (
	"time"

	"github.com/antchat/antchat/adapter"
)

// receiver is a Namespace as the adapter's sequencer sees it.
type receiver Namespace

// Deliver queues an event to local sockets.
func (r *receiver) Deliver(d *adapter.Delivery, to []adapter.Socket) {
	ns := (*Namespace)(r)
	v := variants{ns: ns, d: d}
	if d.Ask != nil {
		v.ackID = ns.ackIDs.Add(1)
		d.Ask.Expect(v.expect(to))
	}
	ns.fanOut(&v, to)
	// Only now: a direct emit on another goroutine takes this position as one
	// that everybody's queue has.
	ns.server.advance(d.Position)
}

// Gap tells members that a part of a room's log is lost.
func (r *receiver) Gap(g adapter.Gap, to []adapter.Socket) {
	ns := (*Namespace)(r)
	if ns.gap == nil || len(to) == 0 {
		return
	}
	ns.server.protect("gap", func() {
		if e, ok := ns.gap(g); ok {
			ns.tell(e, "", to)
		}
	})
}

// Presence tells members who came or left.
func (r *receiver) Presence(c adapter.PresenceChange, to []adapter.Socket) {
	ns := (*Namespace)(r)
	if ns.presence == nil || len(to) == 0 {
		return
	}
	ns.server.protect("presence", func() {
		if e, exceptUser, ok := ns.presence(c); ok {
			ns.tell(e, exceptUser, to)
		}
	})
}

// tell delivers an event of this node's own making, which has no place in the
// stream: its offset is that of the last delivery.
func (ns *Namespace) tell(e adapter.Event, exceptUser string, to []adapter.Socket) {
	d := &adapter.Delivery{Namespace: ns.name, Event: e, Position: ns.server.position()}
	v := variants{ns: ns, d: d, plain: true, exceptUser: exceptUser}
	ns.fanOut(&v, to)
}

func (ns *Namespace) fanOut(v *variants, to []adapter.Socket) {
	h := ns.server.options.Hooks.Delivered
	var began time.Time
	if h != nil {
		began = time.Now()
	}
	n := 0
	for _, t := range to {
		if (*Socket)(t.(*member)).deliver(v) {
			n++
		}
	}
	if h != nil {
		h(v.d, n, v.encoded, time.Since(began))
	}
}

// deliver queues the event to one socket: nothing is allocated here once its
// form has been encoded. It says whether the event was queued or kept.
func (s *Socket) deliver(v *variants) bool {
	r := v.rendered(s.view)
	if !v.isFor(s, r) {
		return false
	}
	s.mu.Lock()
	if s.state == socketEnded || s.broken {
		s.mu.Unlock()
		return false
	}
	c := s.client
	if s.holds > 0 {
		if v.d.Volatile {
			s.mu.Unlock()
			return false
		}
		kept := s.keepLocked(heldEvent{d: v.d, ackID: v.ackID, plain: v.plain})
		s.mu.Unlock()
		if !kept {
			c.conn.Abort(string(ReasonSlowClient))
		}
		return kept
	}
	if v.d.Volatile && !c.conn.Idle() {
		s.mu.Unlock()
		if h := c.server.options.Hooks.Dropped; h != nil {
			h(s, r.event.Name)
		}
		return false
	}
	var err error
	if s.offsets && v.ackID == 0 && !covers(v.d.Position, s.last) {
		// The socket is ahead of this delivery in some lane, as after a
		// recovery: an offset must not go back.
		err = s.queueLocked(r.event, 0, v.d.Position)
	} else {
		frame := v.frame(s, r)
		if frame == nil {
			s.mu.Unlock()
			return false
		}
		s.last = v.d.Position.Max(s.last)
		err = c.conn.Queue(frame)
	}
	if err != nil {
		s.broken = true // it misses something now
	}
	s.mu.Unlock()
	if err != nil {
		return false
	}
	s.ns.sent(s, r.event)
	return true
}

// covers says that p is at least q in every lane.
func covers(p, q adapter.Position) bool { return p.Max(q) == p }

// variants are the forms of one delivery, made when the first socket needs
// one: parser × Engine.IO revision (for binary) × offset × view.
type variants struct {
	ns         *Namespace
	d          *adapter.Delivery
	ackID      uint64
	plain      bool   // the event is in its final form, for every view
	exceptUser string // whose sockets are left out
	encoded    int

	views  [maxViews]rendering
	frames [maxViews][2][2][2]any
}

// rendering is what one view is told.
type rendering struct {
	done     bool
	ok       bool
	toSender bool
	event    adapter.Event
}

func (v *variants) rendered(view View) *rendering {
	r := &v.views[view]
	if !r.done {
		r.done = true
		if v.plain {
			r.event, r.toSender, r.ok = v.d.Event, true, true
		} else {
			r.event, r.toSender, r.ok = v.ns.rendered(view, v.d)
		}
	}
	return r
}

// isFor says whether a socket is told at all.
func (v *variants) isFor(s *Socket, r *rendering) bool {
	switch {
	case !r.ok:
		return false
	case !r.toSender && v.d.Sender != "" && v.d.Sender == s.id:
		return false
	case v.exceptUser != "" && v.exceptUser == s.user:
		return false
	}
	return true
}

// unencodable stands for a form that an event does not have.
type unencodable struct{}

// frame is the socket's form of the event, nil when it has none.
func (v *variants) frame(s *Socket, r *rendering) any {
	c := s.client
	var parser, revision, offset int
	if c.msgpack {
		parser = 1
	}
	if (c.msgpack || len(r.event.Attachments) > 0) && c.revision3 {
		revision = 1
	}
	var at *adapter.Position
	if s.offsets && v.ackID == 0 {
		offset, at = 1, &v.d.Position
	}
	slot := &v.frames[s.view][parser][revision][offset]
	if *slot == nil {
		frame, err := c.eventFrame(v.ns, r.event, v.ackID, at)
		if err != nil {
			v.ns.unencoded(r.event, err)
			frame = unencodable{}
		}
		*slot = frame
		v.encoded++
	}
	if *slot == (unencodable{}) {
		return nil
	}
	return *slot
}

// unencoded notes that an event cannot be written for some of its recipients, who
// therefore do not get it: it was no valid JSON.
func (ns *Namespace) unencoded(e adapter.Event, err error) {
	ns.server.options.Logger.Error("socketio: event cannot be encoded", "namespace", ns.name, "event", e.Name, "error", err)
}

// expect registers the broadcast's acknowledgement with every socket that will
// be asked, and says how many those are.
func (v *variants) expect(to []adapter.Socket) int {
	srv := v.ns.server
	asked := make([]*Socket, 0, len(to))
	a := &ackAsk{v.d.Ask, time.Now()}
	for _, t := range to {
		s := (*Socket)(t.(*member))
		if !v.isFor(s, v.rendered(s.view)) {
			continue
		}
		s.mu.Lock()
		// One with too many unanswered events counts all the same: that its
		// answer is missing must be seen.
		if s.state != socketEnded && !s.broken {
			asked = append(asked, s)
			_ = s.addAckLocked(v.ackID, a)
		}
		s.mu.Unlock()
	}
	if len(asked) > 0 {
		id := v.ackID
		srv.deadlines.add(v.d.Ask.Timeout(), func() {
			for _, s := range asked {
				if s.forgetAck(id) && srv.options.Hooks.AckTimedOut != nil {
					srv.options.Hooks.AckTimedOut(s)
				}
			}
		})
	}
	return len(asked)
}
