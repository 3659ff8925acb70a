package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// receiver takes traces as OTLP over HTTP.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	spans []*tracev1.Span   // guarded by mu
	nodes map[string]string // by span id; guarded by mu
	keys  map[string]bool   // of attributes; guarded by mu
	auth  string            // guarded by mu
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{nodes: map[string]string{}, keys: map[string]bool{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var got collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &got)
		}
		if err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", req.URL, err)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.auth = req.Header.Get("Authorization")
		for _, rs := range got.ResourceSpans {
			node := ""
			for _, a := range rs.Resource.Attributes {
				if a.Key == "service.instance.id" {
					node = a.Value.GetStringValue()
				}
			}
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					r.spans = append(r.spans, s)
					r.nodes[string(s.SpanId)] = node
					for _, a := range s.Attributes {
						r.keys[a.Key+"="+a.Value.String()] = true
					}
				}
			}
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// named are the spans of a name.
func (r *receiver) named(name string) (list []*tracev1.Span) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if s.Name == name {
			list = append(list, s)
		}
	}
	return list
}

// talker is a client of the plainest kind.
type talker struct {
	t        *testing.T
	endpoint string
	heard    string
}

func newTalker(t *testing.T, p *program, name string) *talker {
	t.Helper()
	c := &talker{t: t, endpoint: p.url() + "socket.io/?EIO=4&transport=polling&sid=" + open(t, p.url())}
	c.say("40")
	c.await(`40{"sid":"`)
	c.say(fmt.Sprintf(`421["add user",%q]`, name))
	c.await(`431[`)
	return c
}

func (c *talker) say(packet string) {
	c.t.Helper()
	resp, err := http.Post(c.endpoint, "text/plain;charset=UTF-8", strings.NewReader(packet))
	if err != nil {
		c.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s", packet, resp.Status)
	}
}

func (c *talker) await(want string) {
	c.t.Helper()
	for !strings.Contains(c.heard, want) {
		more, err := fetch(c.endpoint)
		if err != nil {
			c.t.Fatalf("waiting for %q: %v", want, err)
		}
		c.heard += more
	}
}

// TestTraces: over two nodes, a message's trace leads from the event through the
// append to a delivery on each node; so does that of an event that is passed on.
// Of what is not sampled nothing is sent; nor is anything that was said.
func TestTraces(t *testing.T) {
	r := newReceiver(t)
	url := "redis://" + redisServer(t)
	var nodes []*program
	var stops []func() error
	for range 2 {
		p, stop := serve(t, "--redis.url", url, "--tracing.url", r.URL+"/v1/traces", "--tracing.one_in", "1",
			"--tracing.headers", "authorization=Bearer x", "--relay.events", "draw")
		nodes, stops = append(nodes, p), append(stops, stop)
		for limit := time.Now().Add(deadline); p.ready() != nil; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(limit) {
				t.Fatal(p.ready())
			}
		}
	}
	newTalker(t, nodes[0], "Sora") // somebody there who hears what Mina says
	a, b := newTalker(t, nodes[0], "Mina"), newTalker(t, nodes[1], "Jun")
	a.say(`422["new message",{"room":"lobby","message":"hunter2","id":"m1"}]`)
	a.await(`432[`)
	b.await(`"hunter2"`)
	// Typing is volatile: who has no poll pending just then misses it. What follows
	// it shows that it was delivered.
	a.say(`424["typing",{"room":"lobby"}]`)
	a.await(`434[`)
	a.say(`423["draw","lobby","hunter2"]`)
	a.await(`433[`)
	b.await(`"draw"`)
	a.say(`425["made up by a client"]`)
	a.await(`435[`)
	for _, stop := range stops { // sends what is left
		if err := stop(); err != nil {
			t.Error(err)
		}
	}

	for event, step := range map[string]string{"event new message": "append", "event draw": "emit", "event typing": "emit"} {
		roots := r.named(event)
		if len(roots) != 1 {
			t.Errorf("%d spans of %q", len(roots), event)
			continue
		}
		root := roots[0]
		var middle *tracev1.Span
		for _, s := range r.named(step) {
			if string(s.ParentSpanId) == string(root.SpanId) {
				middle = s
			}
		}
		if middle == nil || string(middle.TraceId) != string(root.TraceId) || len(root.ParentSpanId) != 0 {
			t.Errorf("%s: no %s beneath it", event, step)
			continue
		}
		delivered := map[string]bool{}
		for _, s := range r.named("deliver") {
			if string(s.ParentSpanId) == string(middle.SpanId) {
				if string(s.TraceId) != string(root.TraceId) || s.EndTimeUnixNano < s.StartTimeUnixNano {
					t.Errorf("%s: a delivery of another trace, or of no time: %v", event, s)
				}
				delivered[r.nodes[string(s.SpanId)]] = true
			}
		}
		for _, p := range nodes {
			if !delivered[p.adapter.NodeID()] {
				t.Errorf("%s (trace %s): no delivery on %s, but on %v", event, hex.EncodeToString(root.TraceId), p.adapter.NodeID(), delivered)
			}
		}
	}
	if n := len(r.named("event other")); n != 1 {
		t.Errorf("%d spans of an unknown event", n)
	}
	for _, s := range r.named("event other") {
		if s.Status.GetCode() != tracev1.Status_STATUS_CODE_ERROR {
			t.Error("a refused event is no error")
		}
	}
	if r.auth != "Bearer x" {
		t.Errorf("the receiver was sent %q", r.auth)
	}
	for key := range r.keys {
		if strings.Contains(key, "hunter2") || strings.Contains(key, "lobby") || strings.Contains(key, "made up") || strings.Contains(key, "Mina") {
			t.Errorf("sent: %s", key)
		}
	}
}

// TestTracesAreSampled: of events that are not chosen, and with tracing off,
// nothing is sent, and the store is used as it is.
func TestTracesAreSampled(t *testing.T) {
	r := newReceiver(t)
	p, stop := serve(t, "--tracing.url", r.URL+"/v1/traces", "--tracing.one_in", "1000000000")
	c := newTalker(t, p, "Mina")
	c.say(`422["new message",{"room":"lobby","message":"hello","id":"m1"}]`)
	c.await(`432[`)
	if err := stop(); err != nil {
		t.Error(err)
	}
	if n := len(r.spans); n != 0 {
		t.Errorf("%d spans", n)
	}
	p, stop = serve(t)
	if p.tracer != nil {
		t.Error("there is a tracer without a receiver")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestReceiverAway: traces that nobody takes hold nothing up.
func TestReceiverAway(t *testing.T) {
	p, stop := serve(t, "--tracing.url", "http://127.0.0.1:1/v1/traces", "--tracing.one_in", "1")
	c := newTalker(t, p, "Mina")
	c.say(`422["new message",{"room":"lobby","message":"hello","id":"m1"}]`)
	c.await(`432[`)
	if err := stop(); err != nil {
		t.Error(err)
	}
}
