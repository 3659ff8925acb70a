package official

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// record is a log that Append writes, shared by the nodes of a fleet. A key
// that it knows changes nothing.
type record struct {
	mu    sync.Mutex
	lines []string
	keys  map[string]bool
	calls map[string]int // by node
	again int            // appends of known keys
	// before is called for each append; an error is returned.
	before func(node string, m Message) error
}

func (r *record) append(node string) func(context.Context, Message) error {
	return func(_ context.Context, m Message) error {
		r.mu.Lock()
		before := r.before
		r.mu.Unlock()
		if before != nil {
			if err := before(node, m); err != nil {
				return err
			}
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.keys == nil {
			r.keys, r.calls = make(map[string]bool), make(map[string]int)
		}
		r.calls[node]++
		if r.keys[m.Key] {
			r.again++
			return nil
		}
		r.keys[m.Key] = true
		r.lines = append(r.lines, fmt.Sprint(m.Sender, " ", m.Namespace, " ", m.Room, " ", m.Name, " ", string(m.Event.Data)))
		return nil
	}
}

func (r *record) is(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		r.mu.Lock()
		got = slices.Clone(r.lines)
		r.mu.Unlock()
		if slices.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the log is\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A fleet without Node servers takes what @socket.io/redis-emitter publishes,
// and nothing else; among classic servers it does so as one of them.
func TestEmitter(t *testing.T) {
	for _, mode := range []Mode{Apart, Classic, Dynamic} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			addr := startRedis(t)
			var log record
			o := prefixed(Options{Mode: mode, Emitters: true, Logged: []string{"new message"}, Hooks: Hooks{
				Refused: func(why string) { t.Errorf("refused: %s", why) },
				Dropped: func(what string) { t.Errorf("dropped: %s", what) },
			}})
			back := []*backend{newBackend(t), newBackend(t)}
			s := []*fake{back[0].add("/", sid1, "chat:lobby"), back[1].add("/", sid2, "chat:lobby", "chat:den")}
			var bridges []*Bridge
			for i, b := range back {
				o.Append = log.append(fmt.Sprint(i))
				bridges = append(bridges, open(t, addr, o, b))
			}
			n := startNode(t, addr, "classic")
			both := func(want ...string) {
				t.Helper()
				back[0].got(s[0], want...)
				back[1].got(s[1], want...)
			}
			n.do("emit", `"emitter":true,"args":["all",{"a":1}]`)
			n.do("emit", `"emitter":true,"args":["one"],"rooms":["lobby"]`)
			n.do("emit", `"emitter":true,"args":["but"],"rooms":["lobby"],"except":["`+sid1+`"]`)
			n.do("emit", `"emitter":true,"args":["typing",{"$":"AQI="}],"rooms":["lobby","den"],"volatile":true`)
			n.do("emit", `"emitter":true,"args":["mine"],"rooms":["`+sid1+`"]`)
			back[0].got(s[0], `["all",{"a":1}]`, `["one"]`, `volatile ["typing",{"_placeholder":true,"num":0}]`, `["mine"]`)
			back[1].got(s[1], `["all",{"a":1}]`, `["one"]`, `["but"]`, `volatile ["typing",{"_placeholder":true,"num":0}]`)
			back[0].set(func() { s[0].got = nil })
			back[1].set(func() { s[1].got = nil })

			// The same text twice is two messages; a room that has nobody in it
			// has a log too.
			for _, line := range []string{`"one"`, `"one"`, `"two"`} {
				n.do("emit", `"emitter":true,"args":["new message",`+line+`],"rooms":["lobby"]`)
			}
			n.do("emit", `"emitter":true,"args":["new message","three"],"rooms":["attic","den"]`)
			n.do("emit", `"emitter":true,"args":["new message","nobody"]`)
			both(`["new message","nobody"]`)
			log.is(t, `emitter / chat:lobby lobby ["new message","one"]`, `emitter / chat:lobby lobby ["new message","one"]`, `emitter / chat:lobby lobby ["new message","two"]`,
				`emitter / chat:attic attic ["new message","three"]`, `emitter / chat:den den ["new message","three"]`)

			n.do("join", `"emitter":true,"rooms":["lobby"],"names":"new"`)
			back[1].until("joins", func() bool { return fmt.Sprint(s[1].rooms) == "[chat:den chat:lobby chat:new]" })
			n.do("leave", `"emitter":true,"rooms":["den"],"names":["lobby","new"]`)
			back[1].until("leaves", func() bool { return fmt.Sprint(s[1].rooms) == "[chat:den]" })
			n.do("tell", `"emitter":true,"args":["tell",1]`)
			for _, b := range back {
				b.until("is told", func() bool { return fmt.Sprint(b.events) == `[/ ["tell",1]]` })
			}
			n.hears(`{"server":"/","event":"tell","args":[1]}`)
			n.do("disconnect", `"emitter":true,"rooms":["new"],"close":true`)
			back[0].until("is thrown out", func() bool { return s[0].gone == "transport true" })

			// A Node server's own doings are for members only; in no case is one
			// waited for that does not answer.
			n.do("emit", `"args":["node"]`)
			n.do("emit", `"args":["new message","node"],"rooms":["den"]`)
			n.do("join", `"rooms":["den"],"names":["node"]`)
			if got := n.do("fetch", `"rooms":["nowhere"]`); got != "[]" {
				t.Error(got)
			}
			n.do("emit", `"emitter":true,"args":["end"]`)
			if mode == Classic {
				back[1].got(s[1], `["new message","nobody"]`, `["node"]`, `["new message","node"]`, `["end"]`)
				back[1].until("joins", func() bool { return fmt.Sprint(s[1].rooms) == "[chat:den chat:node]" })
			} else {
				back[1].got(s[1], `["new message","nobody"]`, `["end"]`)
				back[1].until("stays", func() bool { return fmt.Sprint(s[1].rooms) == "[chat:den]" })
			}
			if mode == Apart {
				if err := bridges[0].Emit(adapter.Emit{Target: adapter.Target{Namespace: "/"}, Event: event(`["x"]`)}); err != nil {
					t.Error(err)
				}
				if list, missing, err := bridges[0].FetchSockets(t.Context(), adapter.Target{Namespace: "/"}); err != nil || len(list)+len(missing) > 0 {
					t.Error(list, missing, err)
				}
			}
		})
	}
}

