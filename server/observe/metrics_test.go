package observe

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/adapter/redis"
	"github.com/antchat/antchat/adapter/redis/official"
	"github.com/antchat/antchat/server/adminui"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/overload"
	"github.com/antchat/antchat/server/socketio"
)

func TestMain(m *testing.M) {
	// go-redis ends its attempts to dial with delay.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

// everything is metrics with all hooks filled, over a node with the embedded
// store and one in a fleet.
type everything struct {
	*Metrics
	fleet   *Metrics
	engine  engineio.Hooks
	sockets socketio.Hooks
	chat    chatapi.Hooks
	load    overload.Hooks
	local   local.Hooks
	redis   redis.Hooks
	others  official.Hooks
	pages   adminui.Hooks
}

func newEverything(t *testing.T) *everything {
	t.Helper()
	m, fleet := New("v1.2.3"), New("v1.2.3")
	e := &everything{Metrics: m, fleet: fleet, engine: m.EngineIO(), sockets: m.SocketIO(chatapi.Events), chat: m.Chat(chatapi.Events), load: m.Overload(), local: m.Local(), redis: fleet.Redis(), others: fleet.Official(slog.New(slog.DiscardHandler)), pages: m.AdminUI()}
	l, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := redis.Open(redis.Options{URL: "redis://127.0.0.1:1"}) // nobody is there, which is no error yet
	if err != nil {
		t.Fatal(err)
	}
	m.Gateway(slog.New(slog.DiscardHandler), func(*http.Request) string { return "" })
	m.API()
	m.Webhooks()
	eio := engineio.NewServer(func(*engineio.Session) engineio.Handler { return nil }, engineio.Options{})
	t.Cleanup(func() {
		ctx := context.Background() // t.Context has ended
		_ = eio.Close(ctx)
		_ = l.Close(ctx)
		_ = r.Close(ctx)
	})
	m.Watch(Watched{Engine: eio, MaxSessions: 1000, Local: l})
	fleet.Watch(Watched{Redis: r})
	return e
}

// scrape asks both nodes.
func (e *everything) scrape(t *testing.T) (all string) {
	t.Helper()
	for _, m := range []*Metrics{e.Metrics, e.fleet} {
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		if w.Code != 200 {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		all += w.Body.String()
	}
	return all
}

var ours = regexp.MustCompile(`\bantchat_[a-z0-9_]+`)

// TestOperationsNamesEveryMetric: the page for operators has a row for each
// metric, and for none that is not there.
func TestOperationsNamesEveryMetric(t *testing.T) {
	var have []string
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (antchat_[a-z0-9_]+) `).FindAllStringSubmatch(newEverything(t).scrape(t), -1) {
		if !slices.Contains(have, m[1]) {
			have = append(have, m[1])
		}
	}
	if len(have) < 50 {
		t.Errorf("only %d metrics", len(have))
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(antchat_[a-z0-9_]+)").FindAllStringSubmatch(string(page), -1)
	var rowed []string
	for _, r := range rows {
		if slices.Contains(rowed, r[1]) {
			t.Errorf("%s has two rows", r[1])
		}
		rowed = append(rowed, r[1])
	}
	for _, name := range have {
		if !slices.Contains(rowed, name) {
			t.Errorf("docs/operations.md has no row for %s", name)
		}
	}
	for _, name := range ours.FindAllString(string(page), -1) {
		base := name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			base = strings.TrimSuffix(base, suffix)
		}
		if !slices.Contains(have, name) && !slices.Contains(have, base) {
			t.Errorf("docs/operations.md names %s, which is no metric", name)
		}
	}
}

// TestConventions has Prometheus's own linter look at names, units and help.
func TestConventions(t *testing.T) {
	e := newEverything(t)
	for _, m := range []*Metrics{e.Metrics, e.fleet} {
		problems, err := testutil.GatherAndLint(m.registry)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			if strings.HasPrefix(p.Metric, namespace) {
				t.Errorf("%s: %s", p.Metric, p.Text)
			}
		}
	}
}

// TestHooksCount calls each hook once and looks for what it counts.
func TestHooksCount(t *testing.T) {
	e := newEverything(t)
	e.engine.Opened("polling", 4)
	e.engine.Opened("websocket", 3)
	e.engine.Upgraded(4)
	e.engine.Closed("websocket", 3, "ping timeout", time.Minute)
	e.engine.Closed("polling", 3, "a reason that nobody knows", time.Second)
	e.engine.UpgradeFailed("timeout")
	e.engine.Refused(engineio.RefusedCapacity)
	e.engine.Refused(99)
	e.engine.SlowClient(1, 1, true)
	e.engine.SlowClient(1, 1, false)
	e.engine.Blocked()
	e.engine.Received("websocket", 1, 10)
	e.engine.Sent("polling", 3, 30)
	e.engine.Polled(100, 40, true)
	e.engine.Relayed("get", engineio.RelaySpared, 7, time.Second)
	e.engine.RelayServed("recall", engineio.ServedSpared, 0, time.Millisecond)
	e.engine.RelayLost()
	e.engine.Moved(engineio.MoveDone, time.Second)
	e.engine.WordLost()
	e.engine.FrameError(1009)
	e.engine.FrameError(4711)
	e.engine.Panicked()
	e.sockets.Refused("/", &socketio.ConnectError{Message: "Invalid namespace"})
	e.sockets.Refused("/", &socketio.ConnectError{Message: "made up"})
	e.sockets.Refused("/", os.ErrClosed)
	e.sockets.Received(nil, "new message", 12)
	e.sockets.Handled(nil, "new message", time.Millisecond, nil)
	e.sockets.Handled(nil, "made up by a client", time.Millisecond, os.ErrClosed)
	e.sockets.Delivered(&adapter.Delivery{Class: adapter.Logged, Time: time.Now()}, 7, 2, time.Millisecond)
	e.sockets.Dropped(nil, "typing")
	e.sockets.Acked(nil, time.Second)
	e.sockets.AckTimedOut(nil)
	e.sockets.Panicked("render", nil)
	e.sockets.Violation("malformed packet")
	e.chat.Sent(false)
	e.chat.Sent(true)
	e.chat.Refused("made up by a client", chatapi.CodeUnknownEvent)
	e.chat.Named()
	e.load.Read(overload.Reading{Memory: 0.25, Delay: 30 * time.Millisecond})
	e.load.Changed(overload.Connections, true, overload.Reading{})
	e.load.Changed(overload.Reads, true, overload.Reading{})
	e.load.Changed(overload.Reads, false, overload.Reading{})
	e.local.Commit(3, time.Millisecond, nil)
	e.local.Trimmed(5)
	e.local.Appended(time.Millisecond, os.ErrClosed)
	e.redis.Batch(9, time.Millisecond, nil)
	e.redis.Call(time.Millisecond, os.ErrClosed)
	e.redis.LinkLost(0, "cut")
	e.redis.Repaired(0, time.Second, 6)
	e.redis.Gap(2)
	e.redis.Dropped("malformed entry")
	e.redis.Fenced()
	e.others.Refused("pickle")
	e.others.Dropped("append")
	e.others.Lost("cut")
	e.pages.Admitted("token")
	e.pages.Refused("guesses")
	e.pages.Dropped()
	got := e.scrape(t)
	for _, line := range []string{
		`antchat_build_info{goversion="go`,
		`antchat_engineio_sessions{revision="4",transport="polling"} 0`,
		`antchat_overload_memory_ratio 0.25`,
		`antchat_overload_delay_seconds 0.03`,
		`antchat_overload_active{step="connections"} 1`,
		`antchat_overload_active{step="reads"} 0`,
		`antchat_overload_begun_total{step="reads"} 1`,
		`antchat_engineio_sessions{revision="4",transport="websocket"} 1`,
		`antchat_engineio_sessions_opened_total{revision="3",transport="websocket"} 1`,
		`antchat_engineio_sessions_closed_total{reason="ping_timeout"} 1`,
		`antchat_engineio_sessions_closed_total{reason="other"} 1`,
		`antchat_engineio_session_duration_seconds_bucket{le="60"} 2`,
		`antchat_engineio_upgrades_total{revision="4"} 1`,
		`antchat_engineio_upgrades_failed_total{reason="timeout"} 1`,
		`antchat_engineio_requests_refused_total{reason="max_sessions"} 1`,
		`antchat_engineio_requests_refused_total{reason="other"} 1`,
		`antchat_engineio_slow_clients_total{cause="queue_full"} 1`,
		`antchat_engineio_slow_clients_total{cause="write_timeout"} 1`,
		`antchat_engineio_blocked_writes_total 1`,
		`antchat_engineio_packets_total{direction="in",transport="websocket"} 1`,
		`antchat_engineio_bytes_total{direction="out",transport="polling"} 30`,
		`antchat_engineio_polls_total{compressed="true"} 1`,
		`antchat_engineio_poll_payload_bytes_total 100`,
		`antchat_engineio_poll_sent_bytes_total 40`,
		`antchat_engineio_relayed_total{kind="get",outcome="spared"} 1`,
		`antchat_engineio_relayed_bytes_total 7`,
		`antchat_engineio_relayed_duration_seconds_count{kind="get"} 1`,
		`antchat_engineio_relay_served_total{kind="recall",outcome="spared"} 1`,
		`antchat_engineio_relay_lost_total 1`,
		`antchat_engineio_moves_total{outcome="moved"} 1`,
		`antchat_engineio_move_duration_seconds_count 1`,
		`antchat_engineio_move_words_lost_total 1`,
		`antchat_engineio_frame_errors_total{code="1009"} 1`,
		`antchat_engineio_frame_errors_total{code="other"} 1`,
		`antchat_engineio_panics_total 1`,
		`antchat_socketio_connects_refused_total{reason="invalid_namespace"} 1`,
		`antchat_socketio_connects_refused_total{reason="application"} 1`,
		`antchat_socketio_connects_refused_total{reason="error"} 1`,
		`antchat_socketio_event_bytes_total{event="new_message"} 12`,
		`antchat_socketio_event_duration_seconds_count{event="new_message",outcome="ok"} 1`,
		`antchat_socketio_event_duration_seconds_count{event="other",outcome="error"} 1`,
		`antchat_socketio_broadcast_recipients_sum{class="logged"} 7`,
		`antchat_socketio_delivery_lag_seconds_count 1`,
		`antchat_socketio_broadcast_encodings_total 2`,
		`antchat_socketio_volatile_dropped_total 1`,
		`antchat_socketio_client_ack_seconds_count 1`,
		`antchat_socketio_client_ack_timeouts_total 1`,
		`antchat_socketio_panics_total{in="render"} 1`,
		`antchat_socketio_violations_total{what="malformed_packet"} 1`,
		`antchat_chat_messages_total{outcome="stored"} 1`,
		`antchat_chat_messages_total{outcome="duplicate"} 1`,
		`antchat_chat_requests_refused_total{code="unknown_event",event="other"} 1`,
		`antchat_chat_names_total 1`,
		`antchat_local_commit_duration_seconds_count{outcome="ok"} 1`,
		`antchat_local_commit_entries_sum 3`,
		`antchat_local_trimmed_entries_total 5`,
		`antchat_store_append_duration_seconds_count{outcome="error"} 1`,
		`antchat_redis_round_trip_duration_seconds_count{kind="batch",outcome="ok"} 1`,
		`antchat_redis_round_trip_duration_seconds_count{kind="call",outcome="error"} 1`,
		`antchat_redis_batch_commands_sum 9`,
		`antchat_redis_links_lost_total 1`,
		`antchat_redis_link_repair_duration_seconds_count 1`,
		`antchat_redis_link_repaired_events_total 6`,
		`antchat_redis_gap_messages_total 2`,
		`antchat_redis_dropped_total{reason="malformed_entry"} 1`,
		`antchat_redis_fenced_total 1`,
		`antchat_official_refused_total{reason="pickle"} 1`,
		`antchat_official_dropped_total{what="append"} 1`,
		`antchat_official_links_lost_total 1`,
		`antchat_admin_ui_admitted_total{by="token"} 1`,
		`antchat_admin_ui_refused_total{reason="guesses"} 1`,
		`antchat_admin_ui_dropped_total 1`,
		`antchat_limit_max{limit="engine.max_sessions"} 1000`,
		`antchat_redis_links_live 0`,
	} {
		if !strings.Contains(got, "\n"+line) {
			t.Errorf("no %s", line)
		}
	}
	if summary := e.LogValue().String(); summary != "[sessions=2 slow_clients=2 refused=2 panics=2]" {
		t.Errorf("the summary is %s", summary)
	}
	if summary := e.fleet.LogValue().String(); summary != "[sessions=0 slow_clients=0 refused=0 panics=0 official=[dropped append=1 refused pickle=1]]" {
		t.Errorf("the fleet's summary is %s", summary)
	}
	// Clients cannot make series.
	before := strings.Count(got, "\n")
	for i := range 100 {
		name := "event" + strings.Repeat("x", i)
		e.sockets.Received(nil, name, 1)
		e.sockets.Handled(nil, name, time.Second, nil)
		e.sockets.Panicked(name, nil)
		e.sockets.Refused(name, &socketio.ConnectError{Message: name})
		e.chat.Refused(name, chatapi.CodeUnknownEvent)
	}
	if after := strings.Count(e.scrape(t), "\n"); after != before {
		t.Errorf("%d lines became %d", before, after)
	}
}

// TestReasonsAreKnown: texts that others give to hooks are in this package's
// closed lists; what is not would only be counted as "other".
func TestReasonsAreKnown(t *testing.T) {
	for _, tt := range []struct {
		files, call string
		known       []string
	}{
		{"../socketio/client.go", `(?:violation|c\.close|unfit)\("([^"]+)"`, violations},
		{"../engineio/session.go", `Reason\w+ += "([^"]+)"`, closeReasons},
		{"../socketio/*.go", `DisconnectReason = "([^"]+)"`, disconnectReasons},
		{"../socketio/*.go", `ConnectError\{Message: "([^"]+)"`, refusedConnects},
		{"../engineio/*.go", `(?:upgradeFailed|abandon|drop|abandonProbe)\((?:p, )?"([^"]+)"`, upgradeFailures},
		{"../../adapter/redis/official/*.go", `o\.refused\("([^"]+)"`, officialRefusals},
		{"../../adapter/redis/official/*.go", `o\.dropped\("([^"]+)"`, officialDrops},
		{"../../adapter/redis/*.go", `a\.drop\("([^"]+)"`, dropReasons},
	} {
		names, err := filepath.Glob(tt.files)
		if err != nil || len(names) == 0 {
			t.Fatal(tt.files, err)
		}
		found := 0
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(tt.call).FindAllStringSubmatch(string(text), -1) {
				if found++; m[1] != "" && !slices.Contains(tt.known, m[1]) {
					t.Errorf("%s gives %q, which is in no list", name, m[1])
				}
			}
		}
		if found == 0 {
			t.Errorf("nothing found in %s", tt.files)
		}
	}
}
