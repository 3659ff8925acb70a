package official

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

const (
	sid1 = "Aaaaaaaaaaaaaaaaaaaa"
	sid2 = "Bbbbbbbbbbbbbbbbbbbb"
	// An id as revision 3 has it in other namespaces.
	sid3 = "/chat#Cccccccccccccccccccc"
)

// modes are the adapters that the Node servers of the tests use.
var modes = []struct {
	name string
	mode Mode
	more []string
}{
	{"classic", Classic, nil}, {"classic", Classic, []string{"specific"}},
	{"static", Static, nil}, {"dynamic", Dynamic, nil}, {"dynamic-private", DynamicPrivate, nil},
}

// prefixed are the room names of a chat.
func prefixed(o Options) Options {
	o.RoomIn = func(name string) string { return "chat:" + name }
	o.RoomOut = func(room string) (string, bool) {
		if strings.HasPrefix(room, "secret:") {
			return "", false
		}
		return strings.TrimPrefix(room, "chat:"), true
	}
	return o
}

// scene is a fleet of two nodes and a Node server, with clients everywhere:
// sockets 1 and 2 of the first node in lobby, the second node's socket in den,
// Ann and Bob of the Node server in lobby and den.
type scene struct {
	one, two    *Bridge
	here, there *backend
	s1, s2, s3  *fake
	chat        *fake
	node        *node
	ann, bob    string
	addr        string
}

func newScene(t *testing.T, mode Mode, name string, more ...string) *scene {
	t.Helper()
	addr := startRedis(t)
	sc := &scene{addr: addr, here: newBackend(t), there: newBackend(t)}
	sc.sockets()
	o := prefixed(Options{Mode: mode, SpecificResponses: len(more) > 0, RequestTimeout: 4 * time.Second, Hooks: Hooks{
		Refused: func(why string) { t.Errorf("refused: %s", why) },
		Dropped: func(what string) { t.Errorf("dropped: %s", what) },
	}})
	sc.one, sc.two = open(t, addr, o, sc.here), open(t, addr, o, sc.there)
	for _, b := range []struct {
		b    *Bridge
		back *backend
	}{{sc.one, sc.here}, {sc.two, sc.there}} {
		for ns, list := range b.back.sockets {
			for id, f := range list {
				b.b.OpenRoom(ns, id)
				for _, r := range f.rooms {
					b.b.OpenRoom(ns, r)
				}
			}
		}
		b.b.OpenRoom("/", "chat:new")
	}
	eventually(t, "subscriptions", func() bool { return sc.one.Whole() && sc.two.Whole() })
	sc.node = startNode(t, addr, name, more...)
	return sc
}

// sockets makes the fleet's sockets.
func (sc *scene) sockets() {
	sc.s1 = sc.here.add("/", sid1, "chat:lobby", "secret:x")
	sc.s2 = sc.here.add("/", sid2, "chat:lobby", "chat:den")
	sc.chat = sc.here.add("/chat", sid3, "chat:lobby")
	sc.s3 = sc.there.add("/", "Dddddddddddddddddddd", "chat:den")
}

// fresh makes the scene as it was for the next test.
func (sc *scene) fresh(t *testing.T) {
	t.Helper()
	sc.sockets()
	for _, b := range []*backend{sc.here, sc.there} {
		b.set(func() { b.t, b.events, b.answer, b.ack = t, nil, "", nil })
	}
	n := sc.node
	n.t = t
	n.do("reset", "")
	n.mu.Lock()
	n.said = nil
	n.mu.Unlock()
	sc.ann = n.client("ann", "lobby")
	sc.bob = n.client("bob", "lobby", "den")
	n.do("sync", "")
	time.Sleep(50 * time.Millisecond) // Node does not say when its subscriptions of rooms stand
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}

func event(data string, attachments ...[]byte) adapter.Event {
	var first []json.RawMessage
	_ = json.Unmarshal([]byte(data), &first)
	var name string
	_ = json.Unmarshal(first[0], &name)
	return adapter.Event{Name: name, Data: []byte(data), Attachments: attachments}
}

// TestNode is every operation in both directions, with each of Node's adapters.
func TestNode(t *testing.T) {
	for _, m := range modes {
		t.Run(strings.Join(append([]string{m.name}, m.more...), " "), func(t *testing.T) {
			t.Parallel()
			sc := newScene(t, m.mode, m.name, m.more...)
			for _, f := range []struct {
				name string
				run  func(*testing.T, *scene)
			}{
				{"broadcasts from Node", broadcastsFromNode},
				{"broadcasts to Node", broadcastsToNode},
				{"orders from Node", ordersFromNode},
				{"orders to Node", ordersToNode},
				{"fetch from Node", fetchFromNode},
				{"server events", serverEvents},
				{"acks from Node", acksFromNode},
				{"acks to Node", acksToNode},
				{"fetch to Node", fetchToNode}, // last: a server that leaves is counted for a moment
			} {
				t.Run(f.name, func(t *testing.T) {
					sc.fresh(t)
					f.run(t, sc)
				})
			}
		})
	}
}

