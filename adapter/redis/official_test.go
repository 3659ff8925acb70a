package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/redis/official"
)

// guest is a socket, and at once the namespace that hands it events. On the
// other side, which is a bridge of another fleet, it is the whole server.
type guest struct {
	id string

	mu    sync.Mutex
	rooms []string // of a foreign one
	got   []string
	ended bool
}

func (g *guest) ID() string { return g.id }
func (g *guest) Hold()      {}
func (g *guest) Fence()     {}
func (g *guest) Info() adapter.SocketInfo {
	return adapter.SocketInfo{ID: g.id, Handshake: []byte(`{}`), Data: []byte(`"` + g.id + `"`)}
}

func (g *guest) Disconnect(bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
}

func (g *guest) take(line string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got = append(g.got, line)
}

func (g *guest) Deliver(d *adapter.Delivery, to []adapter.Socket) {
	if d.Ask != nil {
		d.Ask.Expect(len(to))
	}
	for range to {
		g.take(string(d.Event.Data))
		if d.Ask != nil {
			d.Ask.Reply(g.id, []byte(`["`+g.id+`"]`), nil)
		}
	}
}
func (g *guest) Gap(adapter.Gap, []adapter.Socket)                 {}
func (g *guest) Presence(adapter.PresenceChange, []adapter.Socket) {}
func (g *guest) ServerEvent(e adapter.Event, answer func([]byte)) {
	g.take("server " + string(e.Data))
	if answer != nil {
		answer([]byte(`"` + g.id + `"`))
	}
}

// has waits until exactly these lines have come, in any order: a foreign room
// has a channel of its own.
func (g *guest) has(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	var got []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		g.mu.Lock()
		got = slices.Sorted(slices.Values(g.got))
		g.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
	}
	t.Errorf("%s got %q, not %q", g.id, got, want)
}

// foreigner is a server of Node's: adapter/redis/official holds the formats
// against real ones.
type foreigner guest

func (f *foreigner) guest() *guest { return (*guest)(f) }

func (f *foreigner) in(t adapter.Target) bool {
	in := func(names []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return n == f.id || slices.Contains(f.rooms, n) })
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return (len(t.Rooms) == 0 || in(t.Rooms)) && !in(t.Except)
}

func (f *foreigner) Emit(_ context.Context, e adapter.Emit, ask adapter.Ask) error {
	in := f.in(e.Target)
	if ask != nil {
		ask.Expect(map[bool]int{true: 1}[in])
	}
	if in {
		f.guest().take(string(e.Event.Data))
		if ask != nil {
			ask.Reply(f.id, []byte(`["`+f.id+`"]`), nil)
		}
	}
	return nil
}

func (f *foreigner) Sockets(_ context.Context, t adapter.Target) ([]adapter.SocketInfo, error) {
	if !f.in(t) {
		return nil, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	info := f.guest().Info()
	info.Rooms = slices.Clone(f.rooms)
	return []adapter.SocketInfo{info}, nil
}

func (f *foreigner) Join(_ context.Context, t adapter.Target, rooms []string) error {
	if f.in(t) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rooms = append(f.rooms, rooms...)
	}
	return nil
}

func (f *foreigner) Leave(_ context.Context, t adapter.Target, rooms []string) error {
	if f.in(t) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.rooms = slices.DeleteFunc(f.rooms, func(r string) bool { return slices.Contains(rooms, r) })
	}
	return nil
}

func (f *foreigner) Disconnect(_ context.Context, t adapter.Target, _ bool) error {
	if f.in(t) {
		f.guest().Disconnect(true)
	}
	return nil
}

func (f *foreigner) ServerEvent(_ string, e adapter.Event, answer func([]byte)) {
	f.guest().ServerEvent(e, answer)
}
func (f *foreigner) Socket(_, id string) bool { return id == f.id }
func (f *foreigner) Room(_, room string) bool {
	return f.in(adapter.Target{Rooms: []string{room}})
}

func chatRooms(o official.Options) official.Options {
	o.RoomIn = func(name string) string { return "chat:" + name }
	o.RoomOut = func(room string) (string, bool) { return strings.TrimPrefix(room, "chat:"), true }
	return o
}

