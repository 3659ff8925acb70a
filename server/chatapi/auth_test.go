package chatapi

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/identity"
	"github.com/antchat/antchat/server/socketio"
)

// passes is an authenticator for tests: a token is JSON, and not signed.
type passes struct {
	mu   sync.Mutex
	down bool
}

func (p *passes) setDown(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

func (p *passes) Authenticate(_ context.Context, token string) (identity.Identity, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return identity.Identity{}, identity.ErrUnavailable
	}
	var claims identity.Claims
	if json.Unmarshal([]byte(token), &claims) != nil || claims.Text("sub") == "" {
		return identity.Identity{}, identity.ErrInvalid
	}
	id := identity.Identity{Subject: claims.Text("sub"), Name: claims.Text("name"), Claims: claims, Expires: time.Now().Add(time.Hour)}
	if n, ok := claims["in"].(json.Number); ok {
		in, err := n.Float64()
		if err != nil {
			return identity.Identity{}, identity.ErrInvalid
		}
		id.Expires = time.Now().Add(time.Duration(in * float64(time.Second)))
	}
	if !id.Expires.After(time.Now()) {
		return identity.Identity{}, identity.ErrExpired
	}
	return id, nil
}

// pass is a token of passes.
func pass(sub string, more ...any) string {
	claims := map[string]any{"sub": sub}
	for i := 0; i < len(more); i += 2 {
		claims[more[i].(string)] = more[i+1]
	}
	b, _ := json.Marshal(claims)
	return string(b)
}

func withToken(token string) map[string]any { return map[string]any{"token": token} }

func newTokenChat(t testing.TB, o Options) *fixture {
	if o.Authenticator == nil {
		o.Authenticator = &passes{}
	}
	return newChat(t, o, local.Options{})
}

// Wherever a client can put its token it is found, in both protocols, and what is
// refused says why.
func TestTokens(t *testing.T) {
	f := newTokenChat(t, Options{})
	good, header := pass("u1", "name", "Ann"), map[string]string{"authorization": "bearer " + pass("u1")}
	for name, h := range map[string]hello{
		"auth":                 {auth: withToken(good)},
		"header":               {secrets: header},
		"query":                {secrets: map[string]string{"token": good}},
		"access_token":         {secrets: map[string]string{"access_token": good}},
		"auth before header":   {auth: withToken(good), secrets: map[string]string{"authorization": "Bearer x"}},
		"header of a proxy":    {secrets: map[string]string{"authorization": "Basic x", "access_token": good}},
		"header, protocol 4":   {protocol: 4, secrets: header},
		"query, protocol 4":    {protocol: 4, secrets: map[string]string{"token": good}},
		"with the tutorial's":  {auth: map[string]any{"token": good, "serverOffset": 0}},
		"a session is ignored": {auth: map[string]any{"token": good, "session": secret}},
	} {
		f.dial(h)
		infos, _, err := f.sio.Of("/").FetchSockets(t.Context())
		if err != nil || len(infos) == 0 {
			t.Fatal(err, len(infos))
		}
		for _, info := range infos {
			if strings.Contains(string(info.Handshake), "u1") || strings.Contains(string(info.Handshake), secret) {
				t.Errorf("%s: the handshake shows %s", name, info.Handshake)
			}
		}
	}
	for _, c := range []struct {
		name string
		h    hello
		want Code
	}{
		{"nothing", hello{}, CodeTokenMissing},
		{"null", hello{auth: map[string]any{"token": nil}}, CodeTokenMissing},
		{"empty", hello{auth: withToken("")}, CodeTokenMissing},
		{"no string", hello{auth: map[string]any{"token": 5}}, CodeTokenInvalid},
		{"nonsense", hello{auth: withToken("x")}, CodeTokenInvalid},
		{"expired", hello{auth: withToken(pass("u1", "in", -1))}, CodeTokenExpired},
		{"nothing, protocol 4", hello{protocol: 4}, CodeTokenMissing},
		{"expired, protocol 4", hello{protocol: 4, secrets: map[string]string{"token": pass("u1", "in", -1)}}, CodeTokenExpired},
	} {
		client := f.open(c.h)
		client.await("a refusal", func() bool { return client.refused != "" })
		var refused struct {
			Data Problem
			Problem
		}
		client.mu.Lock()
		err := json.Unmarshal([]byte(client.refused), &refused)
		client.mu.Unlock()
		if got := refused.Data.Code + refused.Problem.Code; err != nil || got != c.want {
			t.Errorf("%s: %s, want %s", c.name, client.refused, c.want)
		}
	}
}

// While the issuer's keys cannot be had nobody is refused for good.
func TestTokenThatCannotBeChecked(t *testing.T) {
	p := &passes{}
	f := newTokenChat(t, Options{Authenticator: p})
	p.setDown(true)
	c := f.open(hello{auth: withToken(pass("u1"))})
	c.await("the close", func() bool { return c.closed })
	if c.refused != "" {
		t.Error(c.refused)
	}
	p.setDown(false)
	c = f.dial(hello{auth: withToken(pass("u1"))})
	p.setDown(true)
	if r := c.refusal("refresh token", pass("u1")); r.Code != CodeUnavailable || !r.Retryable {
		t.Errorf("%+v", r)
	}
}

