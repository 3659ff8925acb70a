package official

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// backend stands for a node's core: local sockets that note what they get.
type backend struct {
	t *testing.T

	mu      sync.Mutex
	sockets map[string]map[string]*fake // by namespace and id
	events  []string                    // of servers
	changed chan struct{}               // closed and replaced at every change

	// answers of server events; "" answers nothing.
	answer string
	// ack of a socket, by the event; nil answers ["<id>"].
	ack func(id string, e adapter.Event) (args string, attachments [][]byte, ok bool)
}

type fake struct {
	id     string
	rooms  []string
	got    []string
	gone   string
	data   string
	binary [][]byte
}

func newBackend(t *testing.T) *backend {
	return &backend{t: t, sockets: make(map[string]map[string]*fake), changed: make(chan struct{})}
}

func (b *backend) add(namespace, id string, rooms ...string) *fake {
	b.mu.Lock()
	defer b.mu.Unlock()
	f := &fake{id: id, rooms: rooms, data: `{"name":"` + id + `"}`}
	if b.sockets[namespace] == nil {
		b.sockets[namespace] = make(map[string]*fake)
	}
	b.sockets[namespace][id] = f
	return f
}

func (b *backend) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
}

func (b *backend) changeLocked() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// until waits for a condition over the backend.
func (b *backend) until(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.After(patience)
	for {
		b.mu.Lock()
		done, changed := ok(), b.changed
		b.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			b.mu.Lock()
			defer b.mu.Unlock()
			for ns, m := range b.sockets {
				for _, f := range m {
					b.t.Logf("%s %s: rooms %v, got %v, gone %q", ns, f.id, f.rooms, f.got, f.gone)
				}
			}
			b.t.Fatalf("%s: not within %v; server events %v", what, patience, b.events)
		}
	}
}

func (b *backend) got(f *fake, want ...string) {
	b.t.Helper()
	b.until(fmt.Sprintf("%s gets %v", f.id, want), func() bool { return slices.Equal(f.got, want) })
}

func (b *backend) pickLocked(t adapter.Target) (list []*fake) {
	if !t.Local {
		b.t.Error("a target that is not local")
	}
	in := func(f *fake, rooms []string) bool {
		return slices.ContainsFunc(rooms, func(r string) bool { return r == f.id || slices.Contains(f.rooms, r) })
	}
	for _, f := range b.sockets[t.Namespace] {
		if f.gone == "" && (len(t.Rooms) == 0 || in(f, t.Rooms)) && !in(f, t.Except) {
			list = append(list, f)
		}
	}
	slices.SortFunc(list, func(x, y *fake) int { return len(x.id) - len(y.id) })
	return list
}

func (b *backend) Emit(_ context.Context, e adapter.Emit, ask adapter.Ask) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	to := b.pickLocked(e.Target)
	if ask != nil {
		ask.Expect(len(to))
	}
	for _, f := range to {
		text := string(e.Event.Data)
		if e.Volatile {
			text = "volatile " + text
		}
		f.got = append(f.got, text)
		f.binary = append(f.binary, e.Event.Attachments...)
		if ask == nil {
			continue
		}
		if b.ack == nil {
			ask.Reply(f.id, []byte(`["`+f.id+`"]`), nil)
		} else if args, attachments, ok := b.ack(f.id, e.Event); ok {
			ask.Reply(f.id, []byte(args), attachments)
		}
	}
	b.changeLocked()
	return nil
}

func (b *backend) Sockets(_ context.Context, t adapter.Target) (list []adapter.SocketInfo, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.pickLocked(t) {
		list = append(list, adapter.SocketInfo{ID: f.id, Rooms: slices.Clone(f.rooms), Handshake: []byte(`{"headers":{"host":"here"},"address":"192.0.2.1","query":{"EIO":"4"},"auth":{}}`), Data: []byte(f.data)})
	}
	return list, nil
}

func (b *backend) Join(_ context.Context, t adapter.Target, rooms []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.pickLocked(t) {
		f.rooms = slices.Compact(slices.Sorted(slices.Values(append(f.rooms, rooms...))))
	}
	b.changeLocked()
	return nil
}

func (b *backend) Leave(_ context.Context, t adapter.Target, rooms []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.pickLocked(t) {
		f.rooms = slices.DeleteFunc(f.rooms, func(r string) bool { return slices.Contains(rooms, r) })
	}
	b.changeLocked()
	return nil
}

func (b *backend) Disconnect(_ context.Context, t adapter.Target, transport bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.pickLocked(t) {
		f.gone = fmt.Sprint("transport ", transport)
	}
	b.changeLocked()
	return nil
}

func (b *backend) ServerEvent(namespace string, e adapter.Event, answer func([]byte)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, namespace+" "+string(e.Data))
	if answer != nil && b.answer != "" {
		answer([]byte(b.answer))
		answer([]byte(b.answer)) // the second is nobody's
	}
	b.changeLocked()
}

func (b *backend) Socket(namespace, id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sockets[namespace][id] != nil
}

func (b *backend) Room(namespace, room string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, f := range b.sockets[namespace] {
		if f.id == room || slices.Contains(f.rooms, room) {
			return true
		}
	}
	return false
}
