package chatapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/socketio"
)

// patience bounds every wait of these tests. Only a failing test spends it.
const patience = 20 * time.Second

// fixture is a chat without a network.
type fixture struct {
	t   testing.TB
	sio *socketio.Server
	api *API
	a   *local.Adapter
}

// newChat starts a chat over an adapter in memory and ends it with the test.
func newChat(t testing.TB, o Options, lo local.Options) *fixture {
	t.Helper()
	a, err := local.Open(lo)
	if err != nil {
		t.Fatal(err)
	}
	return newChatOver(t, a, a, o)
}

// newChatOver is newChat over a store of the test's own around an adapter.
func newChatOver(t testing.TB, store Store, a *local.Adapter, o Options) *fixture {
	t.Helper()
	sio := socketio.NewServer(a, socketio.Options{
		Recovery: true, Offsets: socketio.OffsetsAlways, Views: Views, Secrets: Secrets, ErrorPayload: ErrorPayload, MaxHeld: 1 << 16,
	})
	api, err := New(sio.Of("/"), store, o)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, sio: sio, api: api, a: a}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		for _, end := range []func(context.Context) error{sio.Close, api.Close, a.Close} {
			if err := end(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return f
}

// got is one event that a client was sent.
type got struct {
	name string
	args []json.RawMessage // without the offset
	raw  string
}

// client is a Socket.IO client on a connection of its own: it is the
// connection (socketio.Conn) and speaks packets by hand.
type client struct {
	t        testing.TB
	revision int
	query    url.Values
	secrets  map[string]string
	sio      *socketio.Client
	bulk     bool // only count events: for benchmarks and big rooms

	sid, pid string

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at each change
	events   []got
	offset   string
	acks     map[uint64][]json.RawMessage
	acked    map[uint64]int
	nextID   uint64
	counted  int  // events
	watched  bool // bulk: somebody waits for the count
	opened   string
	accepted bool
	refused  string
	closed   bool
}

type frame struct {
	text   string
	binary [][]byte
}

func (c *client) ID() string                 { return "engine-" + fmt.Sprintf("%p", c) }
func (c *client) Revision() int              { return c.revision }
func (c *client) Transport() string          { return "websocket" }
func (c *client) RemoteAddr() string         { return "192.0.2.1" }
func (c *client) Header(string) string       { return "" }
func (c *client) Headers() map[string]string { return map[string]string{} }
func (c *client) Query() url.Values          { return c.query }
func (c *client) URL() string                { return "/socket.io/?" + c.query.Encode() }
func (c *client) Secure() bool               { return false }
func (c *client) CrossDomain() bool          { return false }
func (c *client) Go(f func())                { go f() }
func (c *client) Secret(name string) string  { return c.secrets[name] }
func (c *client) Opened() time.Time          { return time.Time{} }
func (c *client) Idle() bool                 { return true }
func (c *client) Prepare(text []byte, binary [][]byte) any {
	return frame{string(text), binary}
}
func (c *client) Send(f any) error { c.take(f.(frame)); return nil }
func (c *client) Queue(f any) error {
	c.take(f.(frame))
	return nil
}
func (c *client) Close(reason string) { go c.end(reason) }
func (c *client) Abort(reason string) { go c.end(reason) }

// end is the end of the connection, told to the server once.
func (c *client) end(reason string) {
	c.mu.Lock()
	sio, ended := c.sio, c.closed
	c.closed = true
	c.tellLocked()
	c.mu.Unlock()
	if !ended {
		sio.Closed(reason)
	}
}

func (c *client) tellLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// take is what the server sends.
func (c *client) take(f frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := f.text
	if text == "" {
		return // an attachment
	}
	if c.bulk && text[0] == '2' {
		if c.counted++; c.watched {
			c.tellLocked()
		}
		return
	}
	kind, rest := text[0], text[1:]
	if kind == '5' || kind == '6' { // binary: what the parts hold is not this package's business
		_, rest, _ = strings.Cut(rest, "-")
		kind -= 3
	}
	digits := 0
	for digits < len(rest) && rest[digits] >= '0' && rest[digits] <= '9' {
		digits++
	}
	switch kind {
	case '0':
		c.opened, c.accepted = rest, true
	case '2':
		c.counted++
		var all []json.RawMessage
		if err := json.Unmarshal([]byte(rest[digits:]), &all); err != nil {
			panic("event " + text + ": " + err.Error())
		}
		e := got{raw: rest}
		_ = json.Unmarshal(all[0], &e.name)
		e.args = all[1:]
		if c.pid != "" || c.opened != "" && strings.Contains(c.opened, `"pid"`) {
			if err := json.Unmarshal(e.args[len(e.args)-1], &c.offset); err != nil {
				panic("event without offset: " + text)
			}
			e.args = e.args[:len(e.args)-1]
		}
		if err := conforms(notices, e.name, e.args); err != nil {
			panic(fmt.Sprintf("%s: %v", text, err))
		}
		c.events = append(c.events, e)
	case '3':
		id, _ := strconv.ParseUint(rest[:digits], 10, 64)
		var args []json.RawMessage
		if err := json.Unmarshal([]byte(rest[digits:]), &args); err != nil {
			panic("ack " + text + ": " + err.Error())
		}
		c.acks[id] = args
		c.acked[id]++
	case '4':
		c.refused = rest
	}
	c.tellLocked()
}

// await waits until cond, called with the lock held, is true.
func (c *client) await(what string, cond func() bool) {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		ok, changed := cond(), c.changed
		if ok {
			c.mu.Unlock()
			return
		}
		state := fmt.Sprintf("closed %v, events %v", c.closed, c.events)
		c.mu.Unlock()
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatalf("waited in vain for %s (%.2000s)", what, state)
		}
	}
}

