package chatapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
)

const secret = "a-secret-of-enough-bytes"

func withSession(s string) map[string]any { return map[string]any{"session": s} }

// One person with three sockets is counted, announced and taken away once.
func TestSeveralSocketsOfOnePerson(t *testing.T) {
	f := newDefault(t)
	watcher := f.dial(hello{})
	var sockets []*client
	for i := range 3 {
		h := hello{auth: withSession(secret)}
		if i == 2 { // an old client, its secret in the query
			h = hello{protocol: 4, query: "session=" + secret}
		}
		c := f.dial(h)
		sockets = append(sockets, c)
		if a := call[AddedUser](c, "add user", fmt.Sprint("Ann", i)); a.NumUsers != 1 {
			t.Errorf("socket %d: %+v", i, a)
		}
	}
	if u := nextAs[UserChange](watcher, "user joined"); u != (UserChange{"Ann0", 1, "lobby", u.User}) {
		t.Errorf("user joined %+v", u)
	}
	other := f.dial(hello{auth: withSession(secret + "2")})
	if a := call[AddedUser](other, "add user", "Ann0"); a.NumUsers != 2 {
		t.Errorf("another person of that name: %+v", a)
	}
	nextAs[UserChange](watcher, "user joined")
	if w := call[RoomPeople](watcher, "who"); w.NumUsers != 2 || len(w.Users) != 2 {
		t.Errorf("who %+v", w)
	}
	for i, c := range sockets {
		f.barrier(watcher)
		watcher.nothing("user left", "user joined")
		c.leave()
		if i < 2 {
			continue
		}
		if u := nextAs[UserChange](watcher, "user left"); u.NumUsers != 1 || u.Room != "lobby" {
			t.Errorf("user left %+v", u)
		}
	}
}

// Guests come and go silently.
func TestGuestsAreSilent(t *testing.T) {
	f := newDefault(t)
	watcher := f.dial(hello{})
	guest := f.dial(hello{})
	call[JoinedRoom](watcher, "join room", "tea")
	if j := call[JoinedRoom](guest, "join room", "tea"); j.NumUsers != 0 || len(j.Users) != 0 {
		t.Errorf("join %+v", j)
	}
	call[LeftRoom](guest, "leave room", "tea")
	guest.leave()
	f.barrier(watcher)
	watcher.nothing("user joined", "user left", "room users")
	// A guest that joins a room and is named later is announced in both.
	late := f.dial(hello{})
	call[JoinedRoom](late, "join room", "tea")
	if a := call[AddedUser](late, "add user", "Late"); !slices.Equal(slices.Sorted(slices.Values(a.Rooms)), []string{"lobby", "tea"}) {
		t.Errorf("add user %+v", a)
	}
	rooms := []string{nextAs[UserChange](watcher, "user joined").Room, nextAs[UserChange](watcher, "user joined").Room}
	if slices.Sort(rooms); !slices.Equal(rooms, []string{"lobby", "tea"}) {
		t.Errorf("announced in %v", rooms)
	}
}

// A guest's name belongs to the person: another socket with the secret has it
// too, and nothing of the secret or of the user id is in what others see.
func TestNothingSecretIsShown(t *testing.T) {
	f := newDefault(t)
	watcher := f.dial(hello{})
	user, err := chat.UserOfSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for range 2 {
		c := f.dial(hello{auth: withSession(secret)})
		c.emit("new message", "hi")
		e := watcher.next("new message")
		var m chat.Message
		if err := json.Unmarshal(e.args[0], &m); err != nil {
			t.Fatal(err)
		}
		names = append(names, m.Username)
		for _, hidden := range []string{secret, user, c.sid, c.pid} {
			if strings.Contains(e.raw, hidden) {
				t.Errorf("%q is shown in %s", hidden, e.raw)
			}
		}
	}
	if names[0] != names[1] {
		t.Errorf("guest names %v", names)
	}
	// The socket id of protocol 4 opens its session: an id made of it is
	// replaced, and retries still work.
	old := f.dial(hello{protocol: 4})
	id := old.ID() + "-1"
	a := call[Stored](old, "new message", map[string]any{"message": "x", "id": id})
	b := call[Stored](old, "new message", map[string]any{"message": "x", "id": id})
	e := watcher.next("new message")
	if strings.Contains(e.raw, old.ID()) || a != b || strings.Contains(a.ID, old.ID()) {
		t.Errorf("shown %s, acknowledged %+v and %+v", e.raw, a, b)
	}
	f.barrier(watcher)
	watcher.nothing("new message")
}

