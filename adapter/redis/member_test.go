package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

type discard struct{}

func (discard) Deliver(*adapter.Delivery, []adapter.Socket)       {}
func (discard) Gap(adapter.Gap, []adapter.Socket)                 {}
func (discard) Presence(adapter.PresenceChange, []adapter.Socket) {}
func (discard) ServerEvent(_ adapter.Event, answer func([]byte))  {}

// member is a namespace with one socket in some rooms, which keeps what it
// gets.
type member struct {
	t  testing.TB
	a  *Adapter
	id string

	mu     sync.Mutex
	got    []*adapter.Delivery
	lost   []adapter.Gap
	people []adapter.PresenceChange
	fenced bool
}

var members int

func newMember(t testing.TB, a *Adapter, rooms ...string) *member {
	t.Helper()
	members++
	m := &member{t: t, a: a, id: fmt.Sprintf("member-%d", members)}
	a.Open("/", m)
	if err := a.Add(t.Context(), "/", m, nil); err != nil {
		t.Fatal(err)
	}
	m.join(rooms...)
	return m
}

func (m *member) join(rooms ...string) {
	m.t.Helper()
	if _, err := m.a.Join(m.t.Context(), "/", m, rooms, false, nil); err != nil {
		m.t.Fatal(err)
	}
}

func (m *member) ID() string               { return m.id }
func (m *member) Hold()                    {}
func (m *member) Disconnect(bool)          {}
func (m *member) Info() adapter.SocketInfo { return adapter.SocketInfo{ID: m.id} }

func (m *member) Fence() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fenced = true
}

func (m *member) isFenced() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.fenced
}

func (m *member) Deliver(d *adapter.Delivery, to []adapter.Socket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(to) > 0 {
		m.got = append(m.got, d)
	}
}

func (m *member) Gap(g adapter.Gap, _ []adapter.Socket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lost = append(m.lost, g)
}

func (m *member) Presence(c adapter.PresenceChange, _ []adapter.Socket) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.people = append(m.people, c)
}

func (m *member) ServerEvent(adapter.Event, func([]byte)) {}

func (m *member) gaps() []adapter.Gap {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.lost)
}

func (m *member) texts() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []string
	for _, d := range m.got {
		out = append(out, d.ID)
	}
	return out
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	end := time.Now().Add(60 * time.Second)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// wantTexts waits for the messages 0 to n-1, in order and once each.
func (m *member) wantTexts(n int) {
	m.t.Helper()
	until(m.t, fmt.Sprintf("%d messages", n), func() bool { return len(m.texts()) >= n })
	time.Sleep(20 * time.Millisecond)
	for i, s := range m.texts() {
		if s != strconv.Itoa(i) {
			m.t.Fatalf("message %d is %s of %q", i, s, m.texts())
		}
	}
}

func entry(room, text string) adapter.Append {
	return adapter.Append{
		Namespace: "/", Room: room, Event: adapter.Event{Name: "m", Data: fmt.Appendf(nil, `["m",%q]`, text)},
		User: "ann", ID: text, Key: "ann/" + text,
	}
}

func (m *member) append(room, text string) adapter.Appended {
	m.t.Helper()
	got, err := m.a.Append(context.Background(), entry(room, text))
	if err != nil {
		m.t.Fatal(err)
	}
	return got
}