// hello says how to connect.
type hello struct {
	protocol int // 0: 5
	auth     any
	query    string
	secrets  map[string]string
	bulk     bool
}

// open begins a connection without waiting for the answer.
func (f *fixture) open(h hello) *client {
	f.t.Helper()
	c := &client{
		t: f.t, revision: 4, bulk: h.bulk, secrets: h.secrets, changed: make(chan struct{}),
		acks: make(map[uint64][]json.RawMessage), acked: make(map[uint64]int),
	}
	c.query, _ = url.ParseQuery(h.query)
	if h.protocol == 4 {
		c.revision = 3
	}
	c.mu.Lock()
	c.sio = f.sio.Accept(c)
	c.mu.Unlock()
	if h.protocol == 4 {
		return c
	}
	auth := []byte{}
	if h.auth != nil {
		auth, _ = json.Marshal(h.auth)
	}
	c.text("0" + string(auth))
	return c
}

// dial connects and returns when the socket is where it begins: until then
// volatile events pass it by.
func (f *fixture) dial(h hello) *client {
	f.t.Helper()
	c := f.open(h)
	c.await("the accept", func() bool { return c.accepted || c.refused != "" })
	c.mu.Lock()
	refused := c.refused
	var o struct{ SID, PID string }
	if json.Unmarshal([]byte(c.opened), &o) == nil {
		c.sid, c.pid = o.SID, o.PID
	}
	c.mu.Unlock()
	if refused != "" {
		f.t.Fatalf("refused: %s", refused)
	}
	c.answer(c.request(eventWho))
	return c
}

// text is what the client sends.
func (c *client) text(s string) {
	c.t.Helper()
	if err := c.sio.Text([]byte(s)); err != nil {
		c.t.Fatalf("%s: %v", s, err)
	}
}

func packetOf(event string, args []any) string {
	b, err := json.Marshal(append([]any{event}, args...))
	if err != nil {
		panic(err)
	}
	return string(b)
}

func (c *client) emit(event string, args ...any) {
	c.t.Helper()
	c.text("2" + packetOf(event, args))
}

