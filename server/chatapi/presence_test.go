package chatapi

import (
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
