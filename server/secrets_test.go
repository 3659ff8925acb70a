package main

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/antchat/antchat/server/observe"
)

// logBuffer is what was logged. Safe for concurrent use.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// planted stands in everything that a client says here.
const planted = "hunter2hunter2hunter2"

// TestNothingSecretIsLogged: at level DEBUG, with nothing left out, neither
// what people say nor what they authenticate with is in the log, whether it was
// well said or not; nor is the password of the store.
func TestNothingSecretIsLogged(t *testing.T) {
	t.Run("clients", func(t *testing.T) {
		var b logBuffer
		l := observe.NewLog(&b, observe.LogOptions{Level: slog.LevelDebug, Format: observe.Cloud})
		defer l.Close()
		p, stop := serveLogging(t, l.Logger, "--relay.events", "draw", "--engine.max_http_buffer_size", "4096", "--cors.origins", "https://app.example")
		talk(t, p)
		if err := stop(); err != nil {
			t.Error(err)
		}
		logged := b.String()
		for _, line := range []string{`"severity":"DEBUG"`, `"httpRequest":{"requestMethod":"POST","requestUrl":"/socket.io/"`, `"status":400`, `"violation":"malformed packet"`} {
			if !strings.Contains(logged, line) {
				t.Errorf("nothing was logged of %s", line)
			}
		}
		for line := range strings.Lines(logged) {
			if strings.Contains(line, "hunter2") {
				t.Errorf("logged: %s", line)
			}
		}
	})
	t.Run("store", func(t *testing.T) {
		var b logBuffer
		l := observe.NewLog(&b, observe.LogOptions{Level: slog.LevelDebug})
		defer l.Close()
		silent, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() { // a Redis that refuses the password
			for {
				c, err := silent.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(c, "-WRONGPASS "+"invalid username-password pair or user is disabled.\r\n-ERR no\r\n")
				_ = c.Close()
			}
		}()
		_, stop := serveLogging(t, l.Logger, "--redis.url", "redis://:"+planted+"@"+silent.Addr().String())
		for !strings.Contains(b.String(), "link of lane 0") {
			if t.Context().Err() != nil {
				t.Fatal("nothing was logged of the link")
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		_ = silent.Close()
		if strings.Contains(b.String(), "hunter2") {
			t.Errorf("logged: %s", b.String())
		}
	})
}

// talk says planted in every way that a client has.
func talk(t *testing.T, p *program) {
	t.Helper()
	host := strings.TrimSuffix(strings.TrimPrefix(p.url(), "http://"), "/")
	request := func(method, path, body string, headers ...string) (status int, answer string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		got, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(got)
	}
	handshake := "/socket.io/?EIO=4&transport=polling&token=" + planted
	session := func() (endpoint string) {
		t.Helper()
		status, answer := request("GET", handshake, "", "Cookie", "session="+planted, "Authorization", "Bearer "+planted)
		_, rest, ok := strings.Cut(answer, `"sid":"`)
		if status != 200 || !ok {
			t.Fatalf("%d %s", status, answer)
		}
		return handshake + "&sid=" + rest[:20]
	}
	say := func(endpoint string, packets ...string) (status int) {
		t.Helper()
		status, _ = request("POST", endpoint, strings.Join(packets, "\x1e"), "Content-Type", "text/plain;charset=UTF-8")
		return status
	}

	one := session()
	say(one, `40{"session":"`+planted+`","token":"`+planted+`","pid":"`+planted+`","offset":"`+planted+`"}`)
	say(one, `421["add user","Mina"]`)
	for _, packet := range []string{
		`422["new message",{"room":"lobby","message":"` + planted + `","id":"a1"}]`,
		`423["new message",{"room":"lobby","message":"` + planted + ` and more","id":"a1"}]`, // conflict
		`424["new message",{"room":"lobby","message":{"` + planted + `":1}}]`,
		`425["new message",{"room":"lobby","message":"` + planted + `","id":["` + planted + `"]}]`,
		`42["new message",{"room":"not joined","message":"` + planted + `"}]`,
		`426["chat message","` + planted + `",{"` + planted + `":1}]`,
		`427["unknown",{"token":"` + planted + `"}]`,
		`428["draw","lobby",{"token":"` + planted + `"}]`,
		`429["draw",{"token":"` + planted + `"}]`,
		`4210["history",{"room":"lobby","epoch":"` + planted + `"}]`,
		`439["` + planted + `"]`,
		`44{"message":"` + planted + `"}`,
	} {
		say(one, packet)
	}
	// All that was asked has been answered.
	for all := ""; !strings.Contains(all, planted); {
		status, more := request("GET", one, "")
		if status != 200 {
			break // the last packet was none that a client may send
		}
		all += more
	}
	for _, packets := range []string{
		`42["new message",` + planted, `40{"session":` + planted, `45` + planted + `-["x"]`, `40/` + planted + `,{"session":"` + planted + `"}`,
		`4` + planted, planted, `b` + planted, `6` + planted,
	} {
		two := session()
		say(two, `40`)
		say(two, packets)
	}
	three := session()
	say(three, `40{"session":["`+planted+`"]}`)
	if status := say(three, strings.Repeat(planted, 1000)); status == 200 {
		t.Error("a body that is too large was taken")
	}
	for _, r := range [][]string{
		{"GET", "/socket.io/?EIO=4&transport=" + planted}, {"GET", "/socket.io/?EIO=4&transport=polling&sid=" + planted},
		{"PUT", handshake}, {"GET", "/?q=" + planted}, {"GET", "/nothing?password=" + planted}, {"GET", "/socket.io/?EIO=" + planted + "&transport=polling"},
	} {
		request(r[0], r[1], "", "Referer", "http://x/?"+planted)
	}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	request("GET", "/socket.io/?EIO=4&transport=websocket&token="+planted, "", append(upgrade, "Origin", "https://evil.example/"+planted)...)
	// A request that net/http itself refuses, and a WebSocket that breaks the rules.
	for _, text := range []string{
		"GET /" + planted + " HTTP/9.9\r\n\r\n", planted + "\r\n\r\n",
		"GET /socket.io/?EIO=4&transport=websocket&token=" + planted + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" +
			"\x81" + string(rune(len(planted))) + planted,
	} {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text)
		_ = c.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, bufio.NewReader(c))
		_ = c.Close()
	}
}
