package chatapi

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
)

// heard is a "chat message" as the tutorial's client takes it.
type heard struct {
	text string
	seq  uint64
}

func nextHeard(c *client) heard {
	c.t.Helper()
	e := c.next("chat message")
	var h heard
	if len(e.args) != 2 || json.Unmarshal(e.args[0], &h.text) != nil || json.Unmarshal(e.args[1], &h.seq) != nil {
		c.t.Fatalf("chat message %s", e.raw)
	}
	return h
}

func tutorialAt(offset any) hello { return hello{auth: map[string]any{"serverOffset": offset}} }

// The tutorial's last step: serverOffset 0 in auth; emits with a clientOffset
// and an acknowledgement, sent again when it does not come in time.
func TestTutorial(t *testing.T) {
	f := newDefault(t)
	plain := f.dial(hello{})
	plain.emit("new message", "before")
	a, b := f.dial(tutorialAt(0)), f.dial(tutorialAt(0))
	for _, c := range []*client{a, b} {
		if h := nextHeard(c); h != (heard{"before", 1}) {
			t.Errorf("heard %+v", h)
		}
	}
	for range 2 { // the second is a retry
		if answer := a.answer(a.request("chat message", "안녕 \"tutorial\" 😀", a.sid+"-0")); len(answer) != 0 {
			t.Errorf("chat message was acknowledged with %s", answer)
		}
	}
	for _, c := range []*client{a, b} { // everyone, the sender too
		if h := nextHeard(c); h != (heard{"안녕 \"tutorial\" 😀", 2}) {
			t.Errorf("heard %+v", h)
		}
	}
	if m := nextAs[chat.Message](plain, "new message"); m.Message != "안녕 \"tutorial\" 😀" || m.Seq != 2 {
		t.Errorf("new message %+v", m)
	}
	// The step before the last has no clientOffset and no acknowledgement.
	b.emit("chat message", "simple")
	if h := nextHeard(a); h != (heard{"simple", 3}) {
		t.Errorf("heard %+v", h)
	}
	nextHeard(b)
	// Messages cross over; null is no offset.
	plain.emit("new message", "from the other side")
	b.emit("chat message", "null", nil)
	for _, c := range []*client{a, b} {
		if h := nextHeard(c); h != (heard{"from the other side", 4}) && h != (heard{"null", 5}) && h != (heard{"null", 4}) {
			t.Errorf("heard %+v", h)
		}
		nextHeard(c)
	}
	// Other rooms speak the chat's own vocabulary to it.
	call[JoinedRoom](a, "join room", "tea")
	call[JoinedRoom](plain, "join room", "tea")
	call[Stored](plain, "new message", map[string]any{"room": "tea", "message": "tea?"})
	if m := nextAs[chat.Message](a, "new message"); m.Room != "tea" {
		t.Errorf("new message %+v", m)
	}
	f.barrier(a, b, plain)
	a.nothing("chat message", "new message")
	b.nothing("chat message", "new message")
}

// After each reconnect without recovery the messages after serverOffset come,
// once and in order, and then the live ones.
func TestTutorialCatchesUp(t *testing.T) {
	f := newDefault(t)
	writer := f.dial(hello{})
	for i := range 10 {
		call[Stored](writer, "new message", map[string]any{"message": fmt.Sprint(i + 1), "id": fmt.Sprint(i)})
	}
	for _, tt := range []struct {
		offset any
		first  uint64
	}{
		{0, 1}, {4, 5}, {"7", 8}, {10, 11}, {"undefined", 1}, {-3, 1},
		{99, 1}, // more than there is: the log was lost and began again
	} {
		c := f.dial(tutorialAt(tt.offset))
		var want, got []uint64
		for seq := tt.first; seq <= 10; seq++ {
			want, got = append(want, seq), append(got, nextHeard(c).seq)
		}
		if !slices.Equal(want, got) {
			t.Errorf("serverOffset %v: heard %v", tt.offset, got)
		}
		f.barrier(c)
		c.nothing("chat message", "room gap", "new message")
		c.leave()
	}
	// An old client says it in the query.
	c := f.dial(hello{protocol: 4, query: "serverOffset=9"})
	if h := nextHeard(c); h.seq != 10 {
		t.Errorf("heard %+v", h)
	}
	// Nothing in auth, or null, is no tutorial.
	for _, auth := range []map[string]any{{}, {"serverOffset": nil}} {
		c := f.dial(hello{auth: auth})
		f.barrier(c)
		c.nothing("chat message")
	}
}

// More than a backlog is not sent; whoever had seen some is told.
func TestTutorialBacklog(t *testing.T) {
	f := newChat(t, Options{Backlog: 3}, local.Options{})
	writer := f.dial(hello{})
	for i := range 10 {
		call[Stored](writer, "new message", fmt.Sprint(i+1))
	}
	fresh, old := f.dial(tutorialAt(0)), f.dial(tutorialAt(2))
	for _, c := range []*client{fresh, old} {
		for seq := uint64(8); seq <= 10; seq++ {
			if h := nextHeard(c); h.seq != seq {
				t.Errorf("heard %+v, want %d", h, seq)
			}
		}
	}
	if g := nextAs[RoomGap](old, "room gap"); g.Room != "lobby" || g.From != 3 || g.To != 7 || g.Epoch == "" {
		t.Errorf("room gap %+v", g)
	}
	f.barrier(fresh)
	fresh.nothing("room gap", "chat message")
	// And not more bytes than fit.
	long := newChat(t, Options{Limits: chat.Limits{AnswerBytes: 5000}}, local.Options{})
	writer = long.dial(hello{})
	for range 10 {
		call[Stored](writer, "new message", strings.Repeat("x", 2000))
	}
	c := long.dial(tutorialAt(0))
	long.barrier(c)
	c.mu.Lock()
	defer c.mu.Unlock()
	if n := len(c.events); n != 3 {
		t.Errorf("%d messages of 2,000 bytes in 5,000", n)
	}
}

// Recovered, the missed ones come from the session and not again from the
// offset; but a client that was cut off in the middle of its backlog is not
// recovered, because only its own offset knows what it lacks.
func TestTutorialRecovery(t *testing.T) {
	f := newDefault(t)
	writer := f.dial(hello{})
	for i := range 5 {
		call[Stored](writer, "new message", fmt.Sprint(i+1))
	}
	c := f.dial(tutorialAt(0))
	for range 5 {
		nextHeard(c)
	}
	f.barrier(c)
	c.drop()
	call[Stored](writer, "new message", "6")

	whole := f.dial(hello{auth: c.back(map[string]any{"serverOffset": 5})})
	if whole.sid != c.sid {
		t.Fatal("not recovered")
	}
	if h := nextHeard(whole); h != (heard{"6", 6}) {
		t.Errorf("heard %+v", h)
	}
	f.barrier(whole)
	whole.nothing("chat message")
	whole.drop()

	cut := f.dial(hello{auth: whole.back(map[string]any{"serverOffset": 2})})
	if cut.sid == c.sid {
		t.Error("recovered without its backlog")
	}
	for seq := uint64(3); seq <= 6; seq++ {
		if h := nextHeard(cut); h.seq != seq {
			t.Errorf("heard %+v, want %d", h, seq)
		}
	}
	f.barrier(cut)
	cut.nothing("chat message")
}
