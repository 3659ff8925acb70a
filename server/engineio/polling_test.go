package engineio_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/server/engineio"
)

func TestPollingHandshake(t *testing.T) {
	h := start(t, engineio.Options{Cookie: &http.Cookie{}})
	a := h.do("GET", "EIO=4&transport=polling", "")
	o := parseOpen(t, a.body)
	if len(o.SID) != 20 || fmt.Sprint(o.Upgrades) != "[websocket]" || o.PingInterval != 25000 || o.PingTimeout != 20000 || o.MaxPayload != 1_000_000 {
		t.Errorf("open packet %+v", o)
	}
	for name, want := range map[string]string{
		"Content-Type":  "text/plain; charset=UTF-8",
		"Cache-Control": "no-store",
		"Set-Cookie":    "io=" + o.SID + "; Path=/; HttpOnly; SameSite=Lax",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	a = h.do("GET", "EIO=3&transport=polling", "")
	length, packet, _ := strings.Cut(a.body, ":")
	if length != fmt.Sprint(len(packet)) {
		t.Errorf("revision 3 handshake %q", a.body)
	}
	parseOpen(t, packet)
}

func TestPollingEcho(t *testing.T) {
	octet := "Content-Type: application/octet-stream"
	tests := []struct {
		name, eio, extra string
		post             string
		header           []string
		get              string
		contentType      string
	}{
		{"text", "4", "", "4hello", nil, "4hello", "text/plain; charset=UTF-8"},
		{"several", "4", "", "4a\x1e4b\x1e4€", nil, "4a\x1e4b\x1e4€", "text/plain; charset=UTF-8"},
		{"binary", "4", "", "4hello\x1ebAQIDBA==", nil, "4hello\x1ebAQIDBA==", "text/plain; charset=UTF-8"},
		{"revision 3 text", "3", "", "6:4hello2:4€", nil, "6:4hello2:4€", "text/plain; charset=UTF-8"},
		{"revision 3 surrogates", "3", "", "3:4😀", nil, "3:4😀", "text/plain; charset=UTF-8"},
		{"revision 3 base64", "3", "&b64=1", "2:4€10:b4AQIDBA==", nil, "2:4€10:b4AQIDBA==", "text/plain; charset=UTF-8"},
		{"revision 3 octets", "3", "", "\x00\x04\xff4€\x01\x05\xff\x04\x01\x02\x03\x04", []string{octet},
			"\x00\x04\xff4€\x01\x05\xff\x04\x01\x02\x03\x04", "application/octet-stream"},
		{"revision 3 base64 in, octets out", "3", "", "10:b4AQIDBA==", nil, "\x01\x05\xff\x04\x01\x02\x03\x04", "application/octet-stream"},
		{"revision 3 text twice encoded", "3", "", "4:4\u00e2\u0082\u00ac", nil, "2:4€", "text/plain; charset=UTF-8"},
		{"JSONP", "3", "&j=7", "d=11%3A421%5B%22hi%22%2C1%5D", []string{"Content-Type: application/x-www-form-urlencoded"},
			`___eio[7]("11:421[\"hi\",1]");`, "text/javascript; charset=UTF-8"},
		{"JSONP binary", "3", "&j=0", "d=6%3Ab4AQID", nil, `___eio[0]("6:b4AQID");`, "text/javascript; charset=UTF-8"},
		{"JSONP, revision 4", "4", "&j=1", "d=4a%1e4b", nil, `___eio[1]("4a` + `\u001e` + `4b");`, "text/javascript; charset=UTF-8"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, engineio.Options{})
			c := h.poller(tt.eio, tt.extra)
			c.expectPost(tt.post, tt.header...)
			a := c.get()
			if a.status != 200 || a.body != tt.get || a.header.Get("Content-Type") != tt.contentType {
				t.Errorf("got %d %q %q\nwant %q %q", a.status, a.body, a.header.Get("Content-Type"), tt.get, tt.contentType)
			}
		})
	}
}

func TestPollIsHeldUntilThereIsSomething(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.poller("4", "")
	got := c.getting()
	s := h.byID(c.sid)
	if err := s.Queue(s.Prepare([]byte("now"), nil)); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.body != "4now" {
		t.Errorf("got %q", a.body)
	}
	if s.Idle() {
		t.Error("idle without a poll")
	}
}

