package chatapi

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
)

// hanging is a store in which it takes until it is let go to enter one room, or to
// count one.
type hanging struct {
	*local.Adapter
	entered, counted string        // rooms as people call them; not changed while somebody asks
	begun            chan struct{} // told of each that waits
	let              chan struct{} // closed
}

func (s *hanging) Enter(ctx context.Context, namespace, room, socketID string, p adapter.Person) (int, error) {
	if s.entered != "" && strings.HasSuffix(room, s.entered) || s.counted != "" && p.User == s.counted {
		s.begun <- struct{}{}
		select {
		case <-s.let:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return s.Adapter.Enter(ctx, namespace, room, socketID, p)
}

// newHanging is a modScene's people in the room tea.
func newHanging(t *testing.T, o Options) (*modScene, *hanging) {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &hanging{Adapter: a, begun: make(chan struct{}, 16), let: make(chan struct{})}
	// Longer than these tests may take: what waits for the store does not end by itself.
	o.Authenticator, o.Rules, o.StoreTimeout = &passes{}, modRules(t), 10*patience
	return modSceneOf(t, newChatOver(t, store, a, o)), store
}

func (s *modScene) out(c *client, user, room string) {
	s.t.Helper()
	call[Entry](s.mod, "kick", map[string]any{"room": room, "user": user})
	for nextAs[RoomClosed](c, "room closed").Room != room {
		s.t.Error("another room was closed")
	}
}

// putIn is SocketsJoin.
func (s *modScene) putIn(user, room string) {
	s.t.Helper()
	if err := s.sio.Of("/").To(chat.PersonalRoom(user)).SocketsJoin(s.t.Context(), chat.AdapterRoom(room)); err != nil {
		s.t.Fatal(err)
	}
	s.barrier(s.mod)
}

func (s *modScene) people(room string) (users []string) {
	s.t.Helper()
	for _, u := range call[RoomPeople](s.mod, "who", room).Users {
		users = append(users, u.Username)
	}
	slices.Sort(users)
	return users
}

// Somebody is put out of a room while a request of hers waits for the store: she is
// seen to go at once, and nobody else waits with her.
func TestPutOutWhileTheStoreIsSlow(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait func(s *modScene, store *hanging) (let func())
	}{
		{"entering a room", func(s *modScene, store *hanging) func() {
			store.entered = "slow"
			s.putIn(s.annID, "slow")
			id := s.ann.request("who", "slow")
			<-store.begun
			return func() { s.ann.answer(id) }
		}},
		{"counting a room", func(s *modScene, store *hanging) func() {
			call[JoinedRoom](s.ann, "join room", "free")
			store.counted = "far"
			id := s.ann.request("join room", "far")
			<-store.begun
			return func() { s.ann.answer(id) }
		}},
		{"put into a room", func(s *modScene, store *hanging) func() {
			// Nobody tells her, so that she is not there yet.
			store.entered = "slow"
			s.putIn(s.annID, "slow")
			return func() { call[RoomPeople](s.ann, "who", "tea") }
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, store := newHanging(t, Options{
				TypingExpiry: 100 * time.Millisecond,
				Limits:       chat.Limits{RoomsPerUser: 20}, Fairness: Fairness{Shared: true}, // one of them free
			})
			let := tt.wait(s, store)
			s.out(s.ann, s.annID, "tea")
			for {
				if u := nextAs[UserChange](s.bob, "user left"); u.Username == "Ann" && u.Room == "tea" {
					break
				}
			}
			s.bob.emit("typing", "tea")
			nextAs[UserTyping](s.mod, "typing")
			nextAs[UserTyping](s.mod, "stop typing") // by itself
			close(store.let)
			let()
			if got := s.people("tea"); !slices.Equal(got, []string{"Bob", "Mod"}) {
				t.Errorf("in the room are %v", got)
			}
		})
	}
}

// Put out of the very room that she is entering, she is not there afterwards.
func TestPutOutWhileEntering(t *testing.T) {
	s, store := newHanging(t, Options{})
	store.entered = "slow"
	id := s.ann.request("join room", "slow")
	<-store.begun
	call[Entry](s.mod, "kick", map[string]any{"room": "slow", "user": s.annID})
	s.barrier(s.mod, s.bob)
	close(store.let)
	s.ann.answer(id)
	if r := nextAs[RoomClosed](s.ann, "room closed"); r.Room != "slow" {
		t.Errorf("%+v", r)
	}
	waitUntil(t, "nobody to be there", func() bool { return len(s.people("slow")) == 0 })
	if p := s.ann.refusal("new message", map[string]any{"room": "slow", "message": "x"}); p.Code != CodeNotMember {
		t.Errorf("%+v", p)
	}
	if got := s.people("tea"); !slices.Equal(got, []string{"Ann", "Bob", "Mod"}) {
		t.Errorf("in the other room are %v", got)
	}
}

// Put out of a room that is still being counted, she has its place back.
func TestPutOutWhileCounting(t *testing.T) {
	const most = 20
	s, store := newHanging(t, Options{Limits: chat.Limits{RoomsPerUser: most}, Fairness: Fairness{Shared: true}})
	user := chat.UserOfSubject("ann")
	store.counted = "far"
	for i := range most - 2 {
		call[JoinedRoom](s.ann, "join room", map[string]any{"room": string(rune('a' + i))})
	}
	s.putIn(s.annID, "far")
	id := s.ann.request("join room", "another") // counts the other one first
	<-store.begun
	if err := s.sio.Of("/").To(chat.PersonalRoom(s.annID)).SocketsLeave(t.Context(), chat.AdapterRoom("far")); err != nil {
		t.Fatal(err)
	}
	s.barrier(s.mod)
	close(store.let)
	s.ann.answer(id)
	waitUntil(t, "the room not to be counted", func() bool {
		f := s.api.memberships
		f.mu.Lock()
		defer f.mu.Unlock()
		return !slices.ContainsFunc(f.byUser[user], func(one membership) bool { return one.room == "far" })
	})
}