func enter(t *testing.T, a adapter.Adapter, id string, rooms ...string) *guest {
	t.Helper()
	g := &guest{id: id}
	a.Open("/", g)
	if err := a.Add(t.Context(), "/", g, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Join(t.Context(), "/", g, rooms, false, nil); err != nil {
		t.Fatal(err)
	}
	return g
}

// world is two nodes and a foreign server on one Redis.
type world struct {
	one, two adapter.Adapter
	ann, bob *guest
	cat      *foreigner
	bridge   *official.Bridge
}

func newWorld(t *testing.T, url string, mode official.Mode) *world {
	t.Helper()
	p := prefix()
	w := &world{cat: &foreigner{id: "cccccccccccccccccccc", rooms: []string{"den"}}}
	nodes := make([]adapter.Adapter, 2)
	for i := range nodes {
		a, err := OpenOfficial(Options{URL: url, Prefix: p}, Official{Options: chatRooms(official.Options{Mode: mode, Prefix: p + "io", Hooks: official.Hooks{
			Refused: func(why string) { t.Errorf("refused: %s", why) },
			Dropped: func(what string) { t.Errorf("dropped: %s", what) },
		}})})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := a.Close(context.Background()); err != nil {
				t.Error(err)
			}
		})
		for end := time.Now().Add(20 * time.Second); !a.Status().Ready && time.Now().Before(end); {
			time.Sleep(2 * time.Millisecond)
		}
		nodes[i] = a
	}
	w.one, w.two = nodes[0], nodes[1]
	w.ann, w.bob = enter(t, w.one, "aaaaaaaaaaaaaaaaaaaa", "chat:lobby"), enter(t, w.two, "bbbbbbbbbbbbbbbbbbbb", "chat:lobby", "chat:den")
	conn, err := newConnector(Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	client := conn.universal()
	t.Cleanup(func() { _ = client.Close() })
	w.bridge, err = official.Open(client, official.Options{Mode: mode, Prefix: p + "io", Fleet: "foreign"}, w.cat)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.bridge.Close)
	w.bridge.Add("/")
	w.bridge.OpenRoom("/", "den")
	w.bridge.OpenRoom("/", w.cat.id)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		if w.bridge.Whole() && w.one.(*among).bridge.Whole() && w.two.(*among).bridge.Whole() {
			return w
		}
		if time.Now().After(end) {
			t.Fatal("the subscriptions do not stand")
		}
	}
}

func named(name string) adapter.Event {
	data, _ := json.Marshal([]string{name})
	return adapter.Event{Name: name, Data: data}
}

func toRoom(rooms ...string) adapter.Target { return adapter.Target{Namespace: "/", Rooms: rooms} }

// TestAmong is every operation of the contract with a foreign server there, and
// every one of its in return: each effect once, at each socket that it is for.
func TestAmong(t *testing.T) {
	for _, mode := range []official.Mode{official.Classic, official.Static, official.Dynamic, official.DynamicPrivate} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			newWorld(t, "redis://"+shared.get(t).addr, mode).run(t)
		})
	}
}

func (w *world) run(t *testing.T) {
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	// Outward.
	must(w.one.Emit(ctx, adapter.Emit{Target: toRoom("chat:den"), Event: named("den")}))
	must(w.one.Emit(ctx, adapter.Emit{Target: toRoom(), Event: named("all"), Class: adapter.Recoverable}))
	must(w.one.Emit(ctx, adapter.Emit{Target: toRoom(w.cat.id), Event: named("mine")}))
	must(w.one.Emit(ctx, adapter.Emit{Target: adapter.Target{Namespace: "/", Local: true}, Event: named("here")}))
	// Another message first, so that the rendered one is the bridge's work.
	entry := adapter.Append{Namespace: "/", Room: "chat:den", Event: named("logged"), Key: "k"}
	_, err := w.two.Append(ctx, entry)
	must(err)
	if again, err := w.one.Append(ctx, entry); err != nil || !again.Duplicate {
		t.Error(again, err)
	}
	must(w.two.ServerSideEmit(ctx, "/", named("told")))
	w.cat.guest().has(t, `["den"]`, `["all"]`, `["mine"]`, `["logged"]`, `server ["told"]`)
	w.ann.has(t, `["all"]`, `["here"]`, `server ["told"]`)
	w.bob.has(t, `["den"]`, `["all"]`, `["logged"]`)

	list, missing, err := w.one.FetchSockets(ctx, toRoom("chat:den"))
	var seen []string
	for _, s := range list {
		seen = append(seen, fmt.Sprint(s.ID, s.Rooms))
	}
	if slices.Sort(seen); err != nil || len(missing) > 0 || fmt.Sprint(seen) != "[bbbbbbbbbbbbbbbbbbbb[chat:den chat:lobby] cccccccccccccccccccc[chat:den]]" {
		t.Error(seen, missing, err)
	}
	got, err := w.one.Request(ctx, adapter.Emit{Target: toRoom(), Event: named("ask")}, 10*time.Second)
	if err != nil || got.Expected != 3 || len(got.Replies) != 3 || !got.Complete() {
		t.Error(got, err)
	}
	answers, missing, err := w.one.ServerSideRequest(ctx, "/", named("who"))
	if err != nil || len(answers) != 2 || len(missing) > 0 {
		t.Error(answers, missing, err)
	}
	must(w.one.SocketsJoin(ctx, toRoom("chat:den"), []string{"chat:new"}))
	w.cat.until(t, "joins", func() bool { return slices.Contains(w.cat.rooms, "new") })
	must(w.one.SocketsLeave(ctx, toRoom(), []string{"chat:new"}))
	w.cat.until(t, "leaves", func() bool { return !slices.Contains(w.cat.rooms, "new") })

	// Inward.
	must(w.bridge.SocketsJoin(toRoom(w.ann.id), []string{"more"}))
	(*foreigner)(w.ann).until(t, "joins", func() bool { return slices.Contains(w.one.Rooms("/", w.ann.id), "chat:more") })
	// The room's own channel is subscribed to at once, and confirmed later.
	(*foreigner)(w.ann).until(t, "hears the room", func() bool { return w.one.(*among).bridge.Whole() })
	must(w.bridge.Emit(adapter.Emit{Target: toRoom("more"), Event: named("more")}))
	must(w.bridge.Emit(adapter.Emit{Target: toRoom("lobby"), Event: named("lobby")}))
	must(w.bridge.ServerSideEmit("/", named("foreign")))
	w.ann.has(t, `["all"]`, `["here"]`, `server ["told"]`, `["ask"]`, `["more"]`, `["lobby"]`, `server ["foreign"]`)
	w.bob.has(t, `["den"]`, `["all"]`, `["logged"]`, `["ask"]`, `server ["who"]`, `["lobby"]`, `server ["foreign"]`)
	theirs, missing, err := w.bridge.FetchSockets(ctx, toRoom())
	if err != nil || len(theirs) != 2 || len(missing) > 0 {
		t.Error(theirs, missing, err)
	}
	asked, err := w.bridge.Request(ctx, adapter.Emit{Target: toRoom("lobby"), Event: named("q")}, 10*time.Second)
	if err != nil || !asked.Complete() || len(asked.Replies) != 2 {
		t.Error(asked, err)
	}
	must(w.bridge.DisconnectSockets(toRoom(w.bob.id), true))
	(*foreigner)(w.bob).until(t, "is ended", func() bool { return w.bob.ended })
	must(w.two.DisconnectSockets(ctx, toRoom(w.cat.id), false))
	w.cat.until(t, "is ended", func() bool { return w.cat.ended })
	if w.ann.ended {
		t.Error("the wrong one was ended")
	}
}

