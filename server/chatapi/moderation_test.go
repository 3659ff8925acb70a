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

// modRules: everybody writes everywhere, and the claim mod moderates.
func modRules(t testing.TB) *chat.Rules {
	return mustRules(t, chat.Rule{Pattern: "*", Read: everyone, Write: everyone, Moderate: []string{"claim:mod"}})
}

type modScene struct {
	*fixture
	mod, ann, bob *client
	annID, bobID  string
}

func newModScene(t *testing.T) *modScene {
	return modSceneOf(t, newTokenChat(t, Options{Rules: modRules(t), RelayEvents: []string{"draw"}}))
}

// modSceneOf has its people in the room tea.
func modSceneOf(t *testing.T, f *fixture) *modScene {
	t.Helper()
	s := &modScene{fixture: f}
	s.mod = f.dial(hello{auth: withToken(pass("mod", "name", "Mod", "mod", true))})
	s.ann = f.dial(hello{auth: withToken(pass("ann", "name", "Ann"))})
	s.bob = f.dial(hello{auth: withToken(pass("bob", "name", "Bob"))})
	call[AddedUser](s.mod, "add user", "")
	s.annID = call[AddedUser](s.ann, "add user", "").User
	s.bobID = call[AddedUser](s.bob, "add user", "").User
	for _, c := range []*client{s.mod, s.ann, s.bob} {
		call[JoinedRoom](c, "join room", "tea")
	}
	return s
}

func (s *modScene) say(c *client, text string) Stored {
	s.t.Helper()
	return call[Stored](c, "new message", map[string]any{"room": "tea", "message": text})
}

// A message that was removed is gone from every view: live, history, a late join,
// a recovery, and the tutorial's.
func TestRemovedMessage(t *testing.T) {
	s := newModScene(t)
	s.say(s.ann, "first")
	bad := s.say(s.bob, "UNSAYABLE 1")
	s.ann.next("new message")
	s.ann.drop() // it has seen the message, or not: either way
	away := s.say(s.bob, "UNSAYABLE 2")
	for _, at := range []uint64{bad.Seq, away.Seq, bad.Seq} {
		e := call[Entry](s.mod, "remove message", map[string]any{"room": "tea", "seq": at})
		if e.Room != "tea" || e.Seq <= at {
			t.Errorf("%+v", e)
		}
	}
	for _, want := range []uint64{bad.Seq, away.Seq} {
		m := nextAs[chat.Moderation](s.bob, "message removed")
		if m.Removed != want || m.Username != "Mod" || m.Room != "tea" || m.Seq == 0 || m.Epoch != bad.Epoch || m.TS == 0 {
			t.Errorf("%+v", m)
		}
	}
	last := s.say(s.bob, "last")
	if last.Seq != away.Seq+3 { // removing it twice is one entry
		t.Errorf("the last message is %d, after %d", last.Seq, away.Seq)
	}
	gone := func(where string, raw any) {
		t.Helper()
		b, _ := json.Marshal(raw)
		if strings.Contains(string(b), "UNSAYABLE") {
			t.Errorf("%s still has %s", where, b)
		}
	}
	back := s.dial(hello{auth: s.ann.back(withToken(pass("ann", "name", "Ann")))})
	if back.sid != s.ann.sid {
		t.Error("not recovered")
	}
	for {
		e := back.next("new message")
		gone("a recovery", e.raw)
		if strings.Contains(e.raw, "last") {
			break
		}
		var m chat.Message
		if err := json.Unmarshal(e.args[0], &m); err != nil || m.Seq == away.Seq && (!m.Removed || m.Message != "" || m.Username != "Bob") {
			t.Errorf("%s, %v", e.raw, err)
		}
	}
	late := s.dial(hello{auth: withToken(pass("late"))})
	j := call[JoinedRoom](late, "join room", map[string]any{"room": "tea"})
	gone("a late join", j)
	if len(j.Messages) != 4 || !slices.Equal(j.Removed, []uint64{bad.Seq, away.Seq}) || j.Seq != last.Seq {
		t.Errorf("%+v", j)
	}
	j = call[JoinedRoom](late, "join room", map[string]any{"room": "tea", "since": away.Seq, "epoch": bad.Epoch})
	if len(j.Messages) != 1 || !slices.Equal(j.Removed, []uint64{bad.Seq, away.Seq}) {
		t.Errorf("since: %+v", j)
	}
	for _, query := range []map[string]any{{"room": "tea"}, {"room": "tea", "before": away.Seq + 1}, {"room": "tea", "after": 0, "limit": 2}} {
		gone("history", call[HistoryPage](late, "history", query))
	}
	if r := s.bob.refusal("remove message", map[string]any{"room": "tea", "seq": 1}); r.Code != CodeForbidden {
		t.Errorf("%+v", r)
	}
	for _, seq := range []uint64{0, 99, away.Seq + 1} {
		if r := s.mod.refusal("remove message", map[string]any{"room": "tea", "seq": seq}); r.Code != CodeNoMessage {
			t.Errorf("%d: %+v", seq, r)
		}
	}
	call[Entry](s.bob, "remove message", map[string]any{"room": "tea", "seq": last.Seq}) // one's own
}