func TestPollHold(t *testing.T) {
	t.Parallel()
	h := start(t, engineio.Options{PollHold: 100 * time.Millisecond})
	h.poller("4", "").expect("6")
	h.poller("3", "").expect("1:6")
}

// The HTTP server's own timeouts are for requests that are answered at once.
func TestPollOutlivesServerTimeouts(t *testing.T) {
	t.Parallel()
	ts := httptest.NewUnstartedServer(nil)
	ts.Config.ReadTimeout = 200 * time.Millisecond
	ts.Config.WriteTimeout = 200 * time.Millisecond
	h := startOn(t, ts, engineio.Options{PollHold: 600 * time.Millisecond}, func(e *echo) engineio.Handler { return e })
	c := h.poller("4", "")
	c.expect("6")
	c.expectPost("4x")
	c.expect("4x")
}

func TestPollGzip(t *testing.T) {
	var plain, sent int
	h := start(t, engineio.Options{Hooks: engineio.Hooks{Polled: func(p, s int, z bool) {
		if z {
			plain, sent = p, s
		}
	}}})
	c := h.poller("4", "")
	for _, tt := range []struct {
		accept string
		size   int
		want   string
	}{
		{"gzip, deflate", 1 << 10, "gzip"}, {"deflate;q=0.5, gzip;q=0.8", 5000, "gzip"},
		{"gzip", 1000, ""}, {"", 5000, ""}, {"gzip;q=0", 5000, ""},
	} {
		text := strings.Repeat("a", tt.size)
		c.expectPost("4" + text)
		a := c.get("Accept-Encoding: " + tt.accept)
		if a.body != "4"+text || a.header.Get("Content-Encoding") != tt.want {
			t.Errorf("%q, %d bytes: encoding %q, right body %v", tt.accept, tt.size, a.header.Get("Content-Encoding"), a.body == "4"+text)
		}
	}
	if plain != 5001 || sent == 0 || sent > 500 {
		t.Errorf("hook saw %d bytes as %d", plain, sent)
	}
}

// What is for the client never exceeds maxPayload, except for one message alone.
func TestPollRespectsMaxPayload(t *testing.T) {
	h := start(t, engineio.Options{MaxHTTPBufferSize: 1000})
	c := h.poller("4", "")
	s := h.byID(c.sid)
	for _, n := range []int{400, 400, 400, 3000, 1} {
		_ = s.Queue(s.Prepare([]byte(strings.Repeat("x", n)), nil))
	}
	x := func(n int) string { return "4" + strings.Repeat("x", n) }
	c.expect(x(400) + "\x1e" + x(400))
	c.expect(x(400))
	c.expect(x(3000))
	c.expect(x(1))
}

func TestConcurrentPolls(t *testing.T) {
	for _, eio := range []string{"3", "4"} {
		h := start(t, engineio.Options{})
		c := h.poller(eio, "")
		e := h.session()
		first := c.getting()
		if a := c.get(); a.status != 400 || a.body != "" {
			t.Errorf("second poll got %d %q", a.status, a.body)
		}
		want := "1"
		if eio == "3" {
			want = "1:1"
		}
		if a := <-first; a.status != 200 || a.body != want {
			t.Errorf("first poll got %d %q", a.status, a.body)
		}
		c.expectGone()
		if r := e.reason(t); r != "transport error" {
			t.Error(r)
		}
	}
}

func TestConcurrentPosts(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	h := startWith(t, engineio.Options{}, func(e *echo) engineio.Handler {
		e.onText = func([]byte) error {
			close(entered)
			<-release
			return nil
		}
		return e
	})
	c := h.poller("4", "")
	e := h.session()
	first := make(chan answer, 1)
	go func() { first <- c.post("4slow") }()
	<-entered
	if a := c.post("4second"); a.status != 400 || a.body != "" {
		t.Errorf("second POST got %d %q", a.status, a.body)
	}
	close(release)
	<-first
	if r := e.reason(t); r != "transport error" {
		t.Error(r)
	}
	c.expectGone()
}

func TestCancelledPoll(t *testing.T) {
	h := start(t, engineio.Options{})
	c := h.poller("4", "")
	e := h.session()
	ctx, cancel := context.WithCancel(t.Context())
	go h.doContext(ctx, "GET", c.query, "")
	c.pending()
	cancel()
	if r := e.reason(t); r != "transport error" {
		t.Error(r)
	}
	c.expectGone()
}

