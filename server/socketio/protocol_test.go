package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/antchat/antchat/adapter"
)

// echo registers the handlers that the vectors below talk to.
func echo(s *testServer) {
	for _, name := range []string{"/", "/chat"} {
		ns := s.Of(name)
		ns.Use(func(_ context.Context, s *Socket) error {
			var auth struct{ Refuse, Data, Panic, Wrapped string }
			if err := json.Unmarshal(s.Handshake().Auth, &auth); err != nil {
				return err
			}
			switch {
			case auth.Panic != "":
				panic(auth.Panic)
			case auth.Wrapped != "":
				return errors.New(auth.Wrapped)
			case auth.Data != "":
				return &ConnectError{Message: auth.Refuse, Data: map[string]int{"code": 7}}
			case auth.Refuse != "":
				return &ConnectError{Message: auth.Refuse}
			}
			return nil
		})
		ns.OnConnect(func(_ context.Context, s *Socket) error {
			if auth := string(s.Handshake().Auth); auth != "{}" {
				return s.Emit("auth", s.Handshake().Auth)
			}
			return nil
		})
		OnArgs(ns, "echo", func(_ context.Context, s *Socket, args Args) (Reply, error) {
			values := make([]any, args.Len())
			for i := range values {
				values[i] = args.Raw(i)
			}
			return Answer(values...), nil
		})
		ns.Handle("back", func(_ context.Context, s *Socket, e *Incoming) (Reply, error) {
			return Reply{}, s.EmitEvent(e.Event)
		})
		On(ns, "upper", func(_ context.Context, s *Socket, in string) (string, error) {
			return strings.ToUpper(in), nil
		})
		On(ns, "bytes", func(_ context.Context, s *Socket, in struct{ File []byte }) (Binary, error) {
			return Binary(append(in.File, 0xff)), nil
		})
		On(ns, "fail", func(context.Context, *Socket, struct{}) (struct{}, error) {
			return struct{}{}, errors.New("secret detail")
		})
		On(ns, "panic", func(context.Context, *Socket, struct{}) (struct{}, error) { panic("boom") })
		On(ns, "none", func(context.Context, *Socket, struct{}) (struct{}, error) { return struct{}{}, nil })
		On(ns, "7", func(_ context.Context, _ *Socket, in int) (int, error) { return in + 1, nil })
		On(ns, "leave", func(_ context.Context, s *Socket, _ struct{}) (struct{}, error) {
			s.Disconnect(false)
			return struct{}{}, nil
		})
	}
}