// A page may have no message in it, and says all the same where the next one begins.
func TestPagesOfRemovals(t *testing.T) {
	f := newTokenChat(t, Options{Rules: modRules(t)})
	mod := f.dial(hello{auth: withToken(pass("mod", "mod", true))})
	var sent []Stored
	for i := range 5 {
		sent = append(sent, call[Stored](mod, "new message", fmt.Sprintf("m%d", i)))
	}
	for _, s := range sent[:4] {
		call[Entry](mod, "remove message", map[string]any{"seq": s.Seq})
	}
	late := f.dial(hello{auth: withToken(pass("late"))})
	j := call[JoinedRoom](late, "join room", map[string]any{"room": "lobby", "limit": 2})
	if len(j.Messages) != 0 || !j.More || j.First != 8 || j.Last != 9 || j.Seq != 9 {
		t.Fatalf("%+v", j)
	}
	h := call[HistoryPage](late, "history", map[string]any{"limit": 2, "before": j.First})
	if len(h.Messages) != 0 || !h.More || h.First != 6 || h.Last != 7 {
		t.Fatalf("%+v", h)
	}
	h = call[HistoryPage](late, "history", map[string]any{"limit": 1, "before": h.First})
	if got := texts(h.Messages); !slices.Equal(got, []string{"m4"}) || h.First != 5 || h.Last != 5 || !h.More {
		t.Fatalf("%q, %+v", got, h)
	}
	h = call[HistoryPage](late, "history", map[string]any{"limit": 3, "after": h.Last})
	if len(h.Messages) != 0 || !h.More || h.First != 6 || h.Last != 8 {
		t.Fatalf("%+v", h)
	}
	if j = call[JoinedRoom](late, "join room", "nobody said anything here"); j.First != 0 || j.Last != 0 || j.More {
		t.Errorf("%+v", j)
	}
}

func TestRemovedFromTheTutorial(t *testing.T) {
	f := newTokenChat(t, Options{Rules: modRules(t)})
	mod := f.dial(hello{auth: withToken(pass("mod", "mod", true))})
	bad := call[Stored](mod, "new message", "UNSAYABLE")
	call[Stored](mod, "new message", "fine")
	call[Entry](mod, "remove message", map[string]any{"seq": bad.Seq})
	c := f.dial(hello{auth: map[string]any{"token": pass("old"), "serverOffset": 0}})
	if e := c.next("chat message"); string(e.args[0]) != `"fine"` {
		t.Errorf("%s", e.raw)
	}
}

// Nobody can write what ends like a removed message.
func TestRemovedCannotBeForged(t *testing.T) {
	f := newDefault(t)
	a, b := f.dial(hello{}), f.dial(hello{})
	for i, id := range []string{`x","removed":true}]`, `"removed":true}]`, `x\","removed":true`} {
		call[Stored](a, "new message", map[string]any{"message": fmt.Sprint("m", i), "id": id})
		if m := nextAs[chat.Message](b, "new message"); m.Removed || m.ID != id {
			t.Errorf("%+v", m)
		}
	}
}

