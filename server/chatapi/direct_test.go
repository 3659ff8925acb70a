package chatapi

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
)

// What strangers begin takes nothing from what a person reads, and never a room with
// messages from the list.
func TestStrangersDoNotFillTheList(t *testing.T) {
	var unlisted atomic.Int32
	f := newChat(t, Options{Hooks: Hooks{Unlisted: func() { unlisted.Add(1) }}}, local.Options{})
	victim := f.dial(hello{auth: withSession(secret)})
	user := userOfSecret(t, secret)
	own := chat.PublicID(user)
	table := "met / " + own
	pair := func(i int) string {
		room, err := chat.Limits{}.RoomFor(user, "@"+chat.PublicID(fmt.Sprint("stranger ", i)))
		if err != nil {
			t.Fatal(err)
		}
		return room
	}
	began := time.Now().Add(-time.Hour)
	for i := range adapter.MaxFields {
		at := strconv.FormatInt(began.Add(time.Duration(i)*time.Millisecond).UnixMilli(), 10)
		if err := f.a.SetField(t.Context(), table, pair(i), []byte(at), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	// The person's own list has a place still.
	if at := call[ReadTo](victim, "read", map[string]any{"room": "lobby", "seq": 0}); at.Room != "lobby" {
		t.Errorf("%+v", at)
	}
	listed := func() map[string]bool {
		all := map[string]bool{}
		for after, more := "", true; more; {
			page := call[RoomList](victim, "rooms", map[string]any{"mine": true, "after": after})
			for _, r := range page.Rooms {
				all[r.Room] = true
				after = r.Room
			}
			more = page.More
		}
		return all
	}
	write := func() (room string) {
		c := f.dial(hello{})
		room = call[JoinedRoom](c, "join room", map[string]any{"room": "@" + own}).Room
		call[Stored](c, "new message", map[string]any{"room": room, "message": "hello"})
		if n := nextAs[DirectMessage](victim, "direct message"); n.Room != room {
			t.Errorf("%+v", n)
		}
		return room
	}
	room := write()
	all := listed()
	if !all[room] || all[pair(0)] || !all[pair(1)] {
		t.Errorf("new %v, oldest %v, next %v", all[room], all[pair(0)], all[pair(1)])
	}
	// The oldest that are left have messages.
	for i := 1; i <= 10; i++ {
		if err := f.api.Post(t.Context(), Post{
			Room: pair(i), Sender: "x", Event: adapter.Event{Name: PostEvent, Data: []byte(`["new message","kept"]`)},
		}); err != nil {
			t.Fatal(err)
		}
	}
	room = write()
	if all = listed(); all[room] || !all[pair(1)] || unlisted.Load() != 1 {
		t.Errorf("new %v, oldest %v, told of %d", all[room], all[pair(1)], unlisted.Load())
	}
}

// Many names at one address are not many strangers to one person.
func TestNewDirectRoomsAreLimited(t *testing.T) {
	f := newChat(t, Options{Fairness: Fairness{Directs: Buckets{User: Bucket{0.001, 2}, Address: Bucket{0.001, 3}}}}, local.Options{})
	begin := func(c *client, with string) (code Code) {
		return call[Refusal](c, "join room", map[string]any{"room": "@" + chat.PublicID(with)}).Error.Code
	}
	for i := range 4 {
		want := Code("")
		if i == 3 {
			want = CodeRateLimited
		}
		if code := begin(f.dial(hello{}), "victim"); code != want {
			t.Errorf("stranger %d: %q", i, code)
		}
	}
	one := f.dial(hello{})
	for i, want := range []Code{"", "", CodeRateLimited} {
		if code := begin(one, fmt.Sprint("somebody else ", i)); code != want {
			t.Errorf("person %d: %q", i, code)
		}
	}
}