func broadcastsFromNode(t *testing.T, sc *scene) {
	n := sc.node
	n.do("emit", `"args":["all",1,"é😀",null,{"a":[1.5]}]`)
	n.do("emit", `"args":["one"],"rooms":["lobby"]`)
	n.do("emit", `"args":["two"],"rooms":["lobby","den"]`)
	n.do("emit", `"args":["but"],"rooms":["lobby"],"except":["den"]`)
	n.do("emit", `"args":["not"],"rooms":["nowhere"]`)
	n.do("emit", `"args":["mine"],"rooms":["`+sid1+`"]`)
	n.do("emit", `"args":["v"],"rooms":["den"],"volatile":true`)
	n.do("emit", `"args":["b",{"$":"AQID"},{"x":{"$":"BA=="}}],"rooms":["den"]`)
	n.do("emit", `"args":["chat"],"rooms":["lobby"],"nsp":"/chat"`)
	n.do("emit", `"args":["mine"],"rooms":["`+sid3+`"],"nsp":"/chat"`)
	n.do("emit", `"args":["end"]`)
	const binary = `["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]`
	// Rooms have channels of their own: no order between those and the others.
	sorted := func(b *backend, f *fake, want ...string) {
		t.Helper()
		sort.Strings(want)
		b.until(fmt.Sprint(f.id, " gets ", want), func() bool {
			return slices.Equal(slices.Sorted(slices.Values(f.got)), want)
		})
	}
	sorted(sc.here, sc.s1, `["all",1,"é😀",null,{"a":[1.5]}]`, `["one"]`, `["two"]`, `["but"]`, `["mine"]`, `["end"]`)
	sorted(sc.here, sc.s2, `["all",1,"é😀",null,{"a":[1.5]}]`, `["one"]`, `["two"]`, `volatile ["v"]`, binary, `["end"]`)
	sorted(sc.there, sc.s3, `["all",1,"é😀",null,{"a":[1.5]}]`, `["two"]`, `volatile ["v"]`, binary, `["end"]`)
	sorted(sc.here, sc.chat, `["chat"]`, `["mine"]`)
	sc.here.until("attachments", func() bool { return fmt.Sprint(sc.s2.binary) == "[[1 2 3] [4]]" })
	sc.there.until("attachments", func() bool { return fmt.Sprint(sc.s3.binary) == "[[1 2 3] [4]]" })
}

func broadcastsToNode(t *testing.T, sc *scene) {
	n := sc.node
	emit := func(e adapter.Event, volatile bool, target adapter.Target) {
		t.Helper()
		target.Namespace = "/"
		if err := sc.one.Emit(adapter.Emit{Target: target, Event: e, Volatile: volatile}); err != nil {
			t.Fatal(err)
		}
	}
	hears := func(name, event, args string) {
		t.Helper()
		n.hears(fmt.Sprintf(`{"client":%q,"nsp":"/","event":%q,"args":%s}`, name, event, args))
	}
	emit(event(`["all",1,"é😀",null,{"a":[1.5,-7,9007199254740991]}]`), false, adapter.Target{})
	hears("bob", "all", `[1,"é😀",null,{"a":[1.5,-7,9007199254740991]}]`)
	emit(event(`["local"]`), false, adapter.Target{Local: true})
	emit(event(`["secret"]`), false, adapter.Target{Rooms: []string{"secret:x"}})
	emit(event(`["one"]`), false, adapter.Target{Rooms: []string{"chat:lobby"}})
	hears("ann", "one", `[]`)
	hears("bob", "one", `[]`)
	emit(event(`["two",2]`), false, adapter.Target{Rooms: []string{"chat:lobby", "chat:den", "secret:x"}})
	hears("ann", "two", `[2]`)
	hears("bob", "two", `[2]`)
	emit(event(`["but"]`), false, adapter.Target{Rooms: []string{"chat:lobby"}, Except: []string{"chat:den"}})
	hears("ann", "but", `[]`)
	emit(event(`["mine"]`), true, adapter.Target{Rooms: []string{sc.bob}})
	hears("bob", "mine", `[]`)
	emit(event(`["b",{"_placeholder":true,"num":0},{"x":[{"_placeholder":true,"num":1}]}]`, []byte{1, 2}, []byte{}), false, adapter.Target{Rooms: []string{"chat:den"}})
	hears("bob", "b", `[{"type":"Buffer","data":[1,2]},{"x":[{"type":"Buffer","data":[]}]}]`)
	if err := sc.one.Emit(adapter.Emit{Target: adapter.Target{Namespace: "/none"}, Event: event(`["x"]`)}); err != nil {
		t.Error(err)
	}
	emit(event(`["end"]`), false, adapter.Target{})
	hears("bob", "end", `[]`)
	n.silent()
	sc.here.got(sc.s1)
	sc.there.got(sc.s3)
}

