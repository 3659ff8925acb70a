package chatapi

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
)

// In a big room nobody is announced; its number goes out now and then.
func TestBigRoom(t *testing.T) {
	f := newChat(t, Options{Limits: chat.Limits{AnnounceMax: 10}, CountInterval: 50 * time.Millisecond}, local.Options{})
	watcher := f.dial(hello{})
	const people = 60
	var all []*client
	for i := range people {
		c := f.dial(hello{bulk: true})
		call[AddedUser](c, "add user", fmt.Sprint("p", i))
		all = append(all, c)
	}
	last := func(want int) {
		t.Helper()
		for {
			if u := nextAs[RoomUsers](watcher, "room users"); u.Room != "lobby" {
				t.Fatalf("room users %+v", u)
			} else if u.NumUsers == want {
				return
			}
		}
	}
	last(people)
	for i := range 10 {
		if u := nextAs[UserChange](watcher, "user joined"); u.NumUsers != i+1 {
			t.Errorf("user joined %+v", u)
		}
	}
	f.barrier(watcher)
	watcher.nothing("user joined")
	// The way down is told as the way up was.
	for _, c := range all[10:] {
		c.leave()
	}
	last(10)
	all[0].leave()
	if u := nextAs[UserChange](watcher, "user left"); u.NumUsers != 9 {
		t.Errorf("user left %+v", u)
	}
	f.barrier(watcher)
	watcher.nothing("user left", "user joined")
}

// N people who join a room cost it no N² events.
func TestBigRoomCost(t *testing.T) {
	f := newChat(t, Options{Limits: chat.Limits{AnnounceMax: 20}}, local.Options{})
	const people = 300
	var all []*client
	for i := range people {
		c := f.dial(hello{bulk: true})
		call[AddedUser](c, "add user", fmt.Sprint("p", i))
		all = append(all, c)
	}
	f.barrier(f.dial(hello{}))
	total := 0
	for _, c := range all {
		c.mu.Lock()
		total += c.counted
		c.mu.Unlock()
	}
	// Each: its login, at most 20 single announcements, the barrier, and some
	// numbers; announced one by one it would be 150 each on average.
	if limit := people * 60; total > limit {
		t.Errorf("%d events for %d people", total, people)
	}
}

// The worker sleeps when it has nothing to do, and comes back.
func TestWorkerWakesAgain(t *testing.T) {
	f := newChat(t, Options{TypingExpiry: 30 * time.Millisecond, CountInterval: 10 * time.Millisecond}, local.Options{})
	ann, bob := f.dial(hello{}), f.dial(hello{})
	for range 3 {
		ann.emit("typing")
		nextAs[UserTyping](bob, "typing")
		nextAs[UserTyping](bob, "stop typing")
		time.Sleep(50 * time.Millisecond) // so that it falls asleep in between
	}
}

// `typing` that is repeated at once is told once.
func TestTypingIsNotRepeated(t *testing.T) {
	f := newChat(t, Options{TypingExpiry: time.Hour}, local.Options{})
	ann, bob := f.dial(hello{}), f.dial(hello{})
	for range 5 {
		ann.answer(ann.request("typing"))
	}
	f.barrier(bob)
	bob.mu.Lock()
	n := len(bob.events)
	bob.mu.Unlock()
	if n > 2 { // two, should the machine sleep for a second
		t.Errorf("told %d times", n)
	}
}

// A room that becomes small again is told each coming and going; the number
// that it was to be told before must not follow.
func TestNoStaleNumber(t *testing.T) {
	f := newChat(t, Options{Limits: chat.Limits{AnnounceMax: 2}, CountInterval: 200 * time.Millisecond}, local.Options{})
	watcher := f.dial(hello{})
	var all []*client
	for i := range 3 {
		c := f.dial(hello{})
		call[AddedUser](c, "add user", fmt.Sprint("p", i))
		all = append(all, c)
	}
	for n := 0; n != 3; { // now the worker waits for its interval
		n = nextAs[RoomUsers](watcher, "room users").NumUsers
	}
	all[2].leave() // counted: the room had been big
	all[1].leave() // told
	if u := nextAs[UserChange](watcher, "user left"); u.NumUsers != 1 {
		t.Errorf("user left %+v", u)
	}
	f.api.mu.Lock()
	n := f.api.counts.Len()
	f.api.mu.Unlock()
	if n != 0 {
		t.Error("the room is still to be told the number that it had before")
	}
}

// Who is moved by somebody else, another node or the embedding program, is
// present where it is a member from its next request on, and nowhere once it
// has gone.
func TestMovedFromOutside(t *testing.T) {
	f := newDefault(t)
	watcher, ann := f.dial(hello{}), f.dial(hello{})
	for _, room := range []string{"tea", "cake", "milk"} {
		call[JoinedRoom](watcher, "join room", room)
	}
	call[AddedUser](ann, "add user", "Ann")
	for _, room := range []string{"tea", "cake"} {
		call[JoinedRoom](ann, "join room", room)
	}
	in := func(room string) int { return call[RoomPeople](watcher, "who", room).NumUsers }
	move := func(f func(ctx context.Context, rooms ...string) error, room string) {
		t.Helper()
		if err := f(t.Context(), chat.AdapterRoom(room)); err != nil {
			t.Fatal(err)
		}
	}
	sockets := f.sio.Of("/").To(ann.sid)
	move(sockets.SocketsLeave, "tea")
	move(sockets.SocketsJoin, "milk")
	f.barrier(watcher)
	call[RoomPeople](ann, "who")
	for room, want := range map[string]int{"tea": 0, "cake": 1, "milk": 1, "lobby": 1} {
		if got := in(room); got != want {
			t.Errorf("%s: %d people, want %d", room, got, want)
		}
	}
	if u := nextAs[UserChange](watcher, "user left"); u != (UserChange{"Ann", 0, "tea", u.User}) {
		t.Errorf("user left %+v", u)
	}
	move(sockets.SocketsLeave, "cake")
	f.barrier(watcher)
	ann.leave() // without another request
	for range []string{"cake", "milk", "lobby"} {
		nextAs[UserChange](watcher, "user left")
	}
	for _, room := range []string{"tea", "cake", "milk", "lobby"} {
		if got := in(room); got != 0 {
			t.Errorf("%s: %d people after the end", room, got)
		}
	}
}
