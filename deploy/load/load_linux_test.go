package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/deploy/load/result"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// TestMain makes this program the parts of the runs that are divided.
func TestMain(m *testing.M) {
	if _, is := isPart(); is {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// deadline ends a wait that has failed.
const deadline = 30 * time.Second

// serve starts a server with the handlers of the vocabulary "plain", or with
// the chat's. fate says how often a message is emitted to its room: a good
// server's is 1.
func serve(t *testing.T, words string, o engineio.Options, fate func(n int64) int) string {
	t.Helper()
	store, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sockets := socketio.NewServer(store, socketio.Options{Recovery: true, Views: chatapi.Views, ErrorPayload: chatapi.ErrorPayload})
	root := sockets.Of("/")
	closers := []func(context.Context) error{sockets.Close}
	if words == "antchat" {
		api, err := chatapi.New(root, store, chatapi.Options{})
		if err != nil {
			t.Fatal(err)
		}
		closers = append(closers, api.Close)
	} else {
		socketio.OnArgs(root, "join", func(ctx context.Context, s *socketio.Socket, args socketio.Args) (struct{}, error) {
			var room string
			if err := args.Decode(0, &room); err != nil {
				return struct{}{}, err
			}
			return struct{}{}, s.Join(ctx, room)
		})
		var count atomic.Int64
		socketio.OnArgs(root, "msg", func(ctx context.Context, _ *socketio.Socket, args socketio.Args) (struct{}, error) {
			var room, text string
			if err := errors.Join(args.Decode(0, &room), args.Decode(1, &text)); err != nil {
				return struct{}{}, err
			}
			for range fate(count.Add(1)) {
				if err := root.To(room).Emit(ctx, "msg", text); err != nil {
					return struct{}{}, err
				}
			}
			return struct{}{}, nil
		})
	}
	engine := engineio.NewServer(func(s *engineio.Session) engineio.Handler { return sockets.Accept(s) }, o)
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", engine)
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		err := engine.Close(ctx)
		for _, f := range closers {
			err = errors.Join(err, f(ctx))
		}
		if err = errors.Join(err, store.Close(ctx)); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return server.URL
}

func once(int64) int { return 1 }

// do runs the command and gives its result.
func do(t *testing.T, url string, args ...string) (*result.Run, error) {
	t.Helper()
	dir := t.TempDir()
	args = append([]string{
		"-targets", url, "-quiet", "-limit", "3m", "-grace", "1m", "-warm-up", "200ms", "-duration", "1s", "-backoff", "50ms",
		"-json", filepath.Join(dir, "x.json"), "-svg", filepath.Join(dir, "x.svg"), "-pids", strconv.Itoa(os.Getpid()),
	}, args...)
	var out bytes.Buffer
	err := command(t.Context(), args, &out)
	text, rerr := os.ReadFile(filepath.Join(dir, "x.json"))
	if rerr != nil {
		t.Fatal(rerr, err)
	}
	var r result.Run
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	svg, rerr := os.Open(filepath.Join(dir, "x.svg"))
	if rerr != nil {
		t.Fatal(rerr)
	}
	defer svg.Close()
	lines := 0
	for d := xml.NewDecoder(svg); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("the plot is no XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines < len(panels) {
		t.Errorf("%d curves in the plot", lines)
	}
	if (err != nil) != strings.Contains(out.String(), "FAILED") {
		t.Errorf("the error is %v, and it says\n%s", err, out.String())
	}
	if t.Failed() {
		t.Log(out.String())
	}
	return &r, err
}

// TestModes: every mode against a good server, in both vocabularies where that
// makes a difference.
func TestModes(t *testing.T) {
	for _, tt := range []struct {
		mode, words string
		args        []string
		check       func(r *result.Run) bool
	}{
		{"idle", "plain", []string{"-clients", "60", "-sources", "3"}, func(r *result.Run) bool { return r.Counts.Connects == 60 && r.Counts.Sent == 0 }},
		{"room", "plain", []string{"-clients", "20", "-rate", "50", "-revision", "mixed", "-transport", "mixed"}, func(r *result.Run) bool {
			return r.Counts.Sent > 10 && r.Counts.Deliveries >= 10*r.Counts.Sent && r.Delivery.P50 > 0
		}},
		{"room", "plain", []string{"-clients", "20", "-rate", "0"}, func(r *result.Run) bool { return r.Counts.Sent > 10 && r.Counts.Deliveries > 10*r.Counts.Sent }},
		{"rooms", "plain", []string{"-clients", "40", "-rate", "100"}, func(r *result.Run) bool { return r.Options.Rooms == 4 && r.Counts.Deliveries > 100 }},
		{"chat", "plain", []string{"-clients", "40", "-rate", "200"}, func(r *result.Run) bool { return r.Counts.Drops > 0 && r.Counts.Reconnects > 0 && r.Counts.Typing == 0 }},
		{"chat", "antchat", []string{"-clients", "40", "-rate", "500", "-duration", "3s", "-revision", "mixed", "-transport", "mixed"}, func(r *result.Run) bool {
			c := r.Counts
			return c.Drops > 0 && c.Typing > 0 && c.Scrolls > 0 && c.Acked > 0 && c.Recovered > 0 && r.Ack != nil && r.History != nil
		}},
		{"storm", "antchat", []string{"-clients", "50", "-rate", "50"}, func(r *result.Run) bool {
			return r.Storm.Cut == 49 && r.Storm.WholeSeconds > 0 && r.Counts.Recovered == 49
		}},
		{"storm", "plain", []string{"-clients", "50", "-rate", "50", "-revision", "3"}, func(r *result.Run) bool { return r.Counts.Reconnects >= 49 && r.Counts.Recovered == 0 }},
		{"chat", "antchat", []string{"-clients", "61", "-processes", "3", "-rate", "500", "-rooms", "7", "-duration", "2s"}, func(r *result.Run) bool {
			c, ready := r.Counts, 0
			for _, s := range r.Samples {
				ready = max(ready, s.Ready)
			}
			return c.Connects >= 61 && c.Joins >= 61 && c.Drops > 0 && c.Acked > 0 && c.Deliveries > 0 && ready > 40 && ready <= 61 &&
				r.Ack != nil && r.Ack.Count == int64(c.Acked) && r.Delivery.Count == int64(c.Deliveries) && r.Rate.Deliveries > 0
		}},
		{"storm", "antchat", []string{"-clients", "50", "-processes", "2", "-rooms", "2", "-rate", "50"}, func(r *result.Run) bool {
			return r.Storm.Cut == 48 && r.Storm.WholeSeconds > 0 && r.Counts.Recovered == 48
		}},
		{"slow", "plain", []string{"-clients", "40", "-rate", "50", "-slow", "0.25"}, func(r *result.Run) bool {
			return r.Counts.Deliveries > 0 && r.Counts.Deliveries <= 30*(r.Counts.Sent+12)
		}},
	} {
		t.Run(tt.mode+" "+tt.words, func(t *testing.T) {
			t.Parallel()
			r, err := do(t, serve(t, tt.words, engineio.Options{}, once), append([]string{"-mode", tt.mode, "-vocabulary", tt.words}, tt.args...)...)
			if err != nil || !tt.check(r) {
				t.Errorf("%v: %+v\n%+v", err, r.Counts, r.Delivery)
			}
			if r.Machine == "" || len(r.Servers) != 1 || r.Servers[0].RSS == 0 || r.Self == nil || r.Rate.Connects == 0 {
				t.Errorf("not all is told: %+v", r.Servers)
			}
		})
	}
}

// TestBadServers: each fault is found, and ends the program with an error.
func TestBadServers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fate  func(n int64) int
		found func(v result.Verdicts) bool
	}{
		{"loses", func(n int64) int { return min(int(n%10), 1) }, func(v result.Verdicts) bool { return v.Lost > 0 && v.Repeated == 0 && v.Reordered == 0 }},
		{"loses the last", func(n int64) int {
			if n > 20 {
				return 0
			}
			return 1
		}, func(v result.Verdicts) bool { return v.Lost > 0 && v.Repeated == 0 && v.Reordered == 0 }},
		{"repeats", func(n int64) int { return 1 + max(int(n%10)-8, 0) }, func(v result.Verdicts) bool { return v.Repeated > 0 && v.Lost == 0 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := do(t, serve(t, "plain", engineio.Options{}, tt.fate), "-mode", "room", "-clients", "5", "-rate", "50", "-grace", "2s")
			if err == nil || !tt.found(r.Verdicts) {
				t.Errorf("%v: %+v", err, r.Verdicts)
			}
		})
	}
	t.Run("closes", func(t *testing.T) {
		// A frame of more than the limit ends the connection.
		r, err := do(t, serve(t, "plain", engineio.Options{MaxHTTPBufferSize: 1024}, once), "-mode", "room", "-clients", "3", "-rate", "20", "-size", "2000", "-grace", "2s")
		if err == nil || r.Counts.Unexpected == 0 {
			t.Errorf("%v: %+v", err, r.Counts)
		}
	})
	t.Run("loses, and many look", func(t *testing.T) {
		t.Parallel()
		fate := func(n int64) int { return min(int(n%10), 1) }
		r, err := do(t, serve(t, "plain", engineio.Options{}, fate), "-mode", "rooms", "-clients", "20", "-processes", "2", "-rate", "100", "-grace", "2s")
		if err == nil || r.Verdicts.Lost == 0 {
			t.Errorf("%v: %+v", err, r.Verdicts)
		}
	})
	t.Run("is full, and many ask", func(t *testing.T) {
		t.Parallel()
		r, err := do(t, serve(t, "plain", engineio.Options{MaxSessions: 5}, once), "-mode", "rooms", "-clients", "20", "-processes", "2", "-limit", "3s")
		if err == nil || r.Counts.Refused["503"] == 0 || r.Error == "" {
			t.Errorf("%v: %+v", err, r.Counts)
		}
	})
	t.Run("is full", func(t *testing.T) {
		r, err := do(t, serve(t, "plain", engineio.Options{MaxSessions: 5}, once), "-mode", "room", "-clients", "8", "-rate", "20", "-limit", "3s")
		if err == nil || r.Counts.Refused["503"] == 0 || r.Error == "" {
			t.Errorf("%v: %+v", err, r.Counts)
		}
	})
	t.Run("is not there", func(t *testing.T) {
		server := httptest.NewServer(nil)
		server.Close()
		if _, err := do(t, server.URL, "-clients", "3"); err == nil {
			t.Error("no error")
		}
	})
}

