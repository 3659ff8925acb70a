package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/antchat/antchat/server/gateway"
)

// lines decodes what was logged.
func lines(t *testing.T, b *bytes.Buffer) (all []map[string]any) {
	t.Helper()
	for d := json.NewDecoder(b); d.More(); {
		var m map[string]any
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func TestCloudNames(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b, LogOptions{Level: slog.LevelDebug, Format: Cloud, Project: "my-project"})
	defer l.Close()
	l.Debug("a")
	l.With("k", 1).WithGroup("g").Warn("b", "message", "inner")
	l.Error("c", "error", errors.New("broken"))
	r := httptest.NewRequest("GET", "/socket.io/?sid=secret", nil)
	r.Header.Set("X-Cloud-Trace-Context", "105445aa7843bc8bf206b12000100000/10;o=1")
	l.InfoContext(withTraceOf(t.Context(), r), "d")
	got := lines(t, &b)
	for i, want := range []map[string]string{
		{"severity": "DEBUG", "message": "a"},
		{"severity": "WARNING", "message": "b", "k": "1", "g": "map[message:inner]"},
		{"severity": "ERROR", "message": "c", "error": "broken"},
		{
			"severity": "INFO", "message": "d", "logging.googleapis.com/trace": "projects/my-project/traces/105445aa7843bc8bf206b12000100000",
			"logging.googleapis.com/spanId": "000000000000000a", "logging.googleapis.com/trace_sampled": "true",
		},
	} {
		for k, v := range want {
			if fmt.Sprint(got[i][k]) != v {
				t.Errorf("line %d: %s is %v, want %s", i, k, got[i][k], v)
			}
		}
		if got[i]["msg"] != nil || got[i]["level"] != nil {
			t.Errorf("line %d has slog's own names: %v", i, got[i])
		}
		if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(got[i]["time"])); err != nil {
			t.Error(err)
		}
	}
}

func TestTraceOfRequest(t *testing.T) {
	const id, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	for _, tt := range []struct {
		name, value string
		want        traceRef
	}{
		{"Traceparent", "00-" + id + "-" + span + "-01", traceRef{id, span, true}},
		{"Traceparent", "00-" + id + "-" + span + "-00", traceRef{id, span, false}},
		{"Traceparent", "01-" + id + "-" + span + "-01-more", traceRef{id, span, true}},
		{"Traceparent", "00-" + strings.Repeat("0", 32) + "-" + span + "-01", traceRef{}},
		{"Traceparent", "00-" + strings.ToUpper(id) + "-" + span + "-01", traceRef{}},
		{"Traceparent", "00-" + id + "-" + span, traceRef{}},
		{"Traceparent", `","severity":"` + id, traceRef{}},
		{"X-Cloud-Trace-Context", id, traceRef{id: id}},
		{"X-Cloud-Trace-Context", id + "/1;o=0", traceRef{id: id, span: "0000000000000001"}},
		{"X-Cloud-Trace-Context", id + "/18446744073709551615;o=1", traceRef{id, "ffffffffffffffff", true}},
		{"X-Cloud-Trace-Context", id + "/x;o=1", traceRef{id: id, sampled: true}},
		{"X-Cloud-Trace-Context", "x/1;o=1", traceRef{}},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(tt.name, tt.value)
		if got := traceOfRequest(r); got != tt.want {
			t.Errorf("%s: %s: %+v, want %+v", tt.name, tt.value, got, tt.want)
		}
	}
}