func ordersFromNode(t *testing.T, sc *scene) {
	n := sc.node
	n.do("join", `"rooms":["den"],"names":["new","more"]`)
	sc.there.until("joins", func() bool { return fmt.Sprint(sc.s3.rooms) == "[chat:den chat:more chat:new]" })
	sc.here.until("joins", func() bool { return fmt.Sprint(sc.s2.rooms) == "[chat:den chat:lobby chat:more chat:new]" })
	eventually(t, "the server that asked", func() bool { return strings.Contains(n.do("mine", `"name":"bob"`), `"new"`) })
	n.do("leave", `"rooms":["den"],"except":["`+sid2+`"],"names":"more"`)
	sc.there.until("leaves", func() bool { return fmt.Sprint(sc.s3.rooms) == "[chat:den chat:new]" })
	n.do("disconnect", `"rooms":["`+sid1+`"],"close":true`)
	sc.here.until("is thrown out", func() bool { return sc.s1.gone == "transport true" })
	n.do("disconnect", `"nsp":"/chat","rooms":["lobby"]`)
	sc.here.until("is thrown out", func() bool { return sc.chat.gone == "transport false" })
	sc.here.until("nothing else", func() bool {
		return fmt.Sprint(sc.s2.rooms) == "[chat:den chat:lobby chat:more chat:new]" && sc.s2.gone == ""
	})
}

func ordersToNode(t *testing.T, sc *scene) {
	n := sc.node
	in := func(name, rooms string) {
		t.Helper()
		eventually(t, name+" in "+rooms, func() bool {
			var list []string
			_ = json.Unmarshal([]byte(n.do("mine", fmt.Sprintf(`"name":%q`, name))), &list)
			return fmt.Sprint(list[1:]) == rooms
		})
	}
	target := adapter.Target{Namespace: "/", Rooms: []string{"chat:den"}}
	if err := sc.one.SocketsJoin(target, []string{"chat:new", "secret:x"}); err != nil {
		t.Fatal(err)
	}
	in("bob", "[lobby den new]")
	in("ann", "[lobby]")
	if err := sc.one.SocketsJoin(adapter.Target{Namespace: "/"}, []string{"secret:x"}); err != nil {
		t.Fatal(err)
	}
	if err := sc.one.SocketsLeave(adapter.Target{Namespace: "/", Except: []string{sc.ann}}, []string{"chat:lobby"}); err != nil {
		t.Fatal(err)
	}
	in("bob", "[den new]")
	in("ann", "[lobby]")
	if err := sc.one.DisconnectSockets(adapter.Target{Namespace: "/", Rooms: []string{"chat:new"}}, true); err != nil {
		t.Fatal(err)
	}
	n.hears(`{"client":"bob","nsp":"/","gone":"io server disconnect"}`)
	if err := sc.one.DisconnectSockets(adapter.Target{Namespace: "/", Rooms: []string{sc.ann}}, false); err != nil {
		t.Fatal(err)
	}
	n.hears(`{"client":"ann","nsp":"/","gone":"io server disconnect"}`)
	sc.there.until("the fleet has not acted on what it did itself", func() bool {
		return sc.s3.gone == "" && !slices.Contains(sc.s3.rooms, "chat:new")
	})
}