// managers is what sockets a and b of a scene get from testdata/capture.py in
// one version of python-socketio; nothing in those with pickles.
func managers(version string) (a, b, log []string) {
	list := []string{`["hi","a",2,null]`, `["hi",["a", 2]]`}
	binary := []string{`["b",{"_placeholder": true, "num": 0}]`, `["b",{"x": {"_placeholder": true, "num": 0}, "y": [{"_placeholder": true, "num": 1}]}]`, `["b","n",{"_placeholder": true, "num": 0}]`}
	switch version {
	case pickled:
		return nil, nil, nil
	case "5.14.0": // a list is an argument, and binary cannot be sent
		list, binary = []string{`["hi",["a", 2, null]]`, `["hi",["a", 2]]`}, nil
	case "5.14.2": // a list is taken for the arguments
		list, binary = []string{`["hi","a",2,null]`, `["hi","a",2]`}, binary[:2]
	}
	both := slices.Concat([]string{`["hi",{"a": 1}]`, `["hi","\ud14d\uc2a4\ud2b8 \ud83d\ude00"]`, `["hi",{"a": 1}]`, `["hi"]`}, list, []string{`["hi",1]`})
	end := []string{`["end",1]`}
	log = []string{`python / chat:lobby lobby ["new message","hello"]`, `python / chat:lobby lobby ["new message",{"text": "hello"}]`}
	return slices.Concat(both, binary, end), slices.Concat(both, []string{`["hi",1]`}, binary, end), log
}

// workers is a fleet of one node that Python writes to.
type workers struct {
	back    *backend
	a, b, c *fake
	log     record
	addr    string

	mu      sync.Mutex
	refused map[string]int
}

const sidA, sidB = "AAAAAAAAAAAAAAAAAAAA", "BBBBBBBBBBBBBBBBBBBB"

func newWorkers(t *testing.T) *workers {
	w := &workers{back: newBackend(t), addr: startRedis(t), refused: make(map[string]int)}
	o := prefixed(Options{Emitters: true, Logged: []string{"new message"}, Append: w.log.append("0"), Hooks: Hooks{Refused: func(why string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.refused[why]++
	}}})
	w.a, w.b = w.back.add("/", sidA, "chat:lobby", "chat:den"), w.back.add("/", sidB, "chat:lobby")
	w.c = w.back.add("/chat", "CCCCCCCCCCCCCCCCCCCC", "chat:lobby")
	open(t, w.addr, o, w.back)
	return w
}

// check waits for what the version's managers say.
func (w *workers) check(t *testing.T, version string, refused map[string]int, last ...string) {
	t.Helper()
	a, b, log := managers(version)
	w.back.got(w.b, append(b, last...)...)
	w.back.got(w.a, a...)
	if a != nil {
		w.back.got(w.c, `["hi",1]`)
		w.back.until("rooms", func() bool { return fmt.Sprint(w.a.rooms) == "[chat:lobby]" })
	}
	w.log.is(t, log...)
	eventually(t, fmt.Sprint("refused ", refused), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return fmt.Sprint(w.refused) == fmt.Sprint(refused)
	})
}

