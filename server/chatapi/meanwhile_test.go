package chatapi

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
)

// meanwhile is a store in which something happens right after a table was read.
type meanwhile struct {
	*local.Adapter
	then atomic.Pointer[func()] // once
}

func (s *meanwhile) Fields(ctx context.Context, table string) (map[string][]byte, error) {
	fields, err := s.Adapter.Fields(ctx, table)
	if then := s.then.Swap(nil); then != nil {
		(*then)()
	}
	return fields, err
}

func newMeanwhile(t *testing.T) (*fixture, *meanwhile) {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &meanwhile{Adapter: a}
	return newChatOver(t, store, a, Options{Authenticator: &passes{}, Rules: modRules(t)}), store
}

// sanctionBob happens after the next look at what holds against somebody.
func (s *meanwhile) sanctionBob(f *fixture, kind chat.SanctionKind, room string) {
	do := func() {
		by := chat.Moderator{Author: chat.Author{User: "=test", Name: "Test"}}
		if _, err := f.api.Sanction(context.Background(), by, kind, room, UserOf("bob"), "", time.Hour); err != nil {
			f.t.Error(err)
		}
	}
	s.then.Store(&do)
}

// Between the look at what holds against somebody and the place in the room,
// nobody slips through.
func TestSanctionWhileJoining(t *testing.T) {
	f, store := newMeanwhile(t)
	bob := f.dial(hello{auth: withToken(pass("bob", "name", "Bob"))})
	call[AddedUser](bob, "add user", "")
	store.sanctionBob(f, chat.Ban, "tea")
	if r := bob.refusal("join room", "tea"); r.Code != CodeBanned {
		t.Errorf("%+v", r)
	}
	if r := bob.refusal("new message", map[string]any{"room": "tea", "message": "x"}); r.Code != CodeNotMember {
		t.Errorf("%+v", r)
	}
	store.sanctionBob(f, chat.Mute, "milk")
	call[JoinedRoom](bob, "join room", "milk")
	if r := bob.refusal("new message", map[string]any{"room": "milk", "message": "x"}); r.Code != CodeMuted {
		t.Errorf("%+v", r)
	}
}

func TestSanctionWhileConnecting(t *testing.T) {
	token := withToken(pass("bob", "name", "Bob"))
	t.Run("ban", func(t *testing.T) {
		f, store := newMeanwhile(t)
		store.sanctionBob(f, chat.Ban, chat.Lobby)
		bob := f.open(hello{auth: token})
		if r := nextAs[RoomClosed](bob, "room closed"); r != (RoomClosed{chat.Lobby, CodeBanned}) {
			t.Errorf("%+v", r)
		}
		if r := bob.refusal("new message", "x"); r.Code != CodeNotMember {
			t.Errorf("%+v", r)
		}
	})
	t.Run("mute", func(t *testing.T) {
		f, store := newMeanwhile(t)
		store.sanctionBob(f, chat.Mute, chat.Lobby)
		if r := f.dial(hello{auth: token}).refusal("new message", "x"); r.Code != CodeMuted {
			t.Errorf("%+v", r)
		}
	})
	t.Run("kick out of a lost session", func(t *testing.T) {
		f, store := newMeanwhile(t)
		bob := f.dial(hello{auth: token})
		call[JoinedRoom](bob, "join room", "tea")
		bob.drop()
		store.sanctionBob(f, chat.Kick, "tea")
		back := f.dial(hello{auth: bob.back(token)})
		if back.sid != bob.sid {
			t.Fatal("not recovered")
		}
		if r := nextAs[RoomClosed](back, "room closed"); r != (RoomClosed{"tea", CodeKicked}) {
			t.Errorf("%+v", r)
		}
		if r := back.refusal("new message", map[string]any{"room": "tea", "message": "x"}); r.Code != CodeNotMember {
			t.Errorf("%+v", r)
		}
	})
	t.Run("bar", func(t *testing.T) {
		f, store := newMeanwhile(t)
		do := func() {
			if err := f.api.Bar(context.Background(), UserOf("bob"), time.Hour); err != nil {
				t.Error(err)
			}
		}
		store.then.Store(&do)
		bob := f.open(hello{auth: token})
		if e := nextAs[SessionEnded](bob, "session ended"); e.Code != CodeBanned {
			t.Errorf("%+v", e)
		}
		bob.await("the close", func() bool { return bob.closed })
	})
}

// A connection that goes on elsewhere is still the same person's, and what a
// moderator did while it moved holds.
func TestMove(t *testing.T) {
	f := newDefault(t)
	bob := f.dial(hello{auth: withSession(secret)})
	me := call[AddedUser](bob, "add user", "Bob")
	ann := f.dial(hello{})
	call[AddedUser](ann, "add user", "Ann")
	for _, room := range []string{"tea", "milk"} {
		call[JoinedRoom](bob, "join room", room)
	}
	state, err := bob.sio.Pack(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := chat.Moderator{Author: chat.Author{User: "=test", Name: "Test"}}
	// As if they had come when the socket was nowhere: only remembered.
	for kind, room := range map[chat.SanctionKind]string{chat.Ban: "tea", chat.Mute: "milk"} {
		if _, err := f.api.chat.Sanction(t.Context(), by, kind, room, me.User, "", time.Now(), time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	there := f.open(hello{auth: withSession("another secret, for nobody")})
	there.await("the accept", func() bool { return there.accepted })
	before := there.sio
	sio, start, err := f.sio.Adopt(t.Context(), there, state, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	there.mu.Lock()
	there.sio = sio
	there.mu.Unlock()
	bob.sio.Departed()
	start()
	before.Closed("transport close")
	if r := nextAs[RoomClosed](there, "room closed"); r != (RoomClosed{"tea", CodeBanned}) {
		t.Errorf("%+v", r)
	}
	if again := call[AddedUser](there, "add user", "Somebody"); again.Username != "Bob" || again.User != me.User {
		t.Errorf("%+v", again)
	}
	call[Stored](there, "new message", "it is me")
	for {
		m := nextAs[chat.Message](ann, "new message")
		if m.Username != "Bob" || m.User != me.User {
			t.Errorf("%+v", m)
		}
		if m.Message == "it is me" {
			break
		}
	}
	if r := there.refusal("new message", map[string]any{"room": "milk", "message": "x"}); r.Code != CodeMuted {
		t.Errorf("%+v", r)
	}
	there.end("transport close")
	for {
		if u := nextAs[UserChange](ann, "user left"); u.Username == "Bob" {
			break
		}
	}
}
