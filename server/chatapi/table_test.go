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

func newDefault(t testing.TB) *fixture { return newChat(t, Options{}, local.Options{}) }

// usernames are the names in a list of people, sorted.
func usernames(users []chat.Listed) []string {
	names := []string{}
	for _, u := range users {
		names = append(names, u.Username)
	}
	slices.Sort(names)
	return names
}

func texts(raw messages) []string {
	out := []string{}
	for _, r := range raw {
		var m chat.Message
		if err := json.Unmarshal(r, &m); err != nil {
			panic(err)
		}
		out = append(out, m.Message)
	}
	return out
}

func TestAddUser(t *testing.T) {
	f := newDefault(t)
	ann, bob, guest := f.dial(hello{}), f.dial(hello{}), f.dial(hello{})
	ann.emit("add user", "Ann") // the official example: a string, no ack
	if l := nextAs[Login](ann, "login"); l.NumUsers != 1 {
		t.Errorf("login %+v", l)
	}
	for _, c := range []*client{bob, guest} {
		if j := nextAs[UserChange](c, "user joined"); j != (UserChange{"Ann", 1, "lobby", j.User}) {
			t.Errorf("user joined %+v", j)
		}
	}
	a := call[AddedUser](bob, "add user", map[string]any{"username": " 봅 "})
	if a.Username != "봅" || a.NumUsers != 2 || !slices.Equal(a.Rooms, []string{"lobby"}) {
		t.Errorf("add user %+v", a)
	}
	if l := nextAs[Login](bob, "login"); l.NumUsers != 2 {
		t.Errorf("login %+v", l)
	}
	if j := nextAs[UserChange](ann, "user joined"); j != (UserChange{"봅", 2, "lobby", j.User}) {
		t.Errorf("user joined %+v", j)
	}
	// A repetition only acknowledges, whatever it says.
	if a := call[AddedUser](bob, "add user", "Robert"); a.Username != "봅" || a.NumUsers != 2 {
		t.Errorf("repeated add user %+v", a)
	}
	if p := guest.refusal("add user", "a\u0000b"); p.Code != CodeInvalidName || p.Retryable {
		t.Errorf("refused with %+v", p)
	}
	f.barrier(ann, bob, guest)
	bob.nothing("login", "user joined")
	ann.nothing("login", "user joined")
}

func TestNewMessage(t *testing.T) {
	f := newDefault(t)
	ann, bob := f.dial(hello{}), f.dial(hello{})
	call[AddedUser](ann, "add user", "Ann")
	ann.emit("new message", "hi <b> \u2028 \"quoted\" 😀") // the official example
	m := nextAs[chat.Message](bob, "new message")
	if m.Username != "Ann" || m.Message != "hi <b> \u2028 \"quoted\" 😀" || m.Room != "lobby" || m.Seq != 1 || m.ID == "" || m.Epoch == "" ||
		time.Since(time.UnixMilli(m.TS)).Abs() > time.Hour {
		t.Errorf("new message %+v", m)
	}
	// Exactly the documented fields.
	sent := call[Stored](ann, "new message", map[string]any{"room": "lobby", "message": "cafe\u0301", "id": "m1"})
	e := bob.next("new message")
	var fields map[string]any
	if err := json.Unmarshal(e.args[0], &fields); err != nil {
		t.Fatal(err)
	}
	if len(fields) != 8 || fields["message"] != "café" || fields["id"] != "m1" || fields["seq"] != 2.0 || fields["ts"] != float64(sent.TS) {
		t.Errorf("new message %s", e.raw)
	}
	if sent.ID != "m1" || sent.Room != "lobby" || sent.Seq != 2 || sent.Epoch != m.Epoch {
		t.Errorf("stored %+v", sent)
	}
	// A guest's name is generated, stable, and not its socket's id.
	bob.emit("new message", "me too")
	guest := nextAs[chat.Message](ann, "new message").Username
	bob.emit("new message", "again")
	if again := nextAs[chat.Message](ann, "new message").Username; guest != again || !strings.HasPrefix(guest, "guest-") {
		t.Errorf("guest %q, then %q", guest, again)
	}
	f.barrier(ann, bob)
	ann.nothing("new message")
	bob.nothing("new message")
}