func TestBadSessionIsRefused(t *testing.T) {
	f := newDefault(t)
	for _, h := range []hello{
		{auth: withSession("short")},
		{auth: withSession(strings.Repeat("x", 129))},
		{auth: withSession("with a control \x00 character")},
		{auth: map[string]any{"session": 1234567890123456789}},
		{auth: map[string]any{"session": []string{secret}}},
		{query: "session=short"},
		{protocol: 4, query: "session=short"},
	} {
		c := f.open(h)
		c.await("a refusal", func() bool { return c.refused != "" || c.accepted && h.protocol != 4 })
		if !strings.Contains(c.refused, string(CodeInvalidSession)) || strings.Contains(c.refused, "short") {
			t.Errorf("%+v: refused with %q", h, c.refused)
		}
	}
	for _, auth := range []any{nil, map[string]any{}, map[string]any{"session": nil, "token": 5}, withSession(strings.Repeat("x", 128))} {
		f.dial(hello{auth: auth})
	}
}

// The same id with the same message has one place in the log, through every
// way back that the person has.
func TestRetriesAcrossReconnects(t *testing.T) {
	f := newDefault(t)
	watcher := f.dial(hello{})
	say := map[string]any{"message": "once", "id": "m1"}
	c := f.dial(hello{auth: withSession(secret)})
	first := call[Stored](c, "new message", say)
	watcher.next("new message")
	if again := call[Stored](c, "new message", say); again != first {
		t.Errorf("on the same socket: %+v, first %+v", again, first)
	}
	c.drop()
	recovered := f.dial(hello{auth: c.back(withSession(secret))})
	if recovered.sid != c.sid {
		t.Error("the session was not recovered")
	}
	if again := call[Stored](recovered, "new message", say); again != first {
		t.Errorf("after recovery: %+v", again)
	}
	recovered.leave()
	anew := f.dial(hello{auth: withSession(secret)})
	if anew.sid == c.sid {
		t.Error("a session that was left was recovered")
	}
	if again := call[Stored](anew, "new message", say); again != first {
		t.Errorf("on a new session: %+v", again)
	}
	if p := anew.refusal("new message", map[string]any{"message": "twice", "id": "m1"}); p.Code != CodeIDConflict {
		t.Errorf("another text: %+v", p)
	}
	// Another person may use the same id; without a secret a session is a
	// person for as long as it is recovered.
	plain := f.dial(hello{})
	second := call[Stored](plain, "new message", say)
	if second.Seq != first.Seq+1 {
		t.Errorf("another person: %+v", second)
	}
	plain.drop()
	back := f.dial(hello{auth: plain.back(nil)})
	if again := call[Stored](back, "new message", say); back.sid != plain.sid || again != second {
		t.Errorf("after recovery without a secret: %+v", again)
	}
	watcher.next("new message")
	f.barrier(watcher)
	watcher.nothing("new message")
}