// request emits with an acknowledgement and returns its id.
func (c *client) request(event string, args ...any) uint64 {
	c.t.Helper()
	c.mu.Lock()
	c.nextID++
	id := c.nextID
	c.mu.Unlock()
	c.text(fmt.Sprintf("2%d%s", id, packetOf(event, args)))
	return id
}

// answer waits for an acknowledgement.
func (c *client) answer(id uint64) []json.RawMessage {
	c.t.Helper()
	var args []json.RawMessage
	c.await(fmt.Sprintf("ack %d", id), func() bool {
		var ok bool
		args, ok = c.acks[id]
		return ok
	})
	return args
}

// call is request and answer, decoded.
func call[T any](c *client, event string, args ...any) T {
	c.t.Helper()
	answer := c.answer(c.request(event, args...))
	var v T
	if len(answer) != 1 {
		c.t.Fatalf("%s was acknowledged with %d arguments", event, len(answer))
	}
	var failed Refusal
	if json.Unmarshal(answer[0], &failed) == nil && failed.Error.Code != "" {
		if _, want := any(v).(Refusal); !want {
			c.t.Fatalf("%s %v: %+v", event, args, failed.Error)
		}
	}
	if err := json.Unmarshal(answer[0], &v); err != nil {
		c.t.Fatalf("%s was acknowledged with %s: %v", event, answer[0], err)
	}
	if failed.Error.Code == "" {
		if err := conforms(requests, event, answer); err != nil {
			c.t.Errorf("%s was acknowledged with %s: %v", event, answer[0], err)
		}
	}
	return v
}

// refusal is a call that must fail.
func (c *client) refusal(event string, args ...any) Problem {
	c.t.Helper()
	r := call[Refusal](c, event, args...)
	if r.Error.Code == "" {
		c.t.Fatalf("%s %v passed", event, args)
	}
	if r.Event != event {
		c.t.Errorf("the refusal of %q names %q", event, r.Event)
	}
	return r.Error
}

// next takes the next event of a name and leaves the others.
func (c *client) next(name string) got {
	c.t.Helper()
	var e got
	c.await(name, func() bool {
		for i := range c.events {
			if c.events[i].name == name {
				e = c.events[i]
				c.events = slices.Delete(c.events, i, i+1)
				return true
			}
		}
		return false
	})
	return e
}

// nextAs is next, its first argument decoded.
func nextAs[T any](c *client, name string) T {
	c.t.Helper()
	e := c.next(name)
	var v T
	if len(e.args) != 1 {
		c.t.Fatalf("%s came with %d arguments: %s", name, len(e.args), e.raw)
	}
	if err := json.Unmarshal(e.args[0], &v); err != nil {
		c.t.Fatalf("%s: %v", e.raw, err)
	}
	return v
}

// nothing checks that the events the client has been sent so far, and has not
// taken, hold none of these names. Bring it up to date first (see barrier).
func (c *client) nothing(names ...string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		for _, name := range names {
			if e.name == name {
				c.t.Errorf("there is an unexpected %s", e.raw)
			}
		}
	}
}

// barrier returns when everything that was published before has been delivered
// to all: it sends an event through the same sequencer and waits for it.
func (f *fixture) barrier(to ...*client) {
	f.t.Helper()
	mark := fmt.Sprintf("barrier %d", time.Now().UnixNano())
	if err := f.sio.Of("/").All().Ephemeral().Emit(context.Background(), mark); err != nil {
		f.t.Fatal(err)
	}
	for _, c := range to {
		c.next(mark)
	}
}

// drop loses the connection, as a dying network does.
func (c *client) drop() { c.end("transport close") }

// leave disconnects on purpose.
func (c *client) leave() {
	c.text("1")
	c.drop()
}

// back is the auth of a client that wants to be recovered.
func (c *client) back(more map[string]any) map[string]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	auth := map[string]any{"pid": c.pid}
	if c.offset != "" {
		auth["offset"] = c.offset
	}
	for k, v := range more {
		auth[k] = v
	}
	return auth
}