func TestRefusals(t *testing.T) {
	f := newChat(t, Options{Limits: chat.Limits{RoomsPerSocket: 2}, RelayEvents: []string{"draw"}}, local.Options{})
	c := f.dial(hello{})
	call[JoinedRoom](c, "join room", "second")
	call[Stored](c, "new message", map[string]any{"message": "x", "id": "taken"})
	seen := map[Code]bool{}
	for _, tt := range []struct {
		event string
		args  []any
		code  Code
	}{
		{"add user", []any{}, CodeInvalidName},
		{"add user", []any{""}, CodeInvalidName},
		{"add user", []any{5}, CodeBadRequest},
		{"add user", []any{[]string{"a"}}, CodeBadRequest},
		{"add user", []any{map[string]any{"username": 5}}, CodeBadRequest},
		{"add user", []any{strings.Repeat("x", 33)}, CodeInvalidName},
		{"new message", []any{""}, CodeInvalidMessage},
		{"new message", []any{}, CodeInvalidMessage},
		{"new message", []any{nil}, CodeInvalidMessage},
		{"new message", []any{true}, CodeBadRequest},
		{"new message", []any{"bell \a"}, CodeInvalidMessage},
		{"new message", []any{strings.Repeat("x", 4001)}, CodeInvalidMessage},
		{"new message", []any{map[string]any{"message": "x", "room": "elsewhere"}}, CodeNotMember},
		{"new message", []any{map[string]any{"message": "x", "room": "a\u0007"}}, CodeInvalidRoom},
		{"new message", []any{map[string]any{"message": "x", "room": c.sid}}, CodeNotMember},
		{"new message", []any{map[string]any{"message": "x", "id": strings.Repeat("i", 129)}}, CodeInvalidID},
		{"new message", []any{map[string]any{"message": "x", "id": 7}}, CodeBadRequest},
		{"new message", []any{map[string]any{"message": "y", "id": "taken"}}, CodeIDConflict},
		{"chat message", []any{}, CodeInvalidMessage},
		{"chat message", []any{map[string]any{}}, CodeBadRequest},
		{"chat message", []any{"x", 5}, CodeBadRequest},
		{"typing", []any{map[string]any{"room": "elsewhere"}}, CodeNotMember},
		{"stop typing", []any{"elsewhere"}, CodeNotMember},
		{"join room", []any{}, CodeInvalidRoom},
		{"join room", []any{"third"}, CodeTooManyRooms},
		{"join room", []any{map[string]any{"room": "second", "since": -1}}, CodeBadRequest},
		{"join room", []any{map[string]any{"room": "second", "since": "1"}}, CodeBadRequest},
		{"join room", []any{map[string]any{"room": "second", "epoch": strings.Repeat("e", 65)}}, CodeBadRequest},
		{"join room", []any{map[string]any{"room": strings.Repeat("r", 65)}}, CodeInvalidRoom},
		{"leave room", []any{7}, CodeBadRequest},
		{"history", []any{"lobby"}, CodeBadRequest},
		{"history", []any{map[string]any{"limit": 1.5}}, CodeBadRequest},
		{"history", []any{map[string]any{"room": "\u202e"}}, CodeInvalidRoom},
		{"who", []any{map[string]any{"room": "\n"}}, CodeInvalidRoom},
		{"rooms", []any{map[string]any{"after": "\x00"}}, CodeInvalidRoom},
		{"rooms", []any{5}, CodeBadRequest},
		{"draw", []any{}, CodeInvalidRoom},
		{"draw", []any{5}, CodeBadRequest},
		{"draw", []any{"elsewhere", 1}, CodeNotMember},
		{"no such event", []any{1, 2}, CodeUnknownEvent},
		{"login", []any{}, CodeUnknownEvent}, // only the server's
	} {
		what := fmt.Sprintf("%s %.60v", tt.event, tt.args)
		p := c.refusal(tt.event, tt.args...)
		if p.Code != tt.code || p.Message == "" || p.Retryable != tt.code.Retryable() {
			t.Errorf("%s: %+v, want %s", what, p, tt.code)
		}
		seen[p.Code] = true
		// The same without an acknowledgement.
		c.emit(tt.event, tt.args...)
		if r := nextAs[Refusal](c, "error message"); r.Event != tt.event || r.Error != p {
			t.Errorf("%s without ack: %+v", what, r)
		}
	}
	for code := range seen {
		if !slices.Contains(Codes, code) {
			t.Errorf("%s is not in the closed list", code)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, n := range c.acked {
		if n != 1 {
			t.Errorf("request %d was acknowledged %d times", id, n)
		}
	}
}

func TestJoinHistoryLeave(t *testing.T) {
	f := newDefault(t)
	ann, bob := f.dial(hello{}), f.dial(hello{})
	call[AddedUser](ann, "add user", "Ann")
	call[AddedUser](bob, "add user", "Bob")
	j := call[JoinedRoom](ann, "join room", map[string]any{"room": "tea"})
	if j.Room != "tea" || j.Seq != 0 || j.NumUsers != 1 || !slices.Equal(usernames(j.Users), []string{"Ann"}) || len(j.Messages) != 0 || j.More || j.Gap != nil {
		t.Errorf("first join %+v", j)
	}
	for i := range 5 {
		call[Stored](ann, "new message", map[string]any{"room": "tea", "message": fmt.Sprint("m", i+1)})
	}
	j = call[JoinedRoom](bob, "join room", map[string]any{"room": "tea", "limit": 3})
	if j.Seq != 5 || j.NumUsers != 2 || !slices.Equal(usernames(j.Users), []string{"Ann", "Bob"}) || !slices.Equal(texts(j.Messages), []string{"m3", "m4", "m5"}) || !j.More {
		t.Errorf("join with limit %+v, %v", j, texts(j.Messages))
	}
	if u := nextAs[UserChange](ann, "user joined"); u != (UserChange{"Bob", 2, "lobby", u.User}) {
		t.Errorf("user joined %+v", u)
	}
	if u := nextAs[UserChange](ann, "user joined"); u != (UserChange{"Bob", 2, "tea", u.User}) {
		t.Errorf("user joined %+v", u)
	}
	epoch := j.Epoch
	for _, tt := range []struct {
		in   map[string]any
		want string
		more bool
	}{
		{map[string]any{"since": 3}, "m4 m5", false},
		{map[string]any{"since": 3, "epoch": epoch}, "m4 m5", false},
		{map[string]any{"since": 0, "limit": 2}, "m4 m5", true},
		{map[string]any{"since": 3, "limit": 2}, "m4 m5", false},
		{map[string]any{"since": 2, "limit": 2}, "m4 m5", true},
		{map[string]any{"since": 5}, "", false},
		{map[string]any{}, "m1 m2 m3 m4 m5", false},
	} {
		tt.in["room"] = "tea"
		j := call[JoinedRoom](bob, "join room", tt.in)
		if got := strings.Join(texts(j.Messages), " "); got != tt.want || j.More != tt.more || j.Gap != nil || j.Seq != 5 {
			t.Errorf("join %v: %q, %+v", tt.in, got, j)
		}
	}
	for _, tt := range []struct {
		in   map[string]any
		want string
		more bool
	}{
		{map[string]any{"limit": 2}, "m4 m5", true},
		{map[string]any{}, "m1 m2 m3 m4 m5", false},
		{map[string]any{"before": 4, "limit": 2}, "m2 m3", true},
		{map[string]any{"before": 3, "limit": 2}, "m1 m2", false},
		{map[string]any{"before": 1}, "", false},
		{map[string]any{"before": 0}, "", false},
		{map[string]any{"after": 3}, "m4 m5", false},
		{map[string]any{"after": 0, "limit": 2}, "m1 m2", true},
		{map[string]any{"after": 5}, "", false},
		{map[string]any{"after": 1, "before": 5, "limit": 2}, "m3 m4", true},
		{map[string]any{"after": 2, "before": 5, "limit": 2}, "m3 m4", false},
		{map[string]any{"after": 3, "before": 5}, "m4", false},
	} {
		tt.in["room"] = "tea"
		h := call[HistoryPage](ann, "history", tt.in)
		if got := strings.Join(texts(h.Messages), " "); got != tt.want || h.More != tt.more || h.Epoch != epoch || h.Gap != nil {
			t.Errorf("history %v: %q, %+v", tt.in, got, h)
		}
	}
	w := call[RoomPeople](ann, "who", map[string]any{"room": "tea"})
	if w.Room != "tea" || w.NumUsers != 2 || !slices.Equal(usernames(w.Users), []string{"Ann", "Bob"}) {
		t.Errorf("who %+v", w)
	}
	if l := call[LeftRoom](bob, "leave room", map[string]any{"room": "tea"}); l.Room != "tea" {
		t.Errorf("leave room %+v", l)
	}
	if u := nextAs[UserChange](ann, "user left"); u != (UserChange{"Bob", 1, "tea", u.User}) {
		t.Errorf("user left %+v", u)
	}
	call[LeftRoom](bob, "leave room", "tea") // again: nothing happens
	call[Stored](ann, "new message", map[string]any{"room": "tea", "message": "without Bob"})
	f.barrier(ann, bob)
	bob.nothing("new message", "user left")
	ann.nothing("user left")
	if p := bob.refusal("new message", map[string]any{"room": "tea", "message": "x"}); p.Code != CodeNotMember {
		t.Errorf("refused with %+v", p)
	}
}

func TestRooms(t *testing.T) {
	f := newDefault(t)
	c := f.dial(hello{})
	call[AddedUser](c, "add user", "Ann")
	for _, r := range []string{"b", "a", "c", "가"} {
		call[JoinedRoom](c, "join room", r)
	}
	call[Stored](c, "new message", map[string]any{"room": "b", "message": "x"})
	call[JoinedRoom](c, "join room", "silent") // written to by nobody, and left again
	call[LeftRoom](c, "leave room", "silent")
	call[LeftRoom](c, "leave room", "b") // has messages still
	l := call[RoomList](c, "rooms")
	want := []ListedRoom{{Room: "a", NumUsers: 1}, {Room: "b", Seq: 1}, {Room: "c", NumUsers: 1}, {Room: "lobby", NumUsers: 1}, {Room: "가", NumUsers: 1}}
	if !slices.Equal(l.Rooms, want) || l.More {
		t.Errorf("rooms %+v", l)
	}
	for limit := 1; limit <= len(want)+1; limit++ {
		var all []ListedRoom
		for after := ""; ; {
			l := call[RoomList](c, "rooms", map[string]any{"after": after, "limit": limit})
			all = append(all, l.Rooms...)
			if !l.More || len(all) > len(want) {
				break
			}
			after = l.Rooms[len(l.Rooms)-1].Room
		}
		if !slices.Equal(all, want) {
			t.Errorf("rooms by %d: %+v", limit, all)
		}
	}
}

func TestTyping(t *testing.T) {
	f := newChat(t, Options{TypingExpiry: 300 * time.Millisecond}, local.Options{})
	ann, bob := f.dial(hello{}), f.dial(hello{})
	call[AddedUser](ann, "add user", "Ann")
	want := UserTyping{"Ann", "lobby"}
	ann.emit("typing") // the official example
	if u := nextAs[UserTyping](bob, "typing"); u != want {
		t.Errorf("typing %+v", u)
	}
	ann.emit("stop typing")
	if u := nextAs[UserTyping](bob, "stop typing"); u != want {
		t.Errorf("stop typing %+v", u)
	}
	// Silence ends it, once.
	if answer := ann.answer(ann.request("typing", map[string]any{"room": "lobby"})); len(answer) != 0 {
		t.Errorf("typing was acknowledged with %s", answer)
	}
	nextAs[UserTyping](bob, "typing")
	if u := nextAs[UserTyping](bob, "stop typing"); u != want {
		t.Errorf("stop typing %+v", u)
	}
	// So do leaving the room and losing the connection.
	call[JoinedRoom](ann, "join room", "tea")
	call[JoinedRoom](bob, "join room", "tea")
	ann.emit("typing", "tea")
	nextAs[UserTyping](bob, "typing")
	call[LeftRoom](ann, "leave room", "tea")
	if u := nextAs[UserTyping](bob, "stop typing"); u.Room != "tea" {
		t.Errorf("stop typing %+v", u)
	}
	ann.emit("typing")
	nextAs[UserTyping](bob, "typing")
	ann.drop()
	if u := nextAs[UserTyping](bob, "stop typing"); u != want {
		t.Errorf("stop typing %+v", u)
	}
	f.barrier(bob)
	ann.nothing("typing", "stop typing")
	bob.nothing("typing", "stop typing")
}

func TestRelay(t *testing.T) {
	f := newChat(t, Options{RelayEvents: []string{"draw"}}, local.Options{})
	ann, bob, other := f.dial(hello{}), f.dial(hello{}), f.dial(hello{})
	for _, c := range []*client{ann, bob} {
		call[JoinedRoom](c, "join room", "board")
	}
	if answer := ann.answer(ann.request("draw", "board", map[string]any{"x": 1, "y": []int{2}}, "😀")); len(answer) != 0 {
		t.Errorf("relayed event was acknowledged with %s", answer)
	}
	e := bob.next("draw")
	if !strings.HasPrefix(e.raw, `["draw","board",{"x":1,"y":[2]},"😀"`) || len(e.args) != 3 {
		t.Errorf("relayed %s", e.raw)
	}
	f.barrier(ann, bob, other)
	ann.nothing("draw")
	other.nothing("draw")
	if h := call[HistoryPage](ann, "history", map[string]any{"room": "board"}); len(h.Messages) != 0 {
		t.Errorf("a relayed event was logged: %s", h.Messages)
	}
}

func TestRelayNames(t *testing.T) {
	for _, bad := range [][]string{{""}, {"new message"}, {"room gap"}, {"connect"}, {"a", "a"}, {strings.Repeat("x", 129)}} {
		if err := checkRelay(bad); err == nil {
			t.Errorf("relay events %q passed", bad)
		}
	}
	if err := checkRelay([]string{"draw", "그림"}); err != nil {
		t.Error(err)
	}
}