func TestOptionsRefuse(t *testing.T) {
	for _, args := range []string{
		"-mode x", "-clients 0", "-clients 1000001", "-rooms 5 -clients 4 -mode rooms", "-rate -1", "-size 10", "-duration 3h", "-limit 0s", "-sources 251", "-slow 1",
		"-revision 5", "-transport x", "-vocabulary x", "-pids x", "-pids 0", "-targets https://127.0.0.1:1", "-targets x", "-targets http://10.0.0.1:3000", "-targets http://192.0.2.1/",
		"-processes 0", "-mode storm -rooms 2 -processes 2 -kill 5 -pids 5 -targets http://127.0.0.1:1,http://127.0.0.1:2", "-processes 65 -mode rooms", "-processes 2 -mode room", "-processes 2 -mode rooms -rate 0",
		"-mode storm -kill 5", "-mode chat -rate 0", "extra", "-on-killed 5", "-mode storm -kill 5 -pids 5 -targets http://127.0.0.1:1,http://127.0.0.1:2 -clients 10 -on-killed 10", "-mode storm -kill 5 -pids 6 -targets http://127.0.0.1:1,http://127.0.0.1:2",
	} {
		if o, err := parseOptions(append([]string{"-quiet"}, strings.Fields(args)...)); err == nil {
			t.Errorf("%s: %+v", args, o)
		}
	}
	o, err := parseOptions(strings.Fields("-targets http://10.0.0.1/chat -allow-remote -mode rooms -clients 100"))
	if err != nil || o.servers[0].String() != "10.0.0.1:80" || o.path != "/chat/" || o.Rooms != 10 {
		t.Errorf("%v: %+v", err, o)
	}
}

func TestText(t *testing.T) {
	s := text(42, 17, 123456, 128)
	if room, n, at, ok := readText([]byte(s)); len(s) != 128 || room != 42 || n != 17 || at != 123456 || !ok {
		t.Errorf("%q: %d %d %d %v", s, room, n, at, ok)
	}
	for _, bad := range []string{"", "hello, this is no number at all", s[:headSize-1]} {
		if _, _, _, ok := readText([]byte(bad)); ok {
			t.Errorf("%q", bad)
		}
	}
}

func TestTicks(t *testing.T) {
	for _, most := range []float64{0.003, 0.9, 1, 7, 10, 99, 12345} {
		got := ticks(most)
		if len(got) < 2 || len(got) > 7 || got[0] != 0 || got[len(got)-1] > most {
			t.Errorf("%v: %v", most, got)
		}
	}
}
