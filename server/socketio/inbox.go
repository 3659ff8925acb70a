package socketio

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// run is the goroutine that works for a socket: it connects it, handles its
// events in order, and tears it down. It ends as soon as there is nothing to
// do; whoever brings the next thing starts it again (wakeLocked). The first
// time, it is given what to connect to.
func (s *Socket) run(req *connectRequest) {
	defer s.client.server.tasks.end()
	if req != nil {
		if instead := s.connect(req); instead != nil {
			s.client.server.tasks.begin()
			go instead.run(&connectRequest{name: req.name, auth: s.auth, fresh: s.ns})
			return
		}
	}
	for {
		p, ended := s.next()
		switch {
		case p != nil:
			s.handle(p)
		case ended:
			s.finish()
			return
		default:
			return
		}
	}
}

// wakeLocked starts run if it does not run.
func (s *Socket) wakeLocked() {
	if s.running {
		return
	}
	s.running = true
	s.client.server.tasks.begin()
	go s.run(nil)
}

// next takes an event out of the inbox. Without one, run is to end: by
// tearing down when the socket has ended.
func (s *Socket) next() (p *packet.Packet, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inbox) > 0 {
		p = s.inbox[0]
		s.inbox[0] = nil
		s.inbox = s.inbox[1:]
		s.waiting -= eventSize(p)
		s.signalLocked()
		return p, false
	}
	s.inbox, s.waiting = nil, 0 // an idle socket keeps no memory for it
	if s.state == socketEnded {
		return nil, true
	}
	s.running = false
	return nil, false
}

// signalLocked wakes a reader that waits for space in the inbox.
func (s *Socket) signalLocked() {
	if s.space != nil {
		close(s.space)
		s.space = nil
	}
}

// push puts an event into the inbox, on the connection's reading goroutine. A
// full inbox blocks it, and so the client, as long as the handlers get on.
func (s *Socket) push(p *packet.Packet) pushed {
	o := &s.client.server.options
	var patience *time.Timer
	size := eventSize(p)
	s.mu.Lock()
	for s.state != socketEnded && (len(s.inbox) >= o.Inbox ||
		len(s.inbox) > 0 && int(s.waiting)+int(size) > o.InboxBytes) {
		if s.space == nil {
			s.space = make(chan struct{})
		}
		space := s.space
		s.mu.Unlock()
		if patience == nil {
			patience = time.NewTimer(o.InboxWait)
			defer patience.Stop()
		}
		select {
		case <-space:
		case <-patience.C:
			return pushStalled
		}
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	switch {
	case s.replaced:
		return pushElsewhere
	case s.state == socketEnded:
		return pushTaken
	}
	s.inbox = append(s.inbox, p)
	s.waiting += size
	s.wakeLocked()
	return pushTaken
}

// eventSize is what an event counts in the inbox; the codec keeps a packet far
// below 2 GiB.
func eventSize(p *packet.Packet) int32 {
	n := len(p.Data)
	for _, a := range p.Attachments {
		n += len(a)
	}
	return int32(min(n, 1<<30))
}

// pushed says what became of an event.
type pushed uint8

const (
	pushTaken     pushed = iota // or dropped with its socket
	pushStalled                 // the handlers stood still for Options.InboxWait
	pushElsewhere               // another socket has taken this one's place
)

// handle calls the handler of an event and answers it.
func (s *Socket) handle(p *packet.Packet) {
	o := &s.client.server.options
	name, err := p.EventName() // the decoder has checked it
	if err != nil {
		return
	}
	args, err := parseArgs(p.Data, p.Attachments, 1)
	if err != nil {
		return
	}
	e := &Incoming{
		Name:     name,
		Args:     args,
		WantsAck: p.HasID,
		Event:    adapter.Event{Name: name, Data: p.Data, Attachments: p.Attachments},
	}
	var began time.Time
	if o.Hooks.Received != nil {
		o.Hooks.Received(s, name, e.Event.Size())
	}
	if o.Hooks.Handled != nil {
		began = time.Now()
	}
	ctx := &eventContext{socketContext: (*socketContext)(s)}
	reply, err := s.callHandler(ctx, e)
	s.answer(p, name, reply, err)
	s.afterReply(ctx, name)
	if o.Hooks.Handled != nil {
		o.Hooks.Handled(s, name, time.Since(began), err)
	}
}

// callHandler turns a panic into an error.
func (s *Socket) callHandler(ctx context.Context, e *Incoming) (reply Reply, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.client.server.panicked(e.Name, v)
			reply, err = Reply{}, fmt.Errorf("%w: %v", ErrPanic, v)
		}
	}()
	return s.ns.chain(ctx, s, e)
}

// afterReply runs what AfterReply left; releases among it must happen whatever
// the others do.
func (s *Socket) afterReply(ctx *eventContext, where string) {
	for _, f := range ctx.take() {
		s.client.server.protect(where, f)
	}
}

// answer acknowledges an event, once. An error is reported even when nobody
// asked.
func (s *Socket) answer(p *packet.Packet, name string, reply Reply, err error) {
	o := &s.client.server.options
	var data []byte
	var attachments [][]byte
	if err == nil && p.HasID {
		if data, attachments, err = reply.encode(); err != nil {
			o.Logger.Error("socketio: reply cannot be encoded", "event", name, "error", err)
		}
	}
	if err != nil {
		payload := o.ErrorPayload(name, err)
		if !p.HasID {
			_ = s.Emit("error message", payload) // the socket may have ended
			return
		}
		if data, attachments, err = encodeArray([]any{payload}); err != nil {
			o.Logger.Error("socketio: error payload cannot be encoded", "event", name, "error", err)
			data, attachments = []byte("[]"), nil
		}
	}
	if !p.HasID {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.liveLocked() != nil {
		return
	}
	_ = s.client.sendPacket(&packet.Packet{
		Type: packet.Ack, Namespace: s.ns.name, ID: p.ID, HasID: true, Data: data, Attachments: attachments,
	})
}

// protect calls f and keeps its panic from the rest of the process.
func (s *Server) protect(where string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			s.panicked(where, v)
		}
	}()
	f()
}

// panicked counts and logs a recovered panic.
func (s *Server) panicked(where string, v any) {
	if h := s.options.Hooks.Panicked; h != nil {
		h(where, v)
	}
	s.options.Logger.Error("socketio: panic", "in", where, "value", v, "stack", string(debug.Stack()))
}
