package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = 20 * time.Second
	secret   = "sixteen bytes ok"
)

// receiver notes what comes and answers with the next of its statuses, the last
// one for ever.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	statuses []int
	got      []envelope
	bad      []string
}

func newReceiver(t *testing.T, statuses ...int) *receiver {
	r := &receiver{statuses: statuses}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		signature := q.Header.Get(signatureHeader)
		stamp, _, _ := strings.Cut(strings.TrimPrefix(signature, "t="), ",")
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || sign(secret, time.Unix(seconds, 0), body) != signature || time.Since(time.Unix(seconds, 0)) > time.Minute {
			r.bad = append(r.bad, signature)
		}
		var e envelope
		if err := json.Unmarshal(body, &e); err != nil || e.ID != q.Header.Get("Antchat-Event-Id") {
			r.bad = append(r.bad, string(body))
		}
		r.got = append(r.got, e)
		status := r.statuses[0]
		if len(r.statuses) > 1 {
			r.statuses = r.statuses[1:]
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) told() []envelope {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]envelope(nil), r.got...)
}

// outcomes counts.
type outcomes struct {
	mu  sync.Mutex
	all map[Outcome]int
}

func (o *outcomes) told(one Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.all == nil {
		o.all = make(map[Outcome]int)
	}
	o.all[one]++
}

func (o *outcomes) of(one Outcome) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[one]
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func newSender(t *testing.T, o Options) (*Sender, *outcomes) {
	t.Helper()
	var counted outcomes
	o.Told, o.Events, o.Backoff = counted.told, []string{"message", "join"}, time.Millisecond
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, &counted
}

// In order, signed, retried with the same id; only what a hook wants.
func TestDeliver(t *testing.T) {
	flaky, only := newReceiver(t, 500, 429, 200), newReceiver(t, 204)
	s, counted := newSender(t, Options{Hooks: []Hook{
		{flaky.URL, secret, []string{"message", "join"}}, {only.URL, secret, []string{"join"}},
	}})
	s.Offer("message", time.UnixMilli(1), map[string]int{"seq": 1})
	s.Offer("message", time.UnixMilli(2), map[string]int{"seq": 2})
	s.Offer("join", time.UnixMilli(3), nil)
	until(t, "four deliveries", func() bool { return counted.of(Delivered) == 4 })
	got := flaky.told()
	if len(got) != 5 || got[0].ID != got[1].ID || got[1].ID != got[2].ID || got[2].ID == got[3].ID || got[3].TS != 2 || got[4].Event != "join" {
		t.Errorf("%+v", got)
	}
	if got := only.told(); len(got) != 1 || got[0].Event != "join" || got[0].TS != 3 {
		t.Errorf("%+v", got)
	}
	if len(flaky.bad)+len(only.bad) > 0 {
		t.Errorf("%q %q", flaky.bad, only.bad)
	}
}

// What is refused is not tried again, what fails is given up, a redirect is not
// followed.
func TestGivesUp(t *testing.T) {
	refusing, failing, moved := newReceiver(t, 410), newReceiver(t, 500), newReceiver(t, 302)
	s, counted := newSender(t, Options{Attempts: 3, Hooks: []Hook{
		{refusing.URL, secret, []string{"join"}}, {failing.URL, secret, []string{"join"}}, {moved.URL, secret, []string{"join"}},
	}})
	s.Offer("join", time.Now(), nil)
	until(t, "the ends", func() bool { return counted.of(Refused) == 1 && counted.of(Failed) == 2 })
	if a, b := len(refusing.told()), len(failing.told()); a != 1 || b != 3 {
		t.Errorf("%d and %d attempts", a, b)
	}
}

// A receiver that says when to come again is left alone for as long, within bounds,
// and what is logged says which hook it was, without its address.
func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		header string
		most   time.Duration // Options.MaxBackoff
		least  time.Duration // between the attempts
	}{{"1", time.Minute, time.Second}, {"9999999999", 300 * time.Millisecond, 300 * time.Millisecond}, {"99999", 300 * time.Millisecond, 300 * time.Millisecond}, {"soon", time.Minute, 0}} {
		var mu sync.Mutex
		var at []time.Time
		busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			at = append(at, time.Now())
			w.Header().Set("Retry-After", tt.header)
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
		var log strings.Builder
		s, counted := newSender(t, Options{
			Hooks: []Hook{{busy.URL + "/secret-path", secret, []string{"join"}}}, Attempts: 2, MaxBackoff: tt.most, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		s.Offer("join", time.Now(), nil)
		until(t, "the end", func() bool { return counted.of(Failed) == 1 })
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
		busy.Close()
		if len(at) != 2 || at[1].Sub(at[0]) < tt.least && tt.header != "9999999999" {
			t.Errorf("%s: %v", tt.header, at)
		}
		if !strings.Contains(log.String(), "hook=1") || strings.Contains(log.String(), "secret-path") {
			t.Errorf("%s", log.String())
		}
	}
}

// A hook that does not answer delays nobody: its queue fills, and what is beyond
// it is counted. Close ends the attempt under way with its time.
func TestHangs(t *testing.T) {
	release := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hanging.Close()
	defer close(release)
	quick := newReceiver(t, 200)
	s, counted := newSender(t, Options{Queue: 5, Hooks: []Hook{
		{hanging.URL, secret, []string{"message"}}, {quick.URL, secret, []string{"join"}},
	}})
	for i := range 20 {
		s.Offer("message", time.Now(), i)
	}
	s.Offer("join", time.Now(), nil)
	until(t, "the other hook", func() bool { return counted.of(Delivered) == 1 })
	if n := counted.of(Dropped); n != 14 && n != 15 {
		t.Errorf("%d dropped", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); err == nil {
		t.Error("Close waited for nothing")
	}
	if n := counted.of(Dropped); n != 20 {
		t.Errorf("%d dropped in the end", n)
	}
	s.Offer("message", time.Now(), nil)
	if n := counted.of(Dropped); n != 21 {
		t.Errorf("%d dropped after the end", n)
	}
}

// Close waits for what is queued.
func TestCloseDelivers(t *testing.T) {
	r := newReceiver(t, 200)
	s, counted := newSender(t, Options{Hooks: []Hook{{r.URL, secret, []string{"message"}}}})
	for i := range 50 {
		s.Offer("message", time.Now(), i)
	}
	if err := s.Close(t.Context()); err != nil || counted.of(Delivered) != 50 {
		t.Errorf("%v, %d", err, counted.of(Delivered))
	}
	for i, e := range r.told() {
		if fmt.Sprint(e.Data) != strconv.Itoa(i) {
			t.Errorf("%v at %d", e.Data, i)
		}
	}
}

func TestBadHooks(t *testing.T) {
	for name, h := range map[string]Hook{
		"url": {"ftp://x", secret, []string{"join"}}, "user": {"https://a:b@x", secret, []string{"join"}}, "secret": {"https://x", "short", []string{"join"}},
		"events": {"https://x", secret, nil}, "event": {"https://x", secret, []string{"typing"}},
	} {
		if _, err := New(Options{Hooks: []Hook{h}, Events: []string{"join"}}); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
}
