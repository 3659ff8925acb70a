package e2e

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// TestClientsThatNeverRead: their room is flooded; they are closed as slow,
// those who read get everything, and the server's memory stays bounded.
func TestClientsThatNeverRead(t *testing.T) {
	p := startServer(t, map[string]string{"PRESENCE_GRACE": "1ms", "FAIRNESS_MODE": "off"})
	c := startControl(t, p)
	const room, sleepers, messages = "flood", 5, 600
	join := func(ws *rawWS) { ws.mustCall(nil, "join room", map[string]any{"room": room}) }

	var asleep []*rawWS
	for i := range sleepers {
		ws := connectWS(t, p.addr)
		_ = ws.conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		ws.mustCall(nil, "add user", fmt.Sprintf("sleeper %d", i))
		join(ws)
		asleep = append(asleep, ws)
	}
	// One sleeps on polling: it never polls again.
	poller := openPolling(t, p.url, 4)
	poller.connect()
	poller.post(plain, fmt.Sprintf(`421["join room",{"room":%q}]`, room))

	reader, writer := connectWS(t, p.addr), connectWS(t, p.addr)
	join(reader)
	join(writer)
	before := p.rss()
	text := strings.Repeat("홍", 4000) // 12 kB
	done := make(chan error, 1)
	go func() { done <- readAll(reader, messages) }()
	for i := range messages {
		writer.mustCall(nil, "new message", map[string]any{"room": room, "message": text, "id": fmt.Sprint(i)})
	}
	if err := <-done; err != nil {
		t.Errorf("who reads must get everything: %v", err)
	}
	c.advance()
	// 7 MB were said to each of them. What is kept is bounded by the queues.
	if grown := p.rss() - before; grown > 150<<20 && !raceEnabled {
		t.Errorf("the server grew by %d MB", grown>>20)
	}
	waitFor(t, "the sleepers to be closed", func() bool {
		var here struct{ NumUsers int }
		reader.mustCall(&here, "who", map[string]any{"room": room})
		return here.NumUsers == 0 // nobody else has a name
	})
	for i, ws := range asleep {
		ws.conn.SetReadDeadline(time.Now().Add(deadline))
		got, err := io.Copy(io.Discard, ws.conn)
		if timedOut(err) {
			t.Errorf("sleeper %d: %d bytes, and the connection is still open", i, got)
		}
		if got > 6<<20 {
			t.Errorf("sleeper %d: %d bytes were kept for it", i, got)
		}
	}
	poller.closed()
	c.advance()
}

func readAll(ws *rawWS, messages int) error {
	for i := range messages {
		for {
			p, err := ws.packet()
			if err != nil {
				return fmt.Errorf("after %d messages: %w", i, err)
			}
			if strings.HasPrefix(p, `42["new message",`) {
				if want := fmt.Sprintf(`"id":"%d"`, i); !strings.Contains(p, want) {
					return fmt.Errorf("expected %s, got %.80s", want, p)
				}
				break
			}
		}
	}
	return nil
}

// TestSilentClients: who stops answering is closed after the ping timeout, in
// both revisions, over both transports, and after an upgrade too.
func TestSilentClients(t *testing.T) {
	p := startServer(t, map[string]string{"ENGINE_PING_INTERVAL": "500ms", "ENGINE_PING_TIMEOUT": "5s"})
	c := startControl(t, p) // it answers pings
	silent := func(ws *rawWS) {
		t.Helper()
		_ = ws.conn.SetReadDeadline(time.Now().Add(deadline))
		for {
			if _, _, err := ws.read(); err != nil {
				if timedOut(err) {
					t.Error("a silent client is kept")
				}
				return
			}
		}
	}
	open := []*rawWS{
		connectWS(t, p.addr),
		dialWS(t, p.addr, "EIO=3&transport=websocket"),
	}
	for _, revision := range []int{3, 4} {
		s := openPolling(t, p.url, revision)
		up := dialWS(t, p.addr, fmt.Sprintf("EIO=%d&transport=websocket&sid=%s", revision, s.sid()))
		up.text("2probe")
		up.expect("3probe")
		up.text("5")
		open = append(open, up)
	}
	polls := []*pollSession{openPolling(t, p.url, 3), openPolling(t, p.url, 4)}
	for _, ws := range open {
		silent(ws)
	}
	for _, s := range polls {
		s.closed()
	}
	c.advance()
}

// TestChatFlood: somebody who writes as fast as the connection takes it is
// slowed down by it, never the others: every request is answered, in order, those
// beyond the limit no faster than they may be refused. That takes longer than the
// client may be silent, and all its requests are ahead of its answers to pings: it is
// heard all the same.
func TestChatFlood(t *testing.T) {
	p := startServer(t, map[string]string{
		"FAIRNESS_MESSAGES_SOCKET": "10/s burst 500", "FAIRNESS_REFUSALS_SOCKET": "400/s burst 100",
		"ENGINE_PING_INTERVAL": "500ms", "ENGINE_PING_TIMEOUT": "5s",
	})
	c := startControl(t, p)
	ws := connectWS(t, p.addr)
	ws.mustCall(nil, "join room", map[string]any{"room": "noise"})
	var flood []byte
	const messages = 4000
	for i := range messages {
		flood = append(flood, frame(fin|opText, fmt.Appendf(nil, `42%d["new message",{"room":"noise","message":"noise","id":"%d"}]`, i, i))...)
	}
	start := time.Now()
	go ws.bytes(flood) // ends when the server has taken all, or with the test's connection
	refused := 0
	for i := 0; i < messages; i++ {
		c.mu.Lock()
		failed := c.err
		c.mu.Unlock()
		if failed != nil {
			break
		}
		if strings.Contains(ws.expect(fmt.Sprintf("43%d[", i)), `"rate_limited"`) { // in order, each exactly once
			refused++
		}
	}
	// 3,500 less those that were granted while 3,400 were refused at 400 a second.
	if took := time.Since(start); refused < 3000 || took < 6*time.Second {
		t.Errorf("%d were refused, in %v", refused, took)
	}
	c.advance()
}