func fetchFromNode(t *testing.T, sc *scene) {
	var list []struct {
		ID        string
		Rooms     []string
		Data      map[string]any
		Handshake map[string]any
	}
	fetch := func(fields string) string {
		t.Helper()
		if err := json.Unmarshal([]byte(sc.node.do("fetch", fields)), &list); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(list, func(a, b struct {
			ID        string
			Rooms     []string
			Data      map[string]any
			Handshake map[string]any
		}) int {
			return strings.Compare(fmt.Sprint(a.Data), fmt.Sprint(b.Data))
		})
		var out []string
		for _, s := range list {
			out = append(out, fmt.Sprint(s.Data["name"], s.Rooms[1:]))
			if s.Rooms[0] != s.ID {
				t.Errorf("%s is not in its own room: %v", s.ID, s.Rooms)
			}
		}
		return strings.Join(out, " ")
	}
	if got := fetch(""); got != sid1+"[lobby secret:x] "+sid2+"[lobby den] Dddddddddddddddddddd[den] ann[lobby] bob[lobby den]" &&
		got != sid1+"[lobby] "+sid2+"[lobby den] Dddddddddddddddddddd[den] ann[lobby] bob[lobby den]" {
		t.Error(got)
	}
	if h := fmt.Sprint(list[0].Handshake); h != "map[address:192.0.2.1 auth:map[] headers:map[host:here] query:map[EIO:4]]" {
		t.Error(h)
	}
	if got := fetch(`"rooms":["den"],"except":["lobby"]`); got != "Dddddddddddddddddddd[den]" {
		t.Error(got)
	}
	if got := fetch(`"rooms":["nowhere"]`); got != "" {
		t.Error(got)
	}
	if sc.one.o.Mode == Classic {
		var rooms []string
		_ = json.Unmarshal([]byte(sc.node.do("rooms", "")), &rooms)
		slices.Sort(rooms)
		if !slices.Contains(rooms, "den") || !slices.Contains(rooms, sid1) || slices.Contains(rooms, "chat:den") {
			t.Error(rooms)
		}
	}
}