// Without a secret the pid says who it is, also when the session that it was
// of cannot be continued: a guest keeps its name, and a retry stays one.
func TestSamePersonWithoutRecovery(t *testing.T) {
	f := newDefault(t)
	watcher := f.dial(hello{})
	say := map[string]any{"message": "once", "id": "m1"}
	name := func(c *client) string {
		t.Helper()
		c.emit("new message", "who am I?")
		return nextAs[chat.Message](watcher, "new message").Username
	}
	c := f.dial(hello{})
	first := call[Stored](c, "new message", say)
	watcher.next("new message")
	guest := name(c)
	for i, end := range []func(c *client) map[string]any{
		func(c *client) map[string]any { c.drop(); return c.back(map[string]any{"offset": "malformed"}) },
		func(c *client) map[string]any { c.drop(); return c.back(map[string]any{"offset": "again"}) },
		func(c *client) map[string]any { c.drop(); return c.back(nil) }, // recovered in between
		func(c *client) map[string]any { c.drop(); return c.back(map[string]any{"offset": "and again"}) },
	} {
		back := f.dial(hello{auth: end(c)})
		if recovered := back.sid == c.sid; recovered != (i == 2) {
			t.Errorf("%d: recovered: %v", i, recovered)
		}
		c = back
		if again := call[Stored](c, "new message", say); again != first {
			t.Errorf("%d: the retry: %+v, first %+v", i, again, first)
		}
		if now := name(c); now != guest {
			t.Errorf("%d: %q was %q", i, now, guest)
		}
	}
	// A session that is gone altogether leaves its pid.
	c = f.dial(hello{})
	guest = name(c)
	c.leave()
	for f.a.Rooms("/", c.sid) != nil { // the end takes its time
		time.Sleep(time.Millisecond)
	}
	back := f.dial(hello{auth: c.back(nil)})
	if now := name(back); back.sid == c.sid || now != guest {
		t.Errorf("%q was %q", now, guest)
	}
	// What no server gives out is nobody's pid.
	a, b := f.dial(hello{auth: map[string]any{"pid": "1"}}), f.dial(hello{auth: map[string]any{"pid": "1"}})
	if name(a) == name(b) {
		t.Error("two strangers are one person")
	}
	// Who has a secret is not known by the pid.
	c = f.dial(hello{auth: withSession(secret)})
	guest = name(c)
	c.drop()
	thief := f.dial(hello{auth: c.back(nil)})
	if thief.sid == c.sid || name(thief) == guest {
		t.Error("the pid alone was enough")
	}
	if owner := f.dial(hello{auth: c.back(withSession(secret))}); name(owner) != guest {
		t.Error("the owner is somebody else now")
	}
}

// Whose sessions are claimed is remembered for a bounded number of them.
func TestHeirsAreBounded(t *testing.T) {
	var h heirs
	for i := range 5000 {
		h.put(fmt.Sprint("pid-", i), fmt.Sprint("user-", i))
	}
	if len(h.users) > len(h.pids) {
		t.Errorf("%d are remembered", len(h.users))
	}
	if got := h.take("pid-4999"); got != "user-4999" {
		t.Errorf("the last is %q", got)
	}
	for _, pid := range []string{"pid-4999", "pid-0"} { // taken, and too long ago
		if got := h.take(pid); got != chat.UserOfPID(pid) {
			t.Errorf("%s is %q", pid, got)
		}
	}
}

