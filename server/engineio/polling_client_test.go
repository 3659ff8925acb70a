package engineio_test

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

// answer is what an HTTP request got.
type answer struct {
	status int
	body   string
	header http.Header
	err    error
}

// do makes a request; query is what follows "/engine.io/?".
func (h *harness) do(method, query, body string, header ...string) answer {
	return h.doContext(context.Background(), method, query, body, header...)
}

func (h *harness) doContext(ctx context.Context, method, query, body string, header ...string) answer {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+h.addr+"/engine.io/?"+query, strings.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	for _, l := range header {
		name, value, _ := strings.Cut(l, ": ")
		req.Header.Set(name, value)
	}
	resp, err := h.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	var r io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if r, err = gzip.NewReader(resp.Body); err != nil {
			return answer{err: err}
		}
	}
	b, err := io.ReadAll(r)
	return answer{resp.StatusCode, string(b), resp.Header, err}
}

// pollClient is a polling session of a client.
type pollClient struct {
	h     *harness
	t     testing.TB
	query string
	sid   string
}

// poller opens a session by polling; extra is added to every query.
func (h *harness) poller(eio, extra string) *pollClient {
	h.t.Helper()
	c := &pollClient{h: h, t: h.t, query: "EIO=" + eio + "&transport=polling" + extra}
	a := h.do("GET", c.query, "")
	if a.err != nil || a.status != 200 {
		h.t.Fatalf("handshake: %+v", a)
	}
	body := a.body
	if strings.Contains(extra, "&j=") {
		body = body[strings.Index(body, `("`)+2 : len(body)-3]
		body = strings.ReplaceAll(body, `\"`, `"`)
	}
	if eio == "3" {
		_, body, _ = strings.Cut(body, ":")
	}
	c.sid = parseOpen(h.t, body).SID
	c.query += "&sid=" + c.sid
	return c
}

func (c *pollClient) get(header ...string) answer { return c.h.do("GET", c.query, "", header...) }

func (c *pollClient) post(body string, header ...string) answer {
	return c.h.do("POST", c.query, body, header...)
}

// getting starts a poll and returns when the server holds it.
func (c *pollClient) getting() <-chan answer {
	c.t.Helper()
	got := make(chan answer, 1)
	go func() { got <- c.get() }()
	c.pending()
	return got
}

// pending waits until a poll of the session is held: then, and only then, a
// polling session with an empty queue can take a message at once.
func (c *pollClient) pending() {
	c.t.Helper()
	c.h.eventually("a poll is pending", func() bool { s := c.h.byID(c.sid); return s != nil && s.Idle() })
}

func (c *pollClient) expect(want string) {
	c.t.Helper()
	if a := c.get(); a.err != nil || a.status != 200 || a.body != want {
		c.t.Fatalf("poll got %d %.200q %v, want %.200q", a.status, a.body, a.err, want)
	}
}

func (c *pollClient) expectPost(body string, header ...string) {
	c.t.Helper()
	if a := c.post(body, header...); a.status != 200 || a.body != "ok" || a.header.Get("Content-Type") != "text/html" {
		c.t.Fatalf("post %.100q got %d %q %v", body, a.status, a.body, a.err)
	}
}

// expectGone checks that the session does not exist any more.
func (c *pollClient) expectGone() {
	c.t.Helper()
	a := c.get()
	if a.status != 400 || a.body != `{"code":1,"message":"Session ID unknown"}` {
		c.t.Fatalf("poll of a closed session got %d %q", a.status, a.body)
	}
}
