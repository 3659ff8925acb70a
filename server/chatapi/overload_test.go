package chatapi

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/local"
)

// TestClasses: every request has a class, but for those that are always done.
func TestClasses(t *testing.T) {
	always := []string{eventLeaveRoom, eventRefreshToken, eventRemoveMessage, eventMute, eventUnmute, eventKick, eventBan, eventUnban}
	for _, event := range Events {
		_, has := classes[event]
		if has == slices.Contains(always, event) {
			t.Errorf("%s: has a class: %v", event, has)
		}
	}
	for event := range classes {
		if !slices.Contains(Events, event) {
			t.Errorf("%s is no request", event)
		}
	}
}

// TestShed: each class is refused alone, in a form that says when to try again;
// what nobody waits for goes without a word.
func TestShed(t *testing.T) {
	var mu sync.Mutex
	now := map[Class]bool{}
	counted := map[string]int{}
	shed := func(classes ...Class) {
		mu.Lock()
		defer mu.Unlock()
		clear(now)
		for _, c := range classes {
			now[c] = true
		}
	}
	f := newChat(t, Options{
		RelayEvents: []string{"draw"},
		Shed: func(c Class) (time.Duration, bool) {
			mu.Lock()
			defer mu.Unlock()
			return 7 * time.Second, now[c]
		},
		Hooks: Hooks{Refused: func(event string, code Code) {
			mu.Lock()
			defer mu.Unlock()
			if code == CodeOverloaded {
				counted[event]++
			}
		}},
	}, local.Options{})
	a, b := f.dial(hello{}), f.dial(hello{})
	for _, c := range []*client{a, b} {
		call[AddedUser](c, eventAddUser, "someone")
		call[JoinedRoom](c, eventJoinRoom, JoinRoom{Room: "r"})
	}
	refused := func(event string, args ...any) {
		t.Helper()
		if p := a.refusal(event, args...); p.Code != CodeOverloaded || !p.Retryable || p.RetryAfter != 7000 {
			t.Errorf("%s: %+v", event, p)
		}
	}

	shed(ClassEphemeral)
	a.emit(eventTyping, RoomOnly{Room: "r"})
	a.emit("draw", "r", 1)
	refused("draw", "r", 2)
	call[HistoryPage](a, eventHistory, History{Room: "r"})
	call[Stored](a, eventNewMessage, NewMessage{Room: "r", Message: "one"})
	f.barrier(a, b)
	a.nothing(eventError)
	b.nothing(eventTyping, "draw")

	shed(ClassEphemeral, ClassRead)
	refused(eventHistory, History{Room: "r"})
	refused(eventWho, RoomOnly{Room: "r"})
	refused(eventRooms, ListRooms{})
	call[Stored](a, eventNewMessage, NewMessage{Room: "r", Message: "two"})

	shed(ClassEphemeral, ClassRead, ClassWrite)
	refused(eventNewMessage, NewMessage{Room: "r", Message: "three", ID: "3"})
	refused(eventJoinRoom, JoinRoom{Room: "s"})
	refused(eventAddUser, "another")
	a.emit(eventNewMessage, NewMessage{Room: "r", Message: "three"}) // without an acknowledgement
	if r := nextAs[Refusal](a, eventError); r.Error.Code != CodeOverloaded {
		t.Errorf("%+v", r)
	}
	call[LeftRoom](b, eventLeaveRoom, RoomOnly{Room: "r"})

	shed()
	if stored := call[Stored](a, eventNewMessage, NewMessage{Room: "r", Message: "three", ID: "3"}); stored.Seq != 3 {
		t.Errorf("the retry is number %d: what was refused has been stored", stored.Seq)
	}
	mu.Lock()
	defer mu.Unlock()
	want := map[string]int{eventTyping: 1, "draw": 2, eventHistory: 1, eventWho: 1, eventRooms: 1, eventNewMessage: 2, eventJoinRoom: 1, eventAddUser: 1}
	if !maps.Equal(counted, want) {
		t.Errorf("counted %v, want %v", counted, want)
	}
}