func fetchToNode(t *testing.T, sc *scene) {
	second := startNode(t, sc.addr, map[Mode]string{Classic: "classic", Static: "static", Dynamic: "dynamic", DynamicPrivate: "dynamic-private"}[sc.one.o.Mode])
	second.client("cat", "den")
	fetch := func(target adapter.Target) string {
		t.Helper()
		target.Namespace = "/"
		list, missing, err := sc.one.FetchSockets(t.Context(), target)
		if err != nil || len(missing) > 0 {
			t.Errorf("missing %v, %v", missing, err)
		}
		var out []string
		for _, s := range list {
			if !strings.Contains(string(s.Handshake), `"headers":{`) {
				t.Errorf("handshake %s", s.Handshake)
			}
			out = append(out, fmt.Sprint(string(s.Data), s.Rooms))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	sc.node.do("data", `"name":"bob","data":{"name":"bob","key":{"$":"AQI="}}`)
	if got := fetch(adapter.Target{}); got != `{"name":"ann"}[chat:lobby] {"name":"bob","key":{"type":"Buffer","data":[1,2]}}[chat:lobby chat:den] {"name":"cat"}[chat:den]` {
		t.Error(got)
	}
	if got := fetch(adapter.Target{Rooms: []string{"chat:den"}, Except: []string{"chat:lobby"}}); got != `{"name":"cat"}[chat:den]` {
		t.Error(got)
	}
	if got := fetch(adapter.Target{Rooms: []string{"chat:nowhere"}}); got != "" {
		t.Error(got)
	}
	if got := fetch(adapter.Target{Rooms: []string{"secret:x"}}); got != "" {
		t.Error(got)
	}
}

func serverEvents(t *testing.T, sc *scene) {
	n := sc.node
	sc.here.set(func() { sc.here.answer = `{"go":1}` })
	sc.there.set(func() { sc.there.answer = `2` })
	n.do("tell", `"args":["tell",1,{"a":2}]`)
	for _, b := range []*backend{sc.here, sc.there} {
		b.until("is told", func() bool { return fmt.Sprint(b.events) == `[/ ["tell",1,{"a":2}]]` })
	}
	var got struct {
		Error   *string
		Answers []json.RawMessage
	}
	ask := func(fields string) {
		t.Helper()
		got.Answers, got.Error = nil, nil
		if err := json.Unmarshal([]byte(n.do("ask", fields)), &got); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got.Answers, func(a, b json.RawMessage) int { return strings.Compare(string(a), string(b)) })
	}
	if ask(`"args":["ask",5],"nsp":"/chat"`); got.Error != nil || fmt.Sprintf("%s", got.Answers) != `[2 {"go":1}]` {
		t.Errorf("%s, %v", got.Answers, got.Error)
	}
	// One that does not answer: the error, and what came.
	sc.there.set(func() { sc.there.answer = "" })
	if ask(`"args":["ask",6]`); got.Error == nil || !strings.Contains(*got.Error, "timeout reached") || fmt.Sprintf("%s", got.Answers) != `[{"go":1}]` {
		t.Errorf("%s, %v", got.Answers, got.Error)
	}

	sc.there.mu.Lock()
	before := len(sc.there.events)
	sc.there.mu.Unlock()
	if err := sc.one.ServerSideEmit("/", event(`["tell",7,"x"]`)); err != nil {
		t.Fatal(err)
	}
	n.hears(`{"server":"/","event":"tell","args":[7,"x"]}`)
	answers, missing, err := sc.one.ServerSideRequest(t.Context(), "/", event(`["ask",8]`))
	if err != nil || len(missing) > 0 || len(answers) != 1 || string(answers[0].Value) != `{"node":[8]}` {
		t.Errorf("%s, missing %v, %v", answers, missing, err)
	}
	n.hears(`{"server":"/","event":"ask","args":[8]}`)
	// Nobody answers an event without a listener.
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	answers, missing, err = sc.one.ServerSideRequest(ctx, "/", event(`["nobody"]`))
	if err != nil || len(missing) != 1 || len(answers) != 0 {
		t.Errorf("%s, missing %v, %v", answers, missing, err)
	}
	sc.there.until("the own fleet gets nothing that it has its own way", func() bool { return len(sc.there.events) == before })
}

func acksFromNode(t *testing.T, sc *scene) {
	var got struct {
		Error   *string
		Answers []json.RawMessage
	}
	acks := func(fields string) string {
		t.Helper()
		got.Answers, got.Error = nil, nil
		if err := json.Unmarshal([]byte(sc.node.do("acks", fields)), &got); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, a := range got.Answers {
			out = append(out, string(a))
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	if s := acks(`"args":["q",1],"rooms":["den"],"timeout":10000`); s != `"`+sid2+`" "Dddddddddddddddddddd" {"from":"bob","got":[1]}` || got.Error != nil {
		t.Errorf("%s, %v", s, got.Error)
	}
	if s := acks(`"args":["q"],"rooms":["nowhere"],"timeout":10000`); s != "" || got.Error != nil {
		t.Errorf("%s, %v", s, got.Error)
	}
	sc.here.set(func() {
		sc.here.ack = func(id string, _ adapter.Event) (string, [][]byte, bool) {
			return `[{"b":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0}]`, [][]byte{{9}, {1, 2}}, id == sid2
		}
	})
	sc.there.set(func() {
		sc.there.ack = func(string, adapter.Event) (string, [][]byte, bool) { return `[]`, nil, true }
	})
	if s := acks(`"args":["nothing",{"$":"AQI="}],"rooms":["den"],"timeout":10000`); s != `null null {"b":{"type":"Buffer","data":[1,2]}}` || got.Error != nil {
		t.Errorf("%s, %v", s, got.Error)
	}
	// One that never answers.
	if s := acks(`"args":["q"],"rooms":["lobby"],"except":["den"],"timeout":1000`); s != `{"from":"ann","got":[]}` || got.Error == nil {
		t.Errorf("%s, %v", s, got.Error)
	}
}

func acksToNode(t *testing.T, sc *scene) {
	request := func(e adapter.Event, timeout time.Duration, rooms ...string) (adapter.Answers, string) {
		t.Helper()
		a, err := sc.one.Request(t.Context(), adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: rooms}, Event: e}, timeout)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, r := range a.Replies {
			out = append(out, fmt.Sprint(string(r.Args), r.Attachments))
		}
		slices.Sort(out)
		return a, strings.Join(out, " ")
	}
	if a, s := request(event(`["q",1]`), patience); !a.Complete() || a.Expected != 2 || s != `[{"from":"ann","got":[1]}][] [{"from":"bob","got":[1]}][]` {
		t.Errorf("%s %+v", s, a)
	}
	if a, s := request(event(`["q",1]`), patience, "chat:nowhere"); !a.Complete() || a.Expected != 0 || s != "" {
		t.Errorf("%s %+v", s, a)
	}
	if a, s := request(event(`["q",{"_placeholder":true,"num":0}]`, []byte{7}), patience, "chat:den"); !a.Complete() || s != `[{"_placeholder":true,"num":0}][[7]]` {
		t.Errorf("%s %+v", s, a)
	}
	if a, s := request(event(`["nothing"]`), patience, "chat:den"); !a.Complete() || s != `[][]` && s != `[null][]` {
		t.Errorf("%s %+v", s, a)
	}
	if a, s := request(event(`["silent"]`), time.Second, "chat:den"); a.Complete() || a.Expected != 1 || len(a.Missing) > 0 || s != "" {
		t.Errorf("%s %+v", s, a)
	}
}
