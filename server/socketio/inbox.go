package socketio

import (
	"context"
	"encoding/json"
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
			again := &connectRequest{name: req.name, auth: json.RawMessage(s.auth()), fresh: s.ns, claimed: req.claimed, secrets: req.secrets}
			s.client.conn.Go(func() { instead.run(again) })
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
	s.client.conn.Go(func() { s.run(nil) })
}

// next takes an event out of the inbox. Without one, run is to end: by
// tearing down when the socket has ended.
func (s *Socket) next() (p *packet.Packet, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w := s.workLocked(); len(w.inbox) > 0 {
		p = w.inbox[0]
		w.inbox[0] = nil
		w.inbox = w.inbox[1:]
		w.waiting -= eventSize(p)
		s.signalLocked()
		return p, false
	}
	if w := s.work; w != nil {
		w.inbox, w.waiting = nil, 0 // an idle socket keeps no memory for it
		s.restLocked()
	}
	if s.state == socketEnded {
		return nil, true
	}
	s.running = false
	s.signalLocked() // awaitIdle
	return nil, false
}

// working says that events are handled, or wait for that.
func (s *Socket) working() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.running && s.state != socketEnded
}

// awaitIdle waits until the socket has nothing to do, or has ended.
func (s *Socket) awaitIdle(ctx context.Context) {
	for {
		s.mu.Lock()
		if !s.running || s.state == socketEnded {
			s.mu.Unlock()
			return
		}
		space := s.spaceLocked()
		s.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
			return
		}
	}
}

// spaceLocked is closed by signalLocked.
func (s *Socket) spaceLocked() chan struct{} {
	w := s.changeWorkLocked()
	if w.space == nil {
		w.space = make(chan struct{})
	}
	return w.space
}

// signalLocked wakes who waits for space in the inbox, or for its end.
func (s *Socket) signalLocked() {
	if s.workLocked().space != nil {
		w := s.changeWorkLocked()
		close(w.space)
		w.space = nil
		s.restLocked()
	}
}

// push puts an event into the inbox, on the connection's reading goroutine. A
// full inbox blocks it, and so the client, as long as the handlers get on.
func (s *Socket) push(p *packet.Packet) pushed {
	o := &s.client.server.options
	var patience *time.Timer
	size := eventSize(p)
	s.mu.Lock()
	for s.state != socketEnded && (len(s.workLocked().inbox) >= o.Inbox ||
		len(s.workLocked().inbox) > 0 && int(s.work.waiting)+int(size) > o.InboxBytes) {
		space := s.spaceLocked()
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
	w := s.changeWorkLocked()
	w.inbox = append(w.inbox, p)
	w.waiting += size
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
	if o.Hooks.Incoming != nil {
		o.Hooks.Incoming(s, e)
	}
	if o.Hooks.Handled != nil {
		began = time.Now()
	}
	ctx := s.beginCall()
	defer ctx.end()
	data, attachments, err := s.callHandler(ctx, e)
	s.answer(p, name, data, attachments, err)
	s.afterReply(ctx, name)
	if o.Hooks.Handled != nil {
		o.Hooks.Handled(s, name, time.Since(began), err)
	}
}

// callHandler calls the handler and encodes its reply, if that is wanted. It turns
// a panic into an error.
func (s *Socket) callHandler(ctx context.Context, e *Incoming) (data []byte, attachments [][]byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.client.server.panicked(e.Name, v)
			err = fmt.Errorf("%w: %v", ErrPanic, v)
		}
	}()
	reply, err := s.ns.chain(ctx, s, e)
	if err != nil || !e.WantsAck {
		return nil, nil, err
	}
	if data, attachments, err = reply.encode(); err != nil {
		s.client.server.options.Logger.Error("socketio: reply cannot be encoded", "event", e.Name, "error", err)
	}
	return data, attachments, err
}

// problem encodes what the client is told of an error, as an array. What the
// application makes of it may fail in its turn.
func (s *Socket) problem(event string, err error) (data []byte, attachments [][]byte) {
	o := &s.client.server.options
	s.client.server.protect("error payload", func() {
		var bad error
		if data, attachments, bad = encodeArray([]any{o.ErrorPayload(event, err)}); bad != nil {
			o.Logger.Error("socketio: error payload cannot be encoded", "event", event, "error", bad)
		}
	})
	if data == nil {
		data, attachments, _ = encodeArray([]any{errorPayload(event, err)}) // strings always can be
	}
	return data, attachments
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
func (s *Socket) answer(p *packet.Packet, name string, data []byte, attachments [][]byte, err error) {
	if err != nil {
		data, attachments = s.problem(name, err)
	}
	if !p.HasID {
		if err != nil {
			data = append([]byte(`["error message",`), data[1:]...)
			_ = s.EmitEvent(adapter.Event{Name: "error message", Data: data, Attachments: attachments}) // the socket may have ended
		}
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