func TestPollingCloseByClient(t *testing.T) {
	for eio, want := range map[string][2]string{"4": {"1", "6"}, "3": {"1:1", "1:6"}} {
		h := start(t, engineio.Options{})
		c := h.poller(eio, "")
		e := h.session()
		got := c.getting()
		c.expectPost(want[0])
		// A noop, or a close packet where the machine was busy for longer than the
		// session waits for a client that has said goodbye.
		if a := <-got; a.body != want[1] && a.body != want[0] {
			t.Errorf("the pending poll got %q", a.body)
		}
		if r := e.reason(t); r != "transport close" {
			t.Error(r)
		}
		c.expectGone()

		// The poll that comes just after finds its noop too, and only that one.
		c = h.poller(eio, "")
		c.expectPost(want[0])
		if a := c.get(); a.status == 200 && a.body != want[1] && a.body != want[0] {
			t.Errorf("the poll after got %q", a.body)
		}
		c.expectGone()
	}
}

func TestPollingCloseByServer(t *testing.T) {
	h := start(t, engineio.Options{})
	// With a pending poll.
	c := h.poller("4", "")
	e := h.session()
	got := c.getting()
	e.s.Close(engineio.ReasonForcedServerClose)
	if a := <-got; a.body != "1" {
		t.Errorf("the pending poll got %q", a.body)
	}
	c.expectGone()
	// Without: the next one gets what was queued and the close packet.
	c = h.poller("4", "")
	e = h.session()
	_ = e.s.Send(e.s.Prepare([]byte("last words"), nil))
	e.s.Close(engineio.ReasonForcedServerClose)
	if r := e.reason(t); r != "forced server close" {
		t.Error(r)
	}
	c.expect("4last words\x1e1")
	c.expectGone()
}

func TestMalformedPayloads(t *testing.T) {
	octet := "Content-Type: application/octet-stream"
	tests := []struct {
		name, eio, body, header string
		reason                  string
	}{
		{"unknown packet", "4", "abc", "", "parse error"},
		{"empty", "4", "", "", "parse error"},
		{"empty packet", "4", "4a\x1e", "", "parse error"},
		{"bad base64", "4", "b!!", "", "parse error"},
		{"not UTF-8", "4", "4\xff\xfe", "", "parse error"},
		{"too many packets", "4", strings.Repeat("4a\x1e", 1000) + "4a", "", "parse error"},
		{"octets in revision 4", "4", "4a", octet, "transport error"},
		{"ping by a revision 4 client", "4", "2", "", "transport error"},
		{"no length", "3", "abc", "", "parse error"},
		{"lying length", "3", "10:4a", "", "parse error"},
		{"huge length", "3", "45999999999999999999:4a", "", "parse error"},
		{"octets cut off", "3", "\x00\x09\xff4a", octet, "parse error"},
		{"octets with a huge length", "3", "\x01" + strings.Repeat("\x09", 40) + "\xff4", octet, "parse error"},
		{"pong by a revision 3 client", "3", "1:3", "", "transport error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := start(t, engineio.Options{})
			c := h.poller(tt.eio, "")
			var header []string
			if tt.header != "" {
				header = append(header, tt.header)
			}
			if a := c.post(tt.body, header...); a.status != 400 {
				t.Errorf("status %d %q", a.status, a.body)
			}
			if r := h.session().reason(t); r != tt.reason {
				t.Errorf("reason %q, want %q", r, tt.reason)
			}
			if a := c.get(); a.status != 400 && strings.TrimPrefix(a.body, "1:") != "1" {
				t.Errorf("the session lives: %d %q", a.status, a.body)
			}
		})
	}
}

func TestPostTooBig(t *testing.T) {
	t.Parallel()
	h := start(t, engineio.Options{MaxHTTPBufferSize: 10_000})
	c := h.poller("4", "")
	c.expectPost("4" + strings.Repeat("x", 9_999))
	c.expect("4" + strings.Repeat("x", 9_999))
	for _, n := range []int{10_000, 5_000_000} {
		if a := c.post("4" + strings.Repeat("x", n)); a.err == nil && (a.status != 413 || a.body != "") {
			t.Errorf("%d bytes: %d %q", n, a.status, a.body)
		}
	}
	// Without a Content-Length to believe.
	req, _ := http.NewRequest("POST", "http://"+h.addr+"/?"+c.query, struct{ *strings.Reader }{strings.NewReader(strings.Repeat("4", 20_000))})
	req.ContentLength = -1
	if resp, err := h.http.Do(req); err == nil {
		resp.Body.Close()
		if resp.StatusCode != 413 {
			t.Errorf("chunked: %d", resp.StatusCode)
		}
	}
	// The session stays.
	c.expectPost("4still here")
	c.expect("4still here")
}