// TestVectors plays conversations of both protocols, misbehaving clients among
// them. A line "> x" is said, "< x" expected, "<b" and ">b" are binary in hex.
// SID stands for any id, CLOSED for the end of the connection.
func TestVectors(t *testing.T) {
	tests := []struct {
		name     string
		revision int
		script   string
	}{
		{"v5 connect", 4, `> 0
			< 0{"sid":"SID"}`},
		{"v5 connect with auth", 4, `> 0{"token":"x"}
			< 0{"sid":"SID"}
			< 2["auth",{"token":"x"}]`},
		{"v5 namespace", 4, `> 0/chat,{"token":"x"}
			< 0/chat,{"sid":"SID"}
			< 2/chat,["auth",{"token":"x"}]
			> 2/chat,7["upper","x"]
			< 3/chat,7["X"]`},
		{"v5 namespace without comma", 4, `> 0/chat
			< 0/chat,{"sid":"SID"}`},
		{"v5 unknown namespace", 4, `> 0/nope
			< 4/nope,{"message":"Invalid namespace"}
			> 0
			< 0{"sid":"SID"}`},
		{"v5 query is part of the name", 4, `> 0/?a=1,
			< 4/?a=1,{"message":"Invalid namespace"}`},
		{"v5 refused", 4, `> 0{"refuse":"nope"}
			< 4{"message":"nope"}
			> 0/chat,{"refuse":"nope","data":"1"}
			< 4/chat,{"message":"nope","data":{"code":7}}`},
		{"v5 refused by a plain error shows nothing of it", 4, `> 0{"wrapped":"pq: password"}
			< 4{"message":"connection refused"}`},
		{"v5 panic in middleware", 4, `> 0{"panic":"x"}
			< 4{"message":"connection refused"}`},
		{"v5 acks", 4, `> 0
			< 0{"sid":"SID"}
			> 20["echo",1,"ä",null,{"a":[1]}]
			< 30[1,"ä",null,{"a":[1]}]
			> 29007199254740991["none"]
			< 39007199254740991[]
			> 21["7",41]
			< 31[42]
			> 22[7,41]
			< 32[42]`},
		{"v5 errors", 4, `> 0
			< 0{"sid":"SID"}
			> 21["fail"]
			< 31[{"event":"fail","error":{"code":"internal","message":"the request failed","retryable":false}}]
			> 2["fail"]
			< 2["error message",{"event":"fail","error":{"code":"internal","message":"the request failed","retryable":false}}]
			> 22["panic"]
			< 32[{"event":"panic","error":{"code":"internal","message":"the request failed","retryable":false}}]
			> 23["nobody"]
			< 33[{"event":"nobody","error":{"code":"unknown_event","message":"no such event","retryable":false}}]
			> 24["upper",1]
			< 34[{"event":"upper","error":{"code":"bad_request","message":"an argument has the wrong form","retryable":false}}]
			> 25["upper"]
			< 35[""]`},
		{"v5 binary", 4, `> 0
			< 0{"sid":"SID"}
			> 51-["back",{"_placeholder":true,"num":0}]
			>b 0102
			< 51-["back",{"_placeholder":true,"num":0}]<0102>
			> 51-3["bytes",{"File":{"_placeholder":true,"num":0}}]
			>b 0102
			< 61-3[{"_placeholder":true,"num":0}]<0102ff>`},
		{"v5 leave and come back", 4, `> 0
			< 0{"sid":"SID"}
			> 1
			> 0
			< 0{"sid":"SID"}`},
		{"v5 left by the server", 4, `> 0
			< 0{"sid":"SID"}
			> 2["leave"]
			< 1
			> 2["in flight"]
			> 1
			> 0/chat,
			< 0/chat,{"sid":"SID"}
			> 0
			< 0{"sid":"SID"}`},
		{"v5 event before CONNECT", 4, `> 2["echo"]
			CLOSED forced server close`},
		{"v5 event after leaving", 4, `> 0
			< 0{"sid":"SID"}
			> 1
			> 2["echo"]
			CLOSED forced server close`},
		{"v5 second CONNECT", 4, `> 0
			< 0{"sid":"SID"}
			> 0
			CLOSED forced server close`},
		{"v5 other namespace's event", 4, `> 0
			< 0{"sid":"SID"}
			> 2/chat,["echo"]
			CLOSED forced server close`},
		{"v5 reserved name", 4, `> 0
			< 0{"sid":"SID"}
			> 2["disconnect"]
			CLOSED parse error`},
		{"v5 string as CONNECT data", 4, `> 0"x"
			CLOSED parse error`},
		{"v5 bad JSON", 4, `> 0
			< 0{"sid":"SID"}
			> 2["a"
			CLOSED parse error`},
		{"v5 eleven attachments", 4, `> 0
			< 0{"sid":"SID"}
			> 511-["a"]
			CLOSED parse error`},
		{"v5 no attachments in a binary event", 4, `> 0
			< 0{"sid":"SID"}
			> 50-["a"]
			CLOSED parse error`},
		{"v5 placeholder out of range", 4, `> 0
			< 0{"sid":"SID"}
			> 51-["a",{"_placeholder":true,"num":1}]
			CLOSED parse error`},
		{"v5 id beyond 2^53-1", 4, `> 0
			< 0{"sid":"SID"}
			> 29007199254740992["none"]
			CLOSED parse error`},
		{"v5 text between attachments", 4, `> 0
			< 0{"sid":"SID"}
			> 51-["a",{"_placeholder":true,"num":0}]
			> 2["none"]
			CLOSED parse error`},
		{"v5 binary from nowhere", 4, `> 0
			< 0{"sid":"SID"}
			>b 01
			CLOSED parse error`},
		{"v5 unasked ack is ignored", 4, `> 0
			< 0{"sid":"SID"}
			> 399["x"]
			> 21["none"]
			< 31[]`},
		{"v5 client sends an error packet", 4, `> 0
			< 0{"sid":"SID"}
			> 4{"message":"x"}
			CLOSED forced server close`},
		{"v4 connected unasked", 3, `< 0
			> 20["upper","x"]
			< 30["X"]`},
		{"v4 namespace", 3, `> 0/chat,
			< 0
			< 0/chat,
			> 2/chat,7["upper","x"]
			< 3/chat,7["X"]`},
		{"v4 namespace query is the auth", 3, `< 0
			> 0/chat?token=x,
			< 0/chat,
			< 2/chat,["auth",{"token":"x"}]`},
		{"v4 refused", 3, `< 0
			> 0/chat?refuse=nope,
			< 4/chat,"nope"
			> 0/chat?refuse=nope&data=1,
			< 4/chat,{"code":7}
			> 0/chat
			< 0/chat,`},
		{"v4 unknown namespace", 3, `< 0
			> 0/nope,
			< 4/nope,{"message":"Invalid namespace"}`},
		{"v4 binary", 3, `< 0
			> 51-["back",{"_placeholder":true,"num":0}]
			>b 0102
			< 51-["back",{"_placeholder":true,"num":0}]<0102>`},
		{"v4 second CONNECT", 3, `< 0
			> 0
			CLOSED forced server close`},
		{"v4 binary first", 3, `< 0
			>b 80
			CLOSED parse error`},
		{"v4 leave and come back", 3, `< 0
			> 0/chat
			< 0/chat,
			> 1/chat,
			> 0/chat
			< 0/chat,`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newTestServer(t, Options{})
			echo(s)
			play(t, s.open(newFakeConn(tt.revision)), tt.script)
		})
	}
}

