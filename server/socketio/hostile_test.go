package socketio

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/server/socketio/packet"
)

// TestHostile: each of these closes at most its own connection, while another
// client goes on.
func TestHostile(t *testing.T) {
	var mu sync.Mutex
	violations, closed := 0, 0
	s := newTestServer(t, Options{
		Recovery: true,
		Limits:   packet.Limits{MaxBytes: 100_000, MaxDepth: 20},
		Hooks: Hooks{Violation: func(string) {
			mu.Lock()
			defer mu.Unlock()
			violations++
		}},
	})
	echo(s)
	control := s.v5()
	control.connect("/", "")
	tests := []struct {
		name   string
		say    []string
		reason string // "" stays open
	}{
		{"empty", []string{""}, "parse error"},
		{"unknown type", []string{"9"}, "parse error"},
		{"lying attachments", []string{"0", `599999999999999-["msg","x"]`}, "parse error"},
		{"deep", []string{"0", `2["a",` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "]"}, "parse error"},
		{"long", []string{"0", `2["a","` + strings.Repeat("x", 200_000) + `"]`}, "parse error"},
		{"long namespace", []string{"0/" + strings.Repeat("n", 5000)}, "parse error"},
		{"invalid UTF-8", []string{"0", "2[\"a\",\"\xff\"]"}, "parse error"},
		{"huge id", []string{"0", `299999999999999999999999["a"]`}, "parse error"},
		{"one placeholder often", []string{"0", `51-["back",` + strings.Repeat(`{"_placeholder":true,"num":0},`, 2000) + `0]`}, "parse error"},
		{"attachments that never come", []string{"0", `51-["back",{"_placeholder":true,"num":0}]`}, ""},
		{"auth is an array", []string{"0[1]"}, "parse error"},
		{"auth with odd pid", []string{`0{"pid":"` + strings.Repeat("p", 5_000) + `","offset":{"a":1}}`}, ""},
		{"connect flood", slicesOf("0/nope", 100), "forced server close"},
		{"leave flood", append([]string{"0"}, slicesOf("1", 100)...), "forced server close"},
		{"ack flood", append([]string{"0"}, slicesOf("37[1]", 1000)...), ""},
		{"an argument too strange for its handler", []string{"0", `21["7",{}]`, `22["7","x"]`, `23["bytes",[1]]`}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := s.v5()
			for _, text := range tt.say {
				p.say(text)
			}
			if tt.reason != "" {
				p.wantClosed(tt.reason)
				closed++
			}
			control.say(`21["upper","x"]`)
			control.want(`31["X"]`)
			p.mu.Lock()
			reason := p.reason
			p.mu.Unlock()
			if reason != tt.reason {
				t.Errorf("closed by %q", reason)
			}
		})
	}
	mu.Lock()
	defer mu.Unlock()
	if violations != closed {
		t.Errorf("%d violations were counted of %d", violations, closed)
	}
}

func slicesOf(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

// TestFloodOfJoiners: a room is flooded while clients come, leave, are fenced
// and hang; all are torn down in the end (newTestServer's clean-up waits).
func TestFloodOfJoiners(t *testing.T) {
	s := newTestServer(t, Options{Recovery: true, MaxHeld: 50})
	ns := s.Of("/")
	ns.OnConnect(func(ctx context.Context, s *Socket) error { return s.Join(ctx, "r") })
	On(ns, "slow", func(ctx context.Context, s *Socket, _ struct{}) (struct{}, error) {
		_, err := s.Timeout(time.Millisecond).EmitWithAck(ctx, "q")
		return struct{}{}, err
	})
	stop := make(chan struct{})
	var flood, work sync.WaitGroup
	flood.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_ = ns.To("r").Emit(context.Background(), "x", i)
			}
		}
	})
	for g := range 4 {
		work.Go(func() {
			pid := ""
			for i := range 40 {
				p := s.v5()
				auth := ""
				if pid != "" {
					auth = fmt.Sprintf(`{"pid":%q}`, pid)
				}
				p.say("0"+auth, `2["slow"]`, `2["slow"]`)
				for range 3 {
					p.mu.Lock()
					for len(p.sent) == 0 && p.reason == "" {
						p.cond.Wait()
					}
					if len(p.sent) > 0 {
						pid = between(p.sent[0].String(), `"pid":"`, `"`)
					}
					p.mu.Unlock()
				}
				switch (i + g) % 4 {
				case 0:
					p.say("1")
				case 1:
					p.Close("transport close")
				case 2:
					p.client.disconnect()
				}
			}
		})
	}
	work.Wait()
	close(stop)
	flood.Wait()
}

// FuzzClient: whatever a client says, line by line ("b" opens a binary
// message), nothing panics and its sockets are torn down.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{
		"0\n21[\"echo\",1]\n1", "0{\"pid\":\"x\",\"offset\":\"1.AAAAAAAAAAA\"}\n2[\"fail\"]",
		"0/chat,{}\n51-/chat,[\"back\",{\"_placeholder\":true,\"num\":0}]\nb\x01\x02",
		"b\x83\xa4type\x00\xa3nsp\xa1/\xa4data\xd4\x00\x00\nb\x84\xa4type\x02\xa4data\x92\xa4echo\x01\xa3nsp\xa1/\xa2id\x03",
		"0/chat?a=b,\n2/chat,[\"leave\"]\n31[1]\n41", "0\n0", "2[\"x\"]", "0\n1\n0\n1\n0",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	s := newTestServer(f, Options{Recovery: true})
	echo(s)
	f.Fuzz(func(t *testing.T, script string, revision4 bool) {
		revision := 3
		if revision4 {
			revision = 4
		}
		c := newFakeConn(revision)
		client := s.Accept(c)
		c.client = client
		for line := range bytes.Lines([]byte(script)) {
			line = bytes.TrimSuffix(line, []byte("\n"))
			c.mu.Lock()
			gone := c.reason != ""
			c.mu.Unlock()
			if gone {
				break
			}
			var err error
			if b, ok := bytes.CutPrefix(line, []byte("b")); ok {
				err = client.Binary(b)
			} else {
				err = client.Text(line)
			}
			if err != nil {
				c.Close("parse error")
			}
		}
		c.Close("transport close")
		c.wg.Wait()
		for _, s := range client.sockets() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			s.awaitGone(ctx)
			if ctx.Err() != nil {
				t.Error("a socket is left")
			}
			cancel()
		}
	})
}