// A token names its person, on every socket.
func TestTokenNames(t *testing.T) {
	f := newTokenChat(t, Options{})
	ann := f.dial(hello{auth: withToken(pass("u1", "name", " Ann "))})
	bob := f.dial(hello{auth: withToken(pass("u2"))})
	call[Stored](ann, "new message", "before a name was given")
	if m := nextAs[chat.Message](bob, "new message"); m.Username != "Ann" {
		t.Errorf("%+v", m)
	}
	if a := call[AddedUser](ann, "add user", "Mallory"); a.Username != "Ann" || a.NumUsers != 1 {
		t.Errorf("%+v", a)
	}
	if a := call[AddedUser](f.dial(hello{auth: withToken(pass("u1", "name", "Ann"))}), "add user", "x"); a.NumUsers != 1 {
		t.Errorf("%+v", a)
	}
	if a := call[AddedUser](bob, "add user", "Bob"); a.Username != "Bob" || a.NumUsers != 2 {
		t.Errorf("%+v", a)
	}
	if a := call[AddedUser](f.dial(hello{auth: withToken(pass("u3", "name", "a\nb"))}), "add user", "Cho"); a.Username != "Cho" {
		t.Errorf("%+v", a)
	}
}

// A session is continued by the same user's token alone.
func TestTokenAndRecovery(t *testing.T) {
	f := newTokenChat(t, Options{})
	ann := f.dial(hello{auth: withToken(pass("u1", "name", "Ann"))})
	call[AddedUser](ann, "add user", "")
	bob := f.dial(hello{auth: withToken(pass("u2"))})
	call[Stored](bob, "new message", "seen")
	ann.next("new message")
	ann.drop()
	call[Stored](bob, "new message", "missed")
	if c := f.dial(hello{auth: ann.back(withToken(pass("u2")))}); c.sid == ann.sid {
		t.Error("somebody else's token continued the session")
	}
	c := f.open(hello{auth: ann.back(nil)})
	c.await("a refusal", func() bool { return c.refused != "" })
	c = f.dial(hello{auth: ann.back(withToken(pass("u1", "name", "Ann")))})
	if c.sid != ann.sid {
		t.Error("not recovered")
	}
	if m := nextAs[chat.Message](c, "new message"); m.Message != "missed" {
		t.Errorf("%+v", m)
	}
}

func TestRefreshToken(t *testing.T) {
	f := newTokenChat(t, Options{})
	c := f.dial(hello{auth: withToken(pass("u1", "in", 600))})
	for token, want := range map[string]Code{pass("u2"): CodeTokenInvalid, "x": CodeTokenInvalid, pass("u1", "in", -1): CodeTokenExpired} {
		if r := c.refusal("refresh token", token); r.Code != want {
			t.Errorf("%s: %+v", token, r)
		}
	}
	if a := call[TokenExpiry](c, "refresh token", map[string]any{"token": pass("u1", "in", 7200)}); a.Expires < time.Now().Add(time.Hour).UnixMilli() {
		t.Errorf("%+v", a)
	}
	open := newDefault(t)
	if r := open.dial(hello{}).refusal("refresh token", "x"); r.Code != CodeTokenInvalid {
		t.Errorf("%+v", r)
	}
}

// The end of a token is enforced: a warning, a reason, and a close that the
// client takes for a lost connection.
func TestTokenEnds(t *testing.T) {
	var ended []Code
	var mu sync.Mutex
	f := newTokenChat(t, Options{TokenWarning: 2500 * time.Millisecond, Hooks: Hooks{Ended: func(c Code) { mu.Lock(); ended = append(ended, c); mu.Unlock() }}})
	short := func(sub string) hello { return hello{auth: withToken(pass(sub, "in", 3))} }
	ann, bob := f.dial(short("u1")), f.dial(short("u2"))
	old := f.dial(hello{protocol: 4, secrets: map[string]string{"token": pass("u3", "in", 3)}})
	if e := nextAs[TokenExpiry](ann, "token expiring"); e.Expires < time.Now().UnixMilli() {
		t.Errorf("%+v", e)
	}
	call[TokenExpiry](ann, "refresh token", pass("u1"))
	for _, c := range []*client{bob, old} {
		nextAs[TokenExpiry](c, "token expiring")
		if e := nextAs[SessionEnded](c, "session ended"); e.Code != CodeTokenExpired {
			t.Errorf("%+v", e)
		}
		c.await("the close", func() bool { return c.closed })
	}
	call[RoomPeople](ann, "who")
	ann.nothing("session ended")
	if c := f.dial(hello{auth: bob.back(withToken(pass("u2")))}); c.sid != bob.sid {
		t.Error("not recovered with a new token")
	}
	mu.Lock()
	defer mu.Unlock()
	if len(ended) != 2 {
		t.Errorf("%v", ended)
	}
}

// The leases say what is due, in order, and forgets who has gone.
func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l leases
		l.init(10*time.Second, time.Second)
		start := time.Now()
		members := make([]*member, 20)
		for i := range members {
			members[i] = &member{socket: new(socketio.Socket), token: &bearer{expires: start.Add(time.Duration(100+i*7%20) * time.Second)}}
			l.add(members[i])
		}
		l.add(&member{}) // without a token
		for _, m := range members[10:] {
			l.drop(m)
			l.drop(m)
		}
		members[0].token = &bearer{expires: start.Add(time.Hour)}
		l.add(members[0])
		warned, ended := 0, 0
		for now := start; now.Before(start.Add(2 * time.Minute)); now = now.Add(time.Second) {
			due, next := l.due(now)
			if !next.IsZero() && !next.After(now) {
				t.Fatal("due again at once")
			}
			for _, d := range due {
				switch {
				case d.ended && now != d.expires.Add(time.Second), !d.ended && now != d.expires.Add(-10*time.Second):
					t.Errorf("%v at %v", d, now)
				case d.ended:
					ended++
				default:
					warned++
				}
			}
		}
		if warned != 9 || ended != 9 || len(l.of) != 1 || l.byTime.First() != l.of[members[0].socket] {
			t.Error(fmt.Sprint(warned, ended, len(l.of)))
		}
	})
}