func TestPythonManager(t *testing.T) {
	for _, version := range []string{pickled, "5.14.0", "5.14.2", "5.15.1", "5.16.3"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			w := newWorkers(t)
			c := connect(t, w.addr)
			n := 0
			for _, v := range vectors(t, "python.json") {
				if v.Group == version {
					n++
					c.Publish(t.Context(), "socketio", v.bytes())
				}
			}
			c.Publish(t.Context(), "socketio", "nonsense")
			c.Publish(t.Context(), "socketio", `{"method":"callback","host_id":"x"}`)
			c.Publish(t.Context(), "socketio", `{"method":"emit","event":"mine","data":1,"room":"`+sidB+`"}`)
			c.Publish(t.Context(), "socketio", `{"method":"disconnect","sid":"`+sidB+`","namespace":"/"}`)
			w.back.until("is thrown out", func() bool { return w.b.gone == "transport false" })
			refused := map[string]int{"malformed": 1}
			if version == pickled {
				refused["pickle"] = n
			}
			w.check(t, version, refused, `["mine",1]`)
		})
	}
}

// Nodes that come and go while an emitter writes: every message once, in order,
// whoever leads.
func TestCollectorsTakeOver(t *testing.T) {
	t.Parallel()
	addr := startRedis(t)
	var log record
	client := connect(t, addr)
	o := Options{Emitters: true, Logged: []string{"new message"}, Lease: 400 * time.Millisecond, AppendTimeout: 10 * time.Second}
	var bridges []*Bridge
	for i := range 3 {
		o.Append = log.append(strconv.Itoa(i))
		b, err := Open(connect(t, addr), o, newBackend(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		b.Add("/")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := b.Wait(ctx, "/"); err != nil {
			t.Fatal(err)
		}
		bridges = append(bridges, b)
	}
	var want []string
	say := func(text string) {
		t.Helper()
		// As @socket.io/redis-emitter writes it.
		e := event(`["new message","` + text + `"]`)
		payload, err := appendBroadcast(nil, &message{uid: emitterUID, namespace: "/", event: e, to: target{rooms: []string{"lobby"}}})
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Publish(t.Context(), "socket.io#/#lobby#", payload).Err(); err != nil {
			t.Fatal(err)
		}
		want = append(want, `emitter / lobby lobby `+string(e.Data))
	}
	for range 5 {
		say("same")
	}
	log.is(t, want...)
	leader := func() int {
		log.mu.Lock()
		defer log.mu.Unlock()
		if len(log.calls) != 1 {
			t.Fatalf("appended by %v", log.calls)
		}
		for n := range log.calls {
			i, _ := strconv.Atoi(n)
			return i
		}
		return -1
	}()

	// The leader gets stuck in an append, its message recorded; more come, some
	// the same; then it dies. Whoever follows appends all.
	stuck := make(chan struct{})
	var once sync.Once
	log.mu.Lock()
	log.before = func(node string, _ Message) error {
		if node == strconv.Itoa(leader) {
			once.Do(func() { close(stuck) })
			<-bridges[leader].ctx.Done() // as long as it lives
			return adapter.ErrUnavailable
		}
		return nil
	}
	log.mu.Unlock()
	say("stuck")
	select {
	case <-stuck:
	case <-time.After(patience):
		t.Fatal("the leader has changed by itself")
	}
	for i := range 10 {
		say("more " + strconv.Itoa(i/3))
	}
	log.is(t, want...) // the lease runs out
	bridges[leader].Close()
	for i := range 4 {
		say("after " + strconv.Itoa(i/2))
	}
	log.is(t, want...)

	// A store that is away for a while.
	var left sync.Map
	log.mu.Lock()
	log.before = func(_ string, m Message) error {
		if _, tried := left.LoadOrStore(m.Key, true); !tried {
			return fmt.Errorf("away: %w", adapter.ErrUnavailable)
		}
		return nil
	}
	log.mu.Unlock()
	say("late")
	say("late")
	log.is(t, want...)
}

// What an append refuses for good is counted and holds nobody up.
func TestAppendRefused(t *testing.T) {
	t.Parallel()
	addr := startRedis(t)
	var log record
	dropped := make(chan string, 10)
	log.before = func(_ string, m Message) error {
		if strings.Contains(string(m.Event.Data), "bad") {
			return os.ErrInvalid
		}
		return nil
	}
	o := Options{Emitters: true, Logged: []string{"new message"}, Append: log.append("0"), Hooks: Hooks{Dropped: func(what string) { dropped <- what }}}
	open(t, addr, o, newBackend(t))
	c := connect(t, addr)
	for _, text := range []string{"bad", "good"} {
		c.Publish(t.Context(), "socketio", `{"method":"emit","event":"new message","data":"`+text+`","room":"lobby"}`)
	}
	log.is(t, `python / lobby lobby ["new message","good"]`)
	if what := <-dropped; what != "append" {
		t.Error(what)
	}
}