func TestLimits(t *testing.T) {
	h := start(t, engineio.Options{MaxSessions: 3, MaxSessionsPerAddress: 2, TrustedProxies: 1})
	full := func(from, want string) {
		t.Helper()
		a := h.do("GET", "EIO=4&transport=polling", "", "X-Forwarded-For: "+from)
		if a.status != 503 || a.header.Get("Retry-After") == "" || a.body != want {
			t.Errorf("from %s: %d %q, Retry-After %q", from, a.status, a.body, a.header.Get("Retry-After"))
		}
		if _, resp := h.tryDial("&EIO=4", "X-Forwarded-For: "+from); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("from %s: websocket got %d", from, resp.StatusCode)
		}
	}
	first := h.dial("&EIO=4", "X-Forwarded-For: 10.0.0.1")
	first.open()
	e := h.session()
	h.dial("&EIO=4", "X-Forwarded-For: 10.0.0.1").open()
	full("10.0.0.1", `{"message":"Too many sessions from this address"}`)
	h.dial("&EIO=4", "X-Forwarded-For: 10.0.0.2").open()
	full("10.0.0.3", `{"message":"Server at capacity"}`)
	if n := h.Sessions(); n != 3 {
		t.Errorf("%d sessions", n)
	}
	// Whoever leaves makes room.
	first.nc.Close()
	e.reason(t)
	h.eventually("room for one", func() bool { return h.Sessions() == 2 })
	h.dial("&EIO=4", "X-Forwarded-For: 10.0.0.1").open()
}

func TestAddressesBehindProxies(t *testing.T) {
	tests := []struct {
		trusted   int
		forwarded string
		want      string
	}{
		{0, "1.2.3.4", "127.0.0.1"},
		{1, "1.2.3.4", "1.2.3.4"},
		{1, "6.6.6.6, 1.2.3.4", "1.2.3.4"},
		{2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"},
		{3, "1.2.3.4, 10.0.0.1", "1.2.3.4"},
		{1, "", "127.0.0.1"},
		{1, "nonsense", "127.0.0.1"},
		{1, "1.2.3.4:5678", "1.2.3.4"},
		{1, "2001:db8::1", "2001:db8::1"},
		{1, "[2001:db8::1]:443", "2001:db8::1"},
		{1, "::ffff:1.2.3.4", "1.2.3.4"},
	}
	for _, tt := range tests {
		h := start(t, engineio.Options{TrustedProxies: tt.trusted})
		header := []string{"X-Forwarded-Proto: https"}
		if tt.forwarded != "" {
			header = append(header, "X-Forwarded-For: "+tt.forwarded)
		}
		h.dial("&EIO=4", header...).open()
		s := h.session().s
		if s.RemoteAddr() != tt.want || s.Secure() != (tt.trusted > 0) {
			t.Errorf("%d trusted, %q: address %q, secure %v; want %q", tt.trusted, tt.forwarded, s.RemoteAddr(), s.Secure(), tt.want)
		}
	}
}

func TestKeptHeaders(t *testing.T) {
	h := start(t, engineio.Options{Headers: []string{"User-Agent", "Cookie", "X-Long"}})
	h.dial("&EIO=4&token=x%20y", "User-Agent: test", "Cookie: a=1", "Cookie: b=2", "Authorization: secret",
		"X-Long: "+strings.Repeat("x", 5000), "Origin: http://localhost").open()
	s := h.session().s
	if got := fmt.Sprint(s.Headers()); got != "map[cookie:a=1; b=2 user-agent:test]" {
		t.Error(got)
	}
	if s.Header("USER-AGENT") != "test" || s.Header("Authorization") != "" || s.Query().Get("token") != "x y" || !s.CrossDomain() {
		t.Error("wrong facts")
	}
}