func TestMute(t *testing.T) {
	s := newModScene(t)
	second := s.dial(hello{auth: withToken(pass("bob", "name", "Bob"))})
	call[JoinedRoom](second, "join room", "tea")
	call[Entry](s.mod, "mute", map[string]any{"room": "tea", "user": s.bobID, "for": 600, "reason": "spam"})
	m := nextAs[chat.Moderation](s.ann, "user muted")
	if m.Target != s.bobID || m.Reason != "spam" || m.Until < time.Now().Add(9*time.Minute).UnixMilli() {
		t.Errorf("%+v", m)
	}
	nextAs[chat.Moderation](second, "user muted")
	s.barrier(s.bob, second)
	third := s.dial(hello{auth: withToken(pass("bob", "name", "Bob"))})
	call[JoinedRoom](third, "join room", "tea")
	s.bob.drop()
	again := s.dial(hello{auth: s.bob.back(withToken(pass("bob", "name", "Bob")))})
	if again.sid != s.bob.sid {
		t.Error("not recovered")
	}
	for _, c := range []*client{second, third, again} {
		for event, payload := range map[string]any{"new message": map[string]any{"room": "tea", "message": "x"}, "typing": "tea", "draw": "tea"} {
			if r := c.refusal(event, payload); r.Code != CodeMuted || r.RetryAfter < 500_000 || r.Retryable {
				t.Errorf("%s: %+v", event, r)
			}
		}
		call[Stored](c, "new message", "elsewhere it can speak")
	}
	call[Entry](s.mod, "unmute", map[string]any{"room": "tea", "user": s.bobID})
	nextAs[chat.Moderation](s.ann, "user unmuted")
	s.barrier(second)
	s.say(second, "thanks")
	// A mute that has ended by itself.
	call[Entry](s.mod, "mute", map[string]any{"room": "tea", "user": s.bobID, "for": 1})
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		r := call[Refusal](second, "new message", map[string]any{"room": "tea", "message": "again"})
		if r.Error.Code == "" {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the mute does not end")
}

func TestKickAndBan(t *testing.T) {
	s := newModScene(t)
	token := withToken(pass("bob", "name", "Bob"))
	lost := s.dial(hello{auth: token})
	call[JoinedRoom](lost, "join room", "tea")
	before := s.sio.Of("/").Sockets()
	lost.drop()
	for s.sio.Of("/").Sockets() == before {
		time.Sleep(time.Millisecond)
	}
	call[Entry](s.mod, "kick", map[string]any{"room": "tea", "user": s.bobID})
	if m := nextAs[chat.Moderation](s.bob, "user kicked"); m.Target != s.bobID || m.Until != 0 {
		t.Errorf("%+v", m)
	}
	if r := nextAs[RoomClosed](s.bob, "room closed"); r.Room != "tea" || r.Code != CodeKicked {
		t.Errorf("%+v", r)
	}
	for left := false; !left; { // the lost socket counts for its grace, and does not leave anew
		if u := nextAs[UserChange](s.ann, "user left"); u.Username == "Bob" && u.Room == "tea" {
			left = true
		}
	}
	if r := s.bob.refusal("new message", map[string]any{"room": "tea", "message": "x"}); r.Code != CodeNotMember {
		t.Errorf("%+v", r)
	}
	if c := s.dial(hello{auth: lost.back(token)}); c.sid == lost.sid {
		t.Error("a kicked session was continued")
	}
	call[JoinedRoom](s.bob, "join room", "tea") // a kick is no ban
	call[Entry](s.mod, "ban", map[string]any{"room": "tea", "user": s.bobID})
	if r := nextAs[RoomClosed](s.bob, "room closed"); r.Code != CodeBanned {
		t.Errorf("%+v", r)
	}
	for event, payload := range map[string]any{
		"join room": "tea", "history": map[string]any{"room": "tea"}, "who": "tea", "read": map[string]any{"room": "tea", "seq": 1},
		"remove message": map[string]any{"room": "tea", "seq": 1},
	} {
		if r := s.bob.refusal(event, payload); r.Code != CodeBanned || r.RetryAfter < 3_000_000 {
			t.Errorf("%s: %+v", event, r)
		}
	}
	s.bob.drop()
	if c := s.dial(hello{auth: s.bob.back(token)}); c.sid != s.bob.sid {
		t.Error("a session outside the room was not continued")
	}
	call[Entry](s.mod, "unban", map[string]any{"room": "tea", "user": s.bobID})
	call[JoinedRoom](s.dial(hello{auth: token}), "join room", "tea")
	// The lobby, which is joined at the connect.
	call[Entry](s.mod, "ban", map[string]any{"user": s.bobID})
	out := s.open(hello{auth: token})
	out.await("the accept", func() bool { return out.accepted })
	if r := out.refusal("new message", "x"); r.Code != CodeNotMember {
		t.Errorf("%+v", r)
	}
	for _, event := range []string{"mute", "unmute", "kick", "ban", "unban"} {
		if r := s.ann.refusal(event, map[string]any{"room": "tea", "user": s.bobID}); r.Code != CodeForbidden {
			t.Errorf("%s: %+v", event, r)
		}
		if r := s.mod.refusal(event, map[string]any{"room": "tea", "user": "bob"}); r.Code != CodeBadRequest {
			t.Errorf("%s: %+v", event, r)
		}
	}
}

// However long a moderator wants it, it is not less than was asked for.
func TestLongSanction(t *testing.T) {
	year := int64(chat.MaxSanction / time.Second)
	for asked, want := range map[int64]int64{-5: 0, 0: 0, 60: 60, year + 1: year, 1<<53 - 1: year, 18_446_744_074: year, 1<<63 - 1: year} {
		if got := (Sanction{For: asked}).lasts(); got != time.Duration(want)*time.Second {
			t.Errorf("%d s: %v", asked, got)
		}
	}
}

// Whoever an operator keeps out is disconnected, refused, and not recovered, until
// let in again; on a store on disk also after a restart.
func TestBar(t *testing.T) {
	dir := t.TempDir()
	o := Options{Authenticator: &passes{}, Rules: modRules(t)}
	t.Run("first life", func(t *testing.T) {
		f := newChat(t, o, local.Options{Dir: dir})
		sockets := []*client{f.dial(hello{auth: withToken(pass("bob"))}), f.dial(hello{protocol: 4, secrets: map[string]string{"token": pass("bob")}})}
		ann := f.dial(hello{auth: withToken(pass("ann"))})
		mod := f.dial(hello{auth: withToken(pass("mod", "mod", true))})
		call[Entry](mod, "mute", map[string]any{"user": UserOf("ann"), "for": 3600})
		if err := f.api.Bar(t.Context(), UserOf("bob"), time.Hour); err != nil {
			t.Fatal(err)
		}
		for _, c := range sockets {
			if e := nextAs[SessionEnded](c, "session ended"); e.Code != CodeBanned {
				t.Errorf("%+v", e)
			}
			c.await("the close", func() bool { return c.closed })
		}
		call[RoomPeople](ann, "who")
	})
	f := newChat(t, o, local.Options{Dir: dir})
	c := f.open(hello{auth: withToken(pass("bob"))})
	c.await("a refusal", func() bool { return c.refused != "" })
	var refused struct{ Data Problem }
	if err := json.Unmarshal([]byte(c.refused), &refused); err != nil || refused.Data.Code != CodeBanned || refused.Data.RetryAfter < 3_000_000 {
		t.Errorf("%s, %v", c.refused, err)
	}
	if r := f.dial(hello{auth: withToken(pass("ann"))}).refusal("new message", "x"); r.Code != CodeMuted {
		t.Errorf("after a restart: %+v", r)
	}
	if err := f.api.Bar(t.Context(), UserOf("bob"), 0); err != nil {
		t.Fatal(err)
	}
	f.dial(hello{auth: withToken(pass("bob"))})
	if err := f.api.Bar(t.Context(), "bob", time.Hour); err == nil {
		t.Error("no public id")
	}
}

func TestReadPointers(t *testing.T) {
	f := newDefault(t)
	ann, phone := f.dial(hello{auth: withSession(secret)}), f.dial(hello{auth: withSession(secret)})
	bob := f.dial(hello{})
	bobID := call[AddedUser](bob, "add user", "Bob").User
	call[AddedUser](ann, "add user", "Ann")
	for i := range 5 {
		call[Stored](bob, "new message", fmt.Sprint(i))
	}
	for _, c := range []struct{ seq, want uint64 }{{2, 2}, {1, 2}, {99, 5}, {4, 5}} {
		if got := call[ReadTo](ann, "read", map[string]any{"seq": c.seq}); got != (ReadTo{"lobby", c.want}) {
			t.Errorf("read to %d: %+v", c.seq, got)
		}
		if got := nextAs[ReadTo](phone, "read"); got != (ReadTo{"lobby", c.want}) {
			t.Errorf("the other device: %+v", got)
		}
	}
	call[Stored](bob, "new message", "unread")
	call[JoinedRoom](bob, "join room", "@"+call[AddedUser](ann, "add user", "").User)
	call[Stored](bob, "new message", map[string]any{"room": "@" + call[AddedUser](ann, "add user", "").User, "message": "psst"})
	for _, c := range []*client{ann, phone} {
		l := call[RoomList](c, "rooms", map[string]any{"mine": true})
		if len(l.Rooms) != 2 || l.Rooms[0].With != bobID || *l.Rooms[0].Unread != 1 || *l.Rooms[0].Read != 0 || l.Rooms[1].Room != "lobby" || *l.Rooms[1].Read != 5 || *l.Rooms[1].Unread != 1 {
			t.Errorf("%+v", l)
		}
	}
	if l := call[RoomList](ann, "rooms", map[string]any{"mine": true, "limit": 1}); len(l.Rooms) != 1 || !l.More {
		t.Errorf("%+v", l)
	}
	if l := call[RoomList](ann, "rooms"); len(l.Rooms) != 1 || *l.Rooms[0].Unread != 1 {
		t.Errorf("%+v", l)
	}
	if l := call[RoomList](bob, "rooms"); l.Rooms[0].Read != nil || l.Rooms[0].Unread != nil {
		t.Errorf("%+v", l)
	}
	f.barrier(bob)
	bob.nothing("read")
}