// A recovered socket is still who it was, where it was, and nobody noticed.
func TestRecovery(t *testing.T) {
	f := newDefault(t)
	watcher := f.dial(hello{})
	call[AddedUser](watcher, "add user", "Watcher")
	c := f.dial(hello{})
	call[JoinedRoom](watcher, "join room", "tea")
	call[AddedUser](c, "add user", "Ann")
	call[JoinedRoom](c, "join room", "tea")
	nextAs[UserChange](watcher, "user joined")
	nextAs[UserChange](watcher, "user joined")
	f.barrier(c)
	c.drop()
	call[Stored](watcher, "new message", map[string]any{"room": "tea", "message": "missed"})
	back := f.dial(hello{auth: c.back(nil)})
	if back.sid != c.sid || back.pid != c.pid {
		t.Fatalf("not recovered: %q, was %q", back.sid, c.sid)
	}
	if m := nextAs[chat.Message](back, "new message"); m.Message != "missed" || m.Room != "tea" {
		t.Errorf("missed %+v", m)
	}
	if a := call[AddedUser](back, "add user", "Somebody else"); a.Username != "Ann" || a.NumUsers != 2 || len(a.Rooms) != 2 {
		t.Errorf("add user after recovery: %+v", a)
	}
	back.emit("new message", "here again")
	if m := nextAs[chat.Message](watcher, "new message"); m.Username != "Ann" {
		t.Errorf("new message %+v", m)
	}
	f.barrier(watcher, back)
	watcher.nothing("user left", "user joined")
	back.nothing("login", "new message")
	// Presence is the new connection's: leaving ends it.
	back.leave()
	nextAs[UserChange](watcher, "user left")
	nextAs[UserChange](watcher, "user left")
}

// A connection that is still open when its client comes back on another one
// (a switch of networks) takes nothing with it when it ends.
func TestTakeOver(t *testing.T) {
	f := newDefault(t)
	watcher, c := f.dial(hello{}), f.dial(hello{})
	call[AddedUser](c, "add user", "Ann")
	nextAs[UserChange](watcher, "user joined")
	f.barrier(c)
	back := f.dial(hello{auth: c.back(nil)})
	if back.sid != c.sid {
		t.Fatal("not recovered")
	}
	c.await("its end", func() bool { return c.closed })
	c.drop()
	if w := call[RoomPeople](back, "who"); w.NumUsers != 1 {
		t.Errorf("who %+v", w)
	}
	back.emit("new message", "still here")
	watcher.next("new message")
	f.barrier(watcher)
	watcher.nothing("user left", "user joined")
}

// A pid alone does not take over a session that was made with a secret.
func TestRecoveryChecksIdentity(t *testing.T) {
	f := newDefault(t)
	for _, auth := range []map[string]any{{}, withSession("the-secret-of-another")} {
		c := f.dial(hello{auth: withSession(secret)})
		call[AddedUser](c, "add user", "Ann")
		call[JoinedRoom](c, "join room", "private")
		f.barrier(c)
		c.drop()
		thief := f.dial(hello{auth: c.back(auth)})
		if thief.sid == c.sid || thief.pid == c.pid {
			t.Errorf("%v took the session over", auth)
		}
		a := call[AddedUser](thief, "add user", "Thief")
		if a.Username != "Thief" || slices.Contains(a.Rooms, "private") {
			t.Errorf("%v is %+v", auth, a)
		}
		thief.leave()
	}
}

// Who comes back within the grace has not left.
func TestGraceIsNoNews(t *testing.T) {
	f := newChat(t, Options{}, local.Options{})
	watcher := f.dial(hello{})
	c := f.dial(hello{auth: withSession(secret)})
	call[AddedUser](c, "add user", "Ann")
	nextAs[UserChange](watcher, "user joined")
	c.drop() // not recovered: it comes back as a new session of the same person
	again := f.dial(hello{auth: withSession(secret)})
	if a := call[AddedUser](again, "add user", "Ann"); a.NumUsers != 1 {
		t.Errorf("add user %+v", a)
	}
	nextAs[Login](again, "login")
	f.barrier(watcher)
	watcher.nothing("user left", "user joined")
}

// Without a grace, a connection that is lost is a person that has left.
func TestNoGrace(t *testing.T) {
	f := newChat(t, Options{}, local.Options{Grace: -1})
	watcher := f.dial(hello{})
	c := f.dial(hello{auth: withSession(secret)})
	call[AddedUser](c, "add user", "Ann")
	nextAs[UserChange](watcher, "user joined")
	c.drop()
	if u := nextAs[UserChange](watcher, "user left"); u != (UserChange{"Ann", 0, "lobby", u.User}) {
		t.Errorf("user left %+v", u)
	}
}