// TestRequestLine has the fields of Cloud Logging's HttpRequest, and no query.
func TestRequestLine(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b, LogOptions{Level: slog.LevelDebug, Format: Cloud})
	defer l.Close()
	m := New("")
	h := m.Gateway(l.Logger, func(*http.Request) string { return "192.0.2.7" })
	r := httptest.NewRequest("GET", "/socket.io/?EIO=4&token=hunter2", nil)
	r.Header.Set("User-Agent", strings.Repeat("x", 1000))
	h.Served(r, gateway.Served{Route: gateway.RouteEndpoint, Status: 503, Bytes: 7, Took: 1500 * time.Millisecond})
	h.Served(r, gateway.Served{Route: gateway.RoutePage, Status: 500})
	h.Served(r, gateway.Served{Route: gateway.RouteEndpoint, Status: 101})
	if strings.Contains(b.String(), "hunter2") {
		t.Error("the query is logged")
	}
	got := lines(t, &b)
	want := map[string]any{
		"requestMethod": "GET", "requestUrl": "/socket.io/", "status": 503.0, "responseSize": "7", "remoteIp": "192.0.2.7",
		"protocol": "HTTP/1.1", "latency": "1.500000s", "userAgent": strings.Repeat("x", 256) + "…",
	}
	request, _ := got[0]["httpRequest"].(map[string]any)
	for k, v := range want {
		if request[k] != v {
			t.Errorf("%s is %v, want %v", k, request[k], v)
		}
	}
	if got[0]["severity"] != "DEBUG" || got[1]["severity"] != "WARNING" {
		t.Errorf("severities %v, %v", got[0]["severity"], got[1]["severity"])
	}
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{
		`antchat_http_requests_total{route="endpoint",status="503"} 1`, `antchat_http_requests_total{route="endpoint",status="101"} 1`,
		`antchat_http_requests_total{route="page",status="5xx"} 1`,
	} {
		if !strings.Contains(w.Body.String(), "\n"+line) {
			t.Errorf("no %s", line)
		}
	}
}

// TestSampling: of each kind so many lines a second; the rest is counted, and the
// sum is right whatever the load.
func TestSampling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bytes.Buffer
		l := NewLog(&b, LogOptions{Level: slog.LevelInfo, PerSecond: 5})
		flood := func(n int) {
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for range n / 4 {
						l.Warn("flood", "n", 1)
					}
				})
			}
			wg.Wait()
		}
		flood(100)
		l.With("who", "another").Warn("flood") // the same kind
		l.Info("flood")                        // another level
		l.Info("rare")
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		l.Warn("flood") // a new second
		flood(40)
		l.Debug("below the level")
		l.Close()
		flood(8) // nothing waits for a timer any more
		synctest.Wait()

		seen, left := map[string]int{}, 0
		for _, m := range lines(t, &b) {
			seen[fmt.Sprint(m["level"], " ", m["msg"])]++
			if m["msg"] == "lines left out" {
				left += int(m["left_out"].(float64))
				if m["of"] != "flood" {
					t.Errorf("left out of %v", m["of"])
				}
			}
		}
		if seen["WARN flood"] != 10 || seen["INFO flood"] != 1 || seen["INFO rare"] != 1 || left != 101-5+41-5 || seen["WARN lines left out"] != 2 {
			t.Errorf("%v, %d left out", seen, left)
		}
	})
}

// Kinds are bounded, so that what an error's text brings cannot grow them.
func TestSamplingBoundsKinds(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b, LogOptions{PerSecond: 1})
	defer l.Close()
	for i := range 3 * maxKinds {
		l.Info(fmt.Sprint("kind ", i))
	}
	if n := len(l.sampler.kinds); n > maxKinds+1 {
		t.Errorf("%d kinds", n)
	}
	if n := len(lines(t, &b)); n > maxKinds+1 {
		t.Errorf("%d lines", n)
	}
}

func TestHTTPErrors(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b, LogOptions{Level: slog.LevelDebug})
	defer l.Close()
	HTTPErrors(l.Logger).Printf("http: TLS handshake error from %s", "192.0.2.1")
	got := lines(t, &b)
	if len(got) != 1 || got[0]["msg"] != "http server" || got[0]["error"] != "http: TLS handshake error from 192.0.2.1" {
		t.Errorf("%v", got)
	}
}

// A context without a trace adds nothing, and a nil one does no harm.
func TestNoTrace(t *testing.T) {
	var b bytes.Buffer
	l := NewLog(&b, LogOptions{Format: Cloud})
	defer l.Close()
	_ = l.Handler().Handle(context.Context(nil), slog.NewRecord(time.Now(), slog.LevelInfo, "x", 0))
	if strings.Contains(b.String(), "trace") {
		t.Errorf("%s", b.String())
	}
}
