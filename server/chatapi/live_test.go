package chatapi

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// What join answers and what then arrives live meet: whoever joins, leaves,
// loses its connection and comes back while others write has every message
// from its first on, once, in order.
func TestJoinMeetsLive(t *testing.T) {
	f := newDefault(t)
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 3 {
		c := f.dial(hello{bulk: true})
		call[JoinedRoom](c, "join room", "tea")
		// Readers begin in a room that has a message.
		call[Stored](c, "new message", map[string]any{"room": "tea", "message": "first", "id": fmt.Sprint(w)})
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				call[Stored](c, "new message", map[string]any{"room": "tea", "message": fmt.Sprint(i), "id": fmt.Sprint(w, "-", i)})
				time.Sleep(time.Millisecond) // the log must hold what a slow reader misses
			}
		})
	}
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() { f.readAlong(rand.New(rand.NewPCG(1, uint64(r)))) })
	}
	readers.Wait()
	stop()
	writers.Wait()
}

// readAlong is a client that joins and leaves in every way there is.
func (f *fixture) readAlong(random *rand.Rand) {
	t := f.t
	c := f.dial(hello{})
	var since *uint64 // the last seq it has
	epoch, where := "", ""
	take := func(raw json.RawMessage) {
		var m chat.Message
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Error(err)
		}
		if since != nil && m.Seq != *since+1 {
			t.Errorf("%s: seq %d after %d", where, m.Seq, *since)
		}
		since, epoch = &m.Seq, m.Epoch
	}
	live := func(n int) {
		for range n {
			take(c.next("new message").args[0])
		}
	}
	drain := func() { // takes what has come
		c.mu.Lock()
		rest := c.events
		c.events = nil
		c.mu.Unlock()
		for _, e := range rest {
			if e.name == "new message" {
				take(e.args[0])
			}
		}
	}
	for range 15 {
		query := map[string]any{"room": "tea", "limit": 200}
		if since != nil {
			query["since"], query["epoch"] = *since, epoch
		}
		j := call[JoinedRoom](c, "join room", query)
		if j.Gap != nil {
			t.Errorf("gap %+v", j.Gap)
		}
		where = fmt.Sprintf("join %v, seq %d, more %v, %d messages", query, j.Seq, j.More, len(j.Messages))
		if j.More && since != nil { // it missed more than a page: read the rest
			before := j.Seq + 1
			if len(j.Messages) > 0 {
				var m chat.Message
				_ = json.Unmarshal(j.Messages[0], &m)
				before = m.Seq
			}
			for *since+1 < before {
				h := call[HistoryPage](c, "history", map[string]any{"room": "tea", "after": *since, "limit": 200})
				for _, m := range h.Messages {
					if *since+1 < before {
						take(m)
					}
				}
			}
		}
		for _, m := range j.Messages {
			take(m)
		}
		if since == nil || *since != j.Seq {
			t.Errorf("the answer ends at %v, seq is %d", since, j.Seq)
		}
		where += " live"
		live(random.IntN(20))
		switch random.IntN(3) {
		case 0:
			// Leave: what is on its way still comes before the answer.
			call[LeftRoom](c, "leave room", "tea")
			drain()
		case 1:
			// Lose the connection and recover: what was not taken counts as
			// not received, so the offset must be that of the last one taken.
			drain()
			c.drop()
			drain()
			back := f.dial(hello{auth: c.back(nil)})
			if back.sid != c.sid {
				t.Error("not recovered")
			}
			c = back
			where += " recovered"
			live(random.IntN(20))
			call[LeftRoom](c, "leave room", "tea")
			drain()
		case 2:
			// Go for good, and come back as somebody else.
			drain()
			c.leave()
			c = f.dial(hello{})
		}
	}
}

// Members are told what the log lost.
func TestRoomGap(t *testing.T) {
	e := gapEvent(adapter.Gap{Room: chat.AdapterRoom("tea"), Epoch: "e", From: 3, To: 5})
	if string(e.Data) != `["room gap",{"room":"tea","epoch":"e","from":3,"to":5}]` {
		t.Errorf("%s", e.Data)
	}
}

// Everything of the vocabulary reaches protocol 4 as well, without offsets.
func TestProtocol4(t *testing.T) {
	f := newDefault(t)
	old, ann := f.dial(hello{protocol: 4}), f.dial(hello{})
	old.emit("add user", "Old")
	nextAs[Login](old, "login")
	nextAs[UserChange](ann, "user joined")
	call[AddedUser](ann, "add user", "Ann")
	nextAs[UserChange](old, "user joined")
	ann.emit("new message", "hi")
	if m := nextAs[chat.Message](old, "new message"); m.Username != "Ann" {
		t.Errorf("new message %+v", m)
	}
	if s := call[Stored](old, "new message", "ho"); s.Seq != 2 {
		t.Errorf("stored %+v", s)
	}
	if p := old.refusal("nonsense"); p.Code != CodeUnknownEvent {
		t.Errorf("refused with %+v", p)
	}
}

// A message to a room of 1,000: append, render, and 1,000 queues.
func BenchmarkNewMessage1000(b *testing.B) {
	f := newChat(b, Options{}, local.Options{})
	const members = 1000
	for range members - 1 {
		f.dial(hello{bulk: true})
	}
	sender := f.dial(hello{bulk: true})
	last := f.dial(hello{bulk: true})
	b.ReportAllocs()
	b.ResetTimer()
	last.mu.Lock()
	start, n := last.counted, 0
	last.watched = true
	last.mu.Unlock()
	for b.Loop() {
		sender.emit("new message", "a message of some ordinary length, as people write")
		n++
		if n%32 == 0 { // a window, so that the inbox does not fill up
			last.await("delivery", func() bool { return last.counted >= start+n })
		}
	}
	last.await("delivery", func() bool { return last.counted >= start+n })
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n)/members, "ns/delivery")
}

func BenchmarkRender(b *testing.B) {
	d := stored(b)
	b.ReportAllocs()
	for b.Loop() {
		if e, _, _ := render(viewChat, d); len(e.Data) == 0 {
			b.Fatal("nothing")
		}
	}
}

// stored is a logged message.
func stored(t testing.TB) *adapter.Delivery {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	c := chat.New("/", a, chat.Limits{})
	if _, err := c.Send(context.Background(), chat.Outgoing{From: chat.Author{User: "u", Name: "Ann"}, Room: chat.Lobby, Text: "hi"}); err != nil {
		t.Fatal(err)
	}
	s, err := a.Read(context.Background(), "/", lobbyRoom, adapter.LogRead{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	return s.Entries[0]
}

// One allocation for each vocabulary's form of a message.
func TestRenderAllocates(t *testing.T) {
	d := stored(t)
	for v := range socketio.View(Views) {
		if n := testing.AllocsPerRun(100, func() { render(v, d) }); n > 1 {
			t.Errorf("view %d: %v allocations", v, n)
		}
	}
}
