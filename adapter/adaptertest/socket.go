package adaptertest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

// receiver is a namespace of the suite: it hands events to the suite's
// sockets and keeps what is told about rooms.
type receiver struct {
	mu       sync.Mutex
	presence []adapter.PresenceChange
	gaps     []adapter.Gap
	server   []adapter.Event
	// silent sockets do not answer a Request.
	silent map[string]bool
	// mute receivers do not even say how many they asked.
	mute bool
	busy bool
}

func (n *receiver) enter(s string) func() {
	n.mu.Lock()
	if n.busy {
		n.mu.Unlock()
		panic("adaptertest: two Receiver calls at once: " + s)
	}
	n.busy = true
	n.mu.Unlock()
	return func() {
		n.mu.Lock()
		n.busy = false
		n.mu.Unlock()
	}
}

func (n *receiver) Deliver(d *adapter.Delivery, to []adapter.Socket) {
	defer n.enter("Deliver")()
	if d.Ask != nil {
		n.mu.Lock()
		mute := n.mute
		n.mu.Unlock()
		if mute {
			return
		}
		d.Ask.Expect(len(to))
	}
	for _, s := range to {
		s := s.(*socket)
		s.push(frame{d: d, pos: d.Position})
		n.mu.Lock()
		silent := n.silent[s.id]
		n.mu.Unlock()
		if d.Ask != nil && !silent {
			go d.Ask.Reply(s.id, fmt.Appendf(nil, "[%q]", s.id), nil)
		}
	}
}

func (n *receiver) Gap(g adapter.Gap, to []adapter.Socket) {
	defer n.enter("Gap")()
	n.mu.Lock()
	n.gaps = append(n.gaps, g)
	n.mu.Unlock()
	for _, s := range to {
		s.(*socket).push(frame{gap: &g})
	}
}

func (n *receiver) Presence(c adapter.PresenceChange, to []adapter.Socket) {
	defer n.enter("Presence")()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.presence = append(n.presence, c)
}

func (n *receiver) ServerEvent(e adapter.Event, answer func([]byte)) {
	defer n.enter("ServerEvent")()
	n.mu.Lock()
	n.server = append(n.server, e)
	n.mu.Unlock()
	if answer != nil {
		go answer([]byte(`"answer"`))
	}
}

func (n *receiver) changes() []adapter.PresenceChange {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.presence)
}

// frame is one thing on its way to a client.
type frame struct {
	d   *adapter.Delivery
	pos adapter.Position // the offset that comes with it
	gap *adapter.Gap
	ack string // an answer to the client itself, or "accept"
	// room, of an answer, is the room that was joined.
	room string
}

// socket stands for the Socket.IO layer's socket.
type socket struct {
	r     *rig
	id    string
	node  int
	owner *adapter.Owner

	mu     sync.Mutex
	held   int
	kept   []frame // while held
	frames []frame // what the client was sent
	last   adapter.Position
	lastAt [adapter.MaxLanes]uint64
	fenced bool
	ended  []bool // Disconnect calls
}

func newSocket(r *rig, node int, id string) *socket { return &socket{r: r, id: id, node: node} }

func (s *socket) ID() string { return s.id }

func (s *socket) Info() adapter.SocketInfo {
	return adapter.SocketInfo{ID: s.id, Handshake: []byte(`{"h":1}`), Data: []byte(`{"d":1}`)}
}

func (s *socket) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held++
}

func (s *socket) Fence() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fenced = true
}

func (s *socket) Disconnect(transport bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = append(s.ended, transport)
}

// push takes a frame of the sequencer. Positions only grow.
func (s *socket) push(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fenced {
		return
	}
	if d := f.d; d != nil {
		for lane, p := range f.pos {
			if p < s.last[lane] {
				s.r.Errorf("%s: position went back in lane %d: %d after %d", s.id, lane, p, s.last[lane])
			}
		}
		s.last = f.pos
		if d.Pos != 0 {
			if d.Pos <= s.lastAt[d.Lane] || d.Pos > f.pos[d.Lane] {
				s.r.Errorf("%s: event at %d after %d, position %d", s.id, d.Pos, s.lastAt[d.Lane], f.pos[d.Lane])
			}
			s.lastAt[d.Lane] = d.Pos
		}
	}
	if s.held > 0 {
		s.kept = append(s.kept, f)
	} else {
		s.frames = append(s.frames, f)
	}
}

// release ends a hold: first come the frames that were waited for, then what
// was held, with offsets of at least the floor (DELIVERY, "Recovery": "Held
// frames: component-wise max(offset, C)").
func (s *socket) release(floor adapter.Position, first ...frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held--
	s.frames = append(s.frames, first...)
	if s.held > 0 {
		return
	}
	for _, f := range s.kept {
		f.pos = f.pos.Max(floor)
		s.frames = append(s.frames, f)
	}
	s.kept = nil
}

func (s *socket) got() []frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.frames)
}

func (s *socket) isFenced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fenced
}

func (s *socket) disconnects() []bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ended)
}

// wait waits for n frames and returns what is there.
func (s *socket) wait(n int) []frame {
	s.r.Helper()
	end := time.Now().Add(patience)
	for {
		got := s.got()
		if len(got) >= n {
			return got
		}
		if time.Now().After(end) {
			s.r.Fatalf("%s got %d frames, %d wanted", s.id, len(got), n)
		}
		time.Sleep(time.Millisecond)
	}
}

// texts are the texts of the events that a socket got, without the suite's
// own.
func texts(frames []frame) []string {
	var out []string
	for _, f := range frames {
		if f.d != nil {
			if t := text(f.d.Event); t != "settle" {
				out = append(out, t)
			}
		}
	}
	return out
}

// text is the argument of an event made by [event].
func text(e adapter.Event) string {
	var name, s string
	if _, err := fmt.Sscanf(string(e.Data), "[%q,%q]", &name, &s); err != nil {
		return string(e.Data)
	}
	return s
}

func (s *socket) wants(want ...string) {
	s.r.Helper()
	s.wait(len(want))
	if got := texts(s.got()); !slices.Equal(got, want) {
		s.r.Errorf("%s got %q, wanted %q", s.id, got, want)
	}
}