func (f *foreigner) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		f.mu.Lock()
		done := ok()
		f.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: %s: not in time", f.id, what)
		}
	}
}

// An emitter's event that foreign servers have heard themselves is not told
// them again when it is stored; any other is.
func TestHeard(t *testing.T) {
	url, p := "redis://"+shared.get(t).addr, prefix()
	var node adapter.Adapter
	stored := make(chan string, 10)
	node, err := OpenOfficial(Options{URL: url, Prefix: p}, Official{
		Options: chatRooms(official.Options{
			Mode: official.Classic, Prefix: p + "io", Emitters: true, PythonChannel: p + "py", Logged: []string{"note"},
			Append: func(ctx context.Context, m official.Message) error {
				defer func() { stored <- string(m.Event.Data) }()
				_, err := node.Append(ctx, adapter.Append{Namespace: m.Namespace, Room: m.Room, Event: m.Event, Key: m.Key})
				return err
			},
		}),
		Render: func(d *adapter.Delivery) (adapter.Event, bool) {
			return named(fmt.Sprint("rendered ", string(d.Event.Data), d.Seq)), d.Room != "chat:secret"
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = node.Close(context.Background()) })
	node.Open("/", &guest{})
	conn, err := newConnector(Options{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	client := conn.universal()
	t.Cleanup(func() { _ = client.Close() })
	cat := &foreigner{id: "cat", rooms: []string{"den", "secret"}}
	b, err := official.Open(client, official.Options{Mode: official.Classic, Prefix: p + "io", Fleet: "foreign"}, cat)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	b.Add("/")
	if err := b.Wait(t.Context(), "/"); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); !node.Status().Ready && time.Now().Before(end); {
		time.Sleep(2 * time.Millisecond)
	}
	publish := func(channel, message string) {
		t.Helper()
		if err := client.Publish(t.Context(), channel, message).Err(); err != nil {
			t.Fatal(err)
		}
	}
	publish(p+"io#/#den#", `["emitter",{"type":2,"data":["note",1],"nsp":"/"},{"rooms":["den"],"except":[],"flags":{}}]`)
	publish(p+"py", `{"method":"emit","event":"note","data":[2],"binary":false,"namespace":"/","room":"den"}`)
	publish(p+"py", `{"method":"emit","event":"note","data":[3],"binary":false,"namespace":"/","room":"secret"}`)
	for _, want := range []string{`["note",1]`, `["note",2]`, `["note",3]`} {
		if got := <-stored; got != want {
			t.Errorf("stored %s, not %s", got, want)
		}
	}
	cat.guest().has(t, `["note",1]`, `["rendered [\"note\",2]2"]`)
}

// Bad options are said by OpenOfficial, and leave nothing behind.
func TestOfficialOptions(t *testing.T) {
	for _, f := range []Official{{}, {Options: official.Options{Mode: 99}}, {Options: official.Options{Mode: official.Classic, Fleet: "a b"}}} {
		if a, err := OpenOfficial(Options{URL: "redis://127.0.0.1:1"}, f); err == nil || !strings.Contains(err.Error(), "official") {
			t.Error(a, err)
		}
	}
	if _, err := OpenOfficial(Options{URL: "x"}, Official{Options: official.Options{Mode: official.Classic}}); !errors.Is(err, errURL) {
		t.Error(err)
	}
}
