package chatapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
)

// A user is in so many rooms over all its sockets, each room counted once; what ends
// gives its place back, however it ends.
func TestRoomsPerUser(t *testing.T) {
	for _, shared := range []bool{false, true} {
		t.Run(fmt.Sprintf("shared %v", shared), func(t *testing.T) {
			const most = 40 // two of them free when shared
			var refused atomic.Int32
			f := newChat(t, Options{
				Limits:   chat.Limits{RoomsPerUser: most, RoomsPerSocket: 35},
				Fairness: Fairness{Shared: shared},
				Hooks: Hooks{TooManyRooms: func(s Scope) {
					if s == ScopeUser {
						refused.Add(1)
					}
				}},
			}, local.Options{})
			join := func(c *client, from, to int) {
				t.Helper()
				for i := from; i < to; i++ {
					call[JoinedRoom](c, "join room", map[string]any{"room": fmt.Sprint("room ", i)})
				}
			}
			full := func(c *client, room string) {
				t.Helper()
				if p := c.refusal("join room", map[string]any{"room": room}); p.Code != CodeTooManyRooms || p.Retryable {
					t.Errorf("%s: %+v", room, p)
				}
			}
			one, two := f.dial(hello{auth: withSession(secret)}), f.dial(hello{auth: withSession(secret)})
			join(one, 0, 25)
			join(two, 10, 40) // the last one is the fortieth
			full(one, "another")
			if n := refused.Load(); n != 1 {
				t.Errorf("%d refusals were told", n)
			}
			join(f.dial(hello{}), 100, 101) // somebody else
			join(one, 0, 2)                 // in already
			join(one, 25, 30)               // the other socket is in

			call[LeftRoom](one, "leave room", map[string]any{"room": "room 0"})
			call[LeftRoom](one, "leave room", map[string]any{"room": "room 10"}) // two is still there
			join(two, 39, 40)
			call[LeftRoom](two, "leave room", map[string]any{"room": "room 39"})
			call[JoinedRoom](two, "join room", map[string]any{"room": "fits"})
			call[JoinedRoom](one, "join room", map[string]any{"room": "fits too"})
			full(one, "another")

			// Put out of a room by somebody else.
			user := chat.PublicID(userOfSecret(t, secret))
			if err := f.sio.Of("/").To(chat.PersonalRoom(user)).SocketsLeave(t.Context(), chat.AdapterRoom("room 1")); err != nil {
				t.Fatal(err)
			}
			f.barrier(one)
			call[JoinedRoom](one, "join room", map[string]any{"room": "in its place"})
			full(one, "another")

			// A failed join takes no place, and one that is refused later gives it back.
			call[LeftRoom](one, "leave room", map[string]any{"room": "in its place"})
			one.refusal("join room", map[string]any{"room": "x", "epoch": "\x00"})
			call[JoinedRoom](one, "join room", map[string]any{"room": "in its place"})

			one.leave()
			two.drop()
			waitUntil(t, "nobody to be counted", func() bool { return f.api.memberships.users() == 1 }) // somebody else
			three := f.dial(hello{auth: withSession(secret)})
			join(three, 0, 30)
			four := f.dial(hello{auth: withSession(secret)})
			join(four, 30, 40)
			full(four, "another")

			// A session goes on with its rooms, and without those that are too many by now.
			three.drop()
			waitUntil(t, "the first thirty to be free", func() bool {
				f.api.memberships.mu.Lock()
				defer f.api.memberships.mu.Unlock()
				return len(f.api.memberships.byUser[userOfSecret(t, secret)]) == 10
			})
			join(four, 200, 205)
			again := f.dial(hello{auth: three.back(withSession(secret))})
			if got := call[AddedUser](again, "add user", "A").Rooms; len(got) != 26 { // the lobby too
				t.Errorf("%d rooms after the recovery: %v", len(got), got)
			}
			for range 5 {
				if n := nextAs[RoomClosed](again, "room closed"); n.Code != CodeTooManyRooms {
					t.Errorf("%+v", n)
				}
			}
			full(again, "another")
		})
	}
}

// Whatever order joins and leaves come in, no place is lost and none is won.
func TestMembershipsAddUp(t *testing.T) {
	f := newChat(t, Options{Limits: chat.Limits{RoomsPerUser: 10}, Fairness: Fairness{Shared: true}}, local.Options{})
	var all sync.WaitGroup
	for i := range 6 {
		c := f.dial(hello{auth: withSession(secret)})
		random := rand.New(rand.NewPCG(1, uint64(i)))
		all.Go(func() {
			for range 60 {
				room := map[string]any{"room": fmt.Sprint("room ", random.IntN(30))}
				if random.IntN(3) == 0 {
					c.answer(c.request("leave room", room))
				} else {
					c.answer(c.request("join room", room))
				}
			}
			c.leave()
		})
	}
	all.Wait()
	waitUntil(t, "all to be out", func() bool { return f.api.memberships.users() == 0 })
	namespace, place := f.api.memberPlace(userOfSecret(t, secret))
	_, n, err := f.a.People(context.Background(), namespace, place, "", 0)
	if err != nil || n != 0 {
		t.Errorf("%d rooms are still counted in the fleet: %v", n, err)
	}
}

// A store that cannot count lets nobody into more rooms than a node knows to be free,
// and what failed takes no place.
func TestRoomsNotCounted(t *testing.T) {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &fragile{Adapter: a}
	f := newChatOver(t, store, a, Options{Limits: chat.Limits{RoomsPerUser: 20}, Fairness: Fairness{Shared: true}})
	c := f.dial(hello{})
	away := error(adapter.ErrUnavailable)
	join := func(room string) map[string]any { return map[string]any{"room": room} }
	call[JoinedRoom](c, "join room", join("free"))
	store.fail.Store(&away)
	for range 30 {
		if p := c.refusal("join room", join("not free")); p.Code != CodeUnavailable {
			t.Fatalf("%+v", p)
		}
	}
	store.fail.Store(nil)
	for i := range 19 {
		call[JoinedRoom](c, "join room", join(fmt.Sprint("room ", i)))
	}
	if p := c.refusal("join room", join("another")); p.Code != CodeTooManyRooms {
		t.Errorf("%+v", p)
	}
}

func waitUntil(t testing.TB, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func userOfSecret(t testing.TB, secret string) string {
	t.Helper()
	user, err := chat.UserOfSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	return user
}
