package chatapi

import (
	"testing"

	"github.com/antchat/antchat/server/chat"
)

func mustRules(t testing.TB, list ...chat.Rule) *chat.Rules {
	t.Helper()
	r, err := chat.NewRules(list)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var (
	everyone = []string{"everyone"}
	byTeam   = []string{"claim:teams={1}"}
)

func teamRules(t testing.TB) *chat.Rules {
	return mustRules(t,
		chat.Rule{Pattern: "lobby", Read: everyone, Write: everyone},
		chat.Rule{Pattern: "news", Read: everyone, Write: []string{"claim:editor"}},
		chat.Rule{Pattern: "team-*", Read: byTeam, Write: byTeam, Moderate: []string{"claim:leads={1}"}},
	)
}

// Every request asks for its right.
func TestEveryRequestAsksForItsRight(t *testing.T) {
	f := newTokenChat(t, Options{Rules: teamRules(t), RelayEvents: []string{"draw"}})
	ann := f.dial(hello{auth: withToken(pass("ann", "name", "Ann", "teams", []string{"a"}, "editor", true))})
	eve := f.dial(hello{auth: withToken(pass("eve", "name", "Eve", "teams", []string{"b"}))})
	for _, c := range []*client{ann, eve} {
		call[JoinedRoom](c, "join room", "news")
	}
	call[JoinedRoom](ann, "join room", "team-a")
	for room, text := range map[string]string{"team-a": "for the team", "news": "for all", "lobby": "hello"} {
		call[Stored](ann, "new message", map[string]any{"room": room, "message": text})
	}
	for event, payload := range map[string]any{
		"join room":   "team-a",
		"history":     map[string]any{"room": "team-a"},
		"who":         "team-a",
		"new message": map[string]any{"room": "news", "message": "x"},
		"typing":      "news",
		"stop typing": "team-a",
		"draw":        "news",
	} {
		if r := eve.refusal(event, payload); r.Code != CodeForbidden || r.Retryable {
			t.Errorf("%s: %+v", event, r)
		}
	}
	if r := eve.refusal("join room", "a room of no rule"); r.Code != CodeForbidden {
		t.Errorf("%+v", r)
	}
	if r := eve.refusal("join room", ""); r.Code != CodeInvalidRoom {
		t.Errorf("%+v", r)
	}
	list := func(c *client) (names []string) {
		for _, r := range call[RoomList](c, "rooms").Rooms {
			names = append(names, r.Room)
		}
		return names
	}
	if got := list(eve); len(got) != 2 {
		t.Errorf("eve sees %v", got)
	}
	if got := list(ann); len(got) != 3 {
		t.Errorf("ann sees %v", got)
	}
	f.barrier(eve)
	for {
		m := nextAs[chat.Message](eve, "new message")
		if m.Room == "team-a" {
			t.Errorf("eve got %+v", m)
		}
		if m.Room == "lobby" {
			break
		}
	}
}

// A token that opens less ends membership at once, and a session of which a room
// is closed by now is not continued.
func TestRightsThatEnd(t *testing.T) {
	f := newTokenChat(t, Options{Rules: teamRules(t)})
	token := func(teams ...string) string { return pass("ann", "name", "Ann", "teams", teams) }
	bob := f.dial(hello{auth: withToken(pass("bob", "teams", []string{"a", "b"}))})
	ann := f.dial(hello{auth: withToken(token("a", "b"))})
	for _, room := range []string{"team-a", "team-b"} {
		call[JoinedRoom](bob, "join room", room)
		call[JoinedRoom](ann, "join room", room)
	}
	say := func(room, text string) {
		call[Stored](bob, "new message", map[string]any{"room": room, "message": text})
	}
	say("team-a", "1")
	ann.next("new message")
	call[TokenExpiry](ann, "refresh token", token("b"))
	say("team-a", "hidden")
	say("team-b", "2")
	if m := nextAs[chat.Message](ann, "new message"); m.Message != "2" {
		t.Errorf("%+v", m)
	}
	ann.drop()
	say("team-b", "3")
	same := f.dial(hello{auth: ann.back(withToken(token("b", "c")))})
	if same.sid != ann.sid {
		t.Error("not recovered although all rooms are open")
	}
	if m := nextAs[chat.Message](same, "new message"); m.Message != "3" {
		t.Errorf("%+v", m)
	}
	same.drop()
	say("team-b", "hidden too")
	other := f.dial(hello{auth: same.back(withToken(token("c")))})
	if other.sid == ann.sid {
		t.Error("recovered although a room is closed")
	}
	f.barrier(other)
	other.nothing("new message")
	if r := other.refusal("join room", "team-b"); r.Code != CodeForbidden {
		t.Errorf("%+v", r)
	}
}

// A closed lobby is not entered, in either vocabulary.
func TestClosedLobby(t *testing.T) {
	f := newTokenChat(t, Options{Rules: mustRules(t, chat.Rule{Pattern: "lobby", Read: []string{"user=ann"}, Write: everyone})})
	ann := f.open(hello{auth: withToken(pass("ann"))})
	ann.await("the accept", func() bool { return ann.accepted })
	call[Stored](ann, "new message", "closed")
	for _, auth := range []map[string]any{withToken(pass("eve")), {"token": pass("eve"), "serverOffset": 0}} {
		eve := f.open(hello{auth: auth})
		eve.await("the accept", func() bool { return eve.accepted })
		if r := eve.refusal("new message", "x"); r.Code != CodeNotMember {
			t.Errorf("%+v", r)
		}
		eve.nothing("chat message", "new message")
	}
}

// Two people find a room between them, and hear of what is said there wherever
// they are connected.
func TestDirectMessages(t *testing.T) {
	f := newDefault(t)
	name := func(c *client, n string) string { return call[AddedUser](c, "add user", n).User }
	ann, bob, eve := f.dial(hello{auth: withSession(secret)}), f.dial(hello{}), f.dial(hello{})
	phone := f.dial(hello{auth: withSession(secret)})
	annID, bobID := name(ann, "Ann"), name(bob, "Bob")
	name(eve, "Eve")
	if annID == bobID || name(phone, "x") != annID {
		t.Error("public ids")
	}
	j := call[JoinedRoom](ann, "join room", "@"+bobID)
	if got := nextAs[LeftRoom](phone, "joined room"); got.Room != j.Room {
		t.Errorf("%+v, want %s", got, j.Room)
	}
	sent := call[Stored](ann, "new message", map[string]any{"room": "@" + bobID, "message": "between us", "id": "1"})
	call[Stored](ann, "new message", map[string]any{"room": "@" + bobID, "message": "between us", "id": "1"})
	for _, c := range []*client{bob, phone} {
		if d := nextAs[DirectMessage](c, "direct message"); d != (DirectMessage{j.Room, annID, "Ann", sent.Seq, sent.Epoch}) {
			t.Errorf("%+v", d)
		}
	}
	if b := call[JoinedRoom](bob, "join room", j.Room); len(b.Messages) != 1 || b.Room != j.Room {
		t.Errorf("%+v", b)
	}
	call[Stored](bob, "new message", map[string]any{"room": "@" + annID, "message": "yes"})
	if m := nextAs[chat.Message](ann, "new message"); m.Message != "yes" || m.User != bobID {
		t.Errorf("%+v", m)
	}
	nextAs[DirectMessage](phone, "direct message")
	for _, event := range []string{"join room", "who"} {
		if r := eve.refusal(event, j.Room); r.Code != CodeForbidden {
			t.Errorf("%s: %+v", event, r)
		}
	}
	if r := eve.refusal("history", map[string]any{"room": j.Room}); r.Code != CodeForbidden {
		t.Errorf("%+v", r)
	}
	if l := call[RoomList](eve, "rooms"); len(l.Rooms) != 1 {
		t.Errorf("%+v", l)
	}
	f.barrier(eve, bob, ann)
	eve.nothing("direct message", "new message")
	bob.nothing("direct message")
	ann.nothing("direct message")
	call[LeftRoom](ann, "leave room", j.Room)
	nextAs[LeftRoom](phone, "left room")
}