var anySID = regexp.MustCompile(`"sid":"[0-9A-Za-z_-]{20}"`)

func play(t *testing.T, p *peer, script string) {
	t.Helper()
	for line := range strings.Lines(script) {
		line = strings.TrimSpace(line)
		verb, rest, _ := strings.Cut(line, " ")
		switch verb {
		case ">":
			p.say(rest)
		case ">b":
			p.sayBinary(unhex(t, rest))
		case "<":
			if got := anySID.ReplaceAllString(p.next(), `"sid":"SID"`); got != rest {
				t.Fatalf("got %s, want %s", got, rest)
			}
		case "CLOSED":
			p.wantClosed(rest)
			return
		default:
			t.Fatalf("bad line %q", line)
		}
	}
	if rest := p.rest(); len(rest) > 0 {
		t.Errorf("more came: %q", rest)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reason != "" {
		t.Errorf("closed: %q", p.reason)
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	var b []byte
	for ; len(s) >= 2; s = s[2:] {
		n := strings.Index("0123456789abcdef", s[:1])*16 + strings.Index("0123456789abcdef", s[1:2])
		b = append(b, byte(n))
	}
	return b
}

// TestMsgpack plays a conversation with the msgpack parser.
func TestMsgpack(t *testing.T) {
	s := newTestServer(t, Options{})
	echo(s)
	p := s.v5()
	// {type:0,nsp:"/",data:undefined}: a client without auth.
	p.sayBinary(append([]byte{0x83, 0xa4}, "type\x00\xa3nsp\xa1/\xa4data\xd4\x00\x00"...))
	accept := p.nextFrame()
	if accept.hasTxt || len(accept.binary) != 1 || !strings.Contains(string(accept.binary[0]), "\xa3sid\xb4") {
		t.Fatalf("got %v", accept)
	}
	p.sayBinary(append([]byte{0x84, 0xa4}, "type\x02\xa4data\x92\xa4echo\x01\xa3nsp\xa1/\xa2id\x03"...))
	ack := p.nextFrame()
	if got := string(ack.binary[0]); !strings.Contains(got, "\xa4data\x91\x01") || !strings.Contains(got, "\xa2id\x03") {
		t.Fatalf("got %q", got)
	}
	// Binary goes inline.
	p.sayBinary(append([]byte{0x83, 0xa4}, "type\x02\xa4data\x92\xa4back\xc4\x02\x07\x08\xa3nsp\xa1/"...))
	if got := p.nextFrame(); len(got.binary) != 1 || !strings.Contains(string(got.binary[0]), "\xc4\x02\x07\x08") {
		t.Fatalf("got %v", got)
	}
	p.say(`2["echo"]`)
	p.wantClosed("parse error")
}

func TestSocketIDs(t *testing.T) {
	s := newTestServer(t, Options{})
	ids := make(chan string, 4)
	for _, name := range []string{"/", "/chat"} {
		s.Of(name).OnConnect(func(_ context.Context, s *Socket) error {
			ids <- s.ID()
			return nil
		})
	}
	p := s.v4()
	p.want("0")
	if got := <-ids; got != p.id {
		t.Errorf("root id of protocol 4 is %q, want the session's %q", got, p.id)
	}
	p.say("0/chat")
	if got := <-ids; got != "/chat#"+p.id {
		t.Errorf("got %q", got)
	}
	q := s.v5()
	sid, _ := q.connect("/", "")
	if got := <-ids; got != sid || got == q.id || len(got) != 20 {
		t.Errorf("got %q, accepted as %q", got, sid)
	}
}

func TestConnectFlood(t *testing.T) {
	s := newTestServer(t, Options{MaxNamespaces: 3, MaxConnects: 8})
	s.OfPattern(regexp.MustCompile("^/room-"))
	p := s.v5()
	for _, name := range []string{"/room-1", "/room-2", "/room-3"} {
		p.connect(name, "")
	}
	p.say("0/room-4")
	p.want(`4/room-4,{"message":"Too many namespaces"}`)
	p.say("0/x", "0/x", "0/x", "0/x", "0/x")
	p.wantClosed("forced server close")
}

func TestDynamicNamespaces(t *testing.T) {
	s := newTestServer(t, Options{})
	parent := s.OfMatch(func(_ context.Context, name string, auth json.RawMessage) bool {
		return strings.HasPrefix(name, "/tenant-") && string(auth) == `{"key":"k"}`
	})
	On(parent, "name", func(_ context.Context, s *Socket, _ struct{}) (string, error) {
		return s.Namespace().Name(), nil
	})
	s.Of("/tenant-static")
	p, q := s.v5(), s.v5()
	p.connect("/tenant-1", `{"key":"k"}`)
	q.connect("/tenant-1", `{"key":"k"}`)
	q.connect("/tenant-2", `{"key":"k"}`)
	q.connect("/tenant-static", "")
	q.say("0/tenant-3")
	q.want(`4/tenant-3,{"message":"Invalid namespace"}`)
	p.say(`2/tenant-1,1["name"]`)
	p.want(`3/tenant-1,1["/tenant-1"]`)
	if err := parent.Emit(t.Context(), "all", 1); err != nil {
		t.Fatal(err)
	}
	p.want(`2/tenant-1,["all",1]`)
	// One that was just connected may get it a moment later than the other.
	both := []string{q.next(), q.next()}
	slices.Sort(both)
	if got := strings.Join(both, " "); got != `2/tenant-1,["all",1] 2/tenant-2,["all",1]` {
		t.Errorf("got %s", got)
	}
	names := func() (list []string) {
		for _, ns := range s.Namespaces() {
			list = append(list, ns.Name())
		}
		return list
	}
	if got := strings.Join(names(), " "); got != "/tenant-1 /tenant-2 /tenant-static" {
		t.Errorf("namespaces: %s", got)
	}
	p.say("1/tenant-1,")
	q.Close("transport close")
	eventually(t, "dynamic namespaces gone", func() bool { return strings.Join(names(), " ") == "/tenant-static" })
	r := s.v5()
	r.connect("/tenant-1", `{"key":"k"}`) // and made anew
	if err := s.Of("/tenant-1").Emit(t.Context(), "again"); err != nil {
		t.Fatal(err)
	}
	r.want(`2/tenant-1,["again"]`)
}

func TestLargeAuth(t *testing.T) {
	s := newTestServer(t, Options{MaxAuth: 20})
	s.Of("/")
	p := s.v5()
	p.say(`0{"token":"123456789"}`)
	p.want(`4{"message":"Auth payload too large"}`)
	p.connect("/", `{"token":"12345678"}`)
}

func TestV4WithoutRoot(t *testing.T) {
	s := newTestServer(t, Options{})
	s.Of("/chat")
	p := s.v4()
	p.want(`4{"message":"Invalid namespace"}`)
	p.say("0/chat")
	p.want("0/chat,")
}

func TestV4OtherNamespaceWaitsForRoot(t *testing.T) {
	s := newTestServer(t, Options{})
	gate := make(chan struct{})
	s.Of("/").Use(func(context.Context, *Socket) error { <-gate; return nil })
	s.Of("/chat")
	p := s.v4()
	p.say("0/chat")
	eventually(t, "waiting", func() bool {
		p.client.mu.Lock()
		defer p.client.mu.Unlock()
		return p.client.early != nil && len(p.client.early.waiting) == 1
	})
	close(gate)
	p.want("0", "0/chat,")
}

var _ adapter.Socket = (*member)(nil)
