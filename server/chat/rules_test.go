package chat

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"pgregory.net/rapid"
)

func TestUserOfSecret(t *testing.T) {
	a, err := UserOfSecret("0123456789abcdef")
	if err != nil {
		t.Fatal(err)
	}
	b, _ := UserOfSecret("0123456789abcdeg")
	again, _ := UserOfSecret("0123456789abcdef")
	if a == b || a != again || strings.Contains(a, "0123456789abcdef") || !Proven(a) {
		t.Errorf("users %q, %q, %q", a, b, again)
	}
	if p, c := UserOfPID("0123456789abcdef"), UserOfConnection("0123456789abcdef"); p == c || p == a || c == a || Proven(p) || Proven(c) {
		t.Errorf("users %q, %q", p, c)
	}
	for _, bad := range []string{"", "short", strings.Repeat("x", 129), "0123456789abcdef\x00", "0123456789abcde\xff"} {
		if _, err := UserOfSecret(bad); err == nil {
			t.Errorf("secret %q passed", bad)
		}
	}
}

func TestGuestName(t *testing.T) {
	l := Limits{}.withDefaults()
	name := GuestName("s1")
	if name != GuestName("s1") || name == GuestName("s2") || !strings.HasPrefix(name, "guest-") {
		t.Errorf("guest names %q, %q", name, GuestName("s2"))
	}
	if _, err := l.Name(name); err != nil {
		t.Error(err)
	}
}

func TestRoomPrefix(t *testing.T) {
	for _, room := range []string{"lobby", "chat:", "chat:x", "D5VwGRKZYNi9tS65AAAA"} {
		a := AdapterRoom(room)
		if back, ok := RoomName(a); !ok || back != room || a == room {
			t.Errorf("room %q is %q and back %q", room, a, back)
		}
	}
	if got := Rooms([]string{"chat:a", "sid", "chat:b"}); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("rooms %q", got)
	}
}

// A message survives the log whatever its text: encoded, spliced, decoded, and
// its text found without decoding.
func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := entry{
			Message: rapid.String().Draw(t, "text"), Username: rapid.String().Draw(t, "name"),
			Room: rapid.String().Draw(t, "room"), ID: rapid.String().Draw(t, "id"),
		}
		event, err := encodeEntry(in)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(event.Data) {
			t.Fatalf("invalid JSON %q", event.Data)
		}
		d := &adapter.Delivery{Event: event, Class: adapter.Logged, Seq: 7, Epoch: "e", Time: time.UnixMilli(1234567890123)}
		got, err := Decode(d)
		want := Message{Message: in.Message, Username: in.Username, Room: in.Room, ID: in.ID, Seq: 7, Epoch: "e", TS: 1234567890123}
		if err != nil || got != want {
			t.Fatalf("decoded %+v, %v; want %+v", got, err, want)
		}
		var text string
		if err := json.Unmarshal(Text(d), &text); err != nil || text != in.Message {
			t.Fatalf("text %q, %v; want %q", text, err, in.Message)
		}
	})
}

func TestDecodeRefusesOtherEntries(t *testing.T) {
	for _, d := range []*adapter.Delivery{
		{Class: adapter.Logged, Event: adapter.Event{Name: "moderation", Data: []byte(`["moderation",{}]`)}},
		{Class: adapter.Logged, Event: adapter.Event{Name: EntryMessage, Data: []byte(`["new message","text"]`)}},
		{Class: adapter.Logged, Event: adapter.Event{Name: EntryMessage, Data: []byte(`["new message",{"message":5,"x":"y"}]`)}},
		{Class: adapter.Recoverable, Event: adapter.Event{Name: EntryMessage, Data: []byte(`["new message",{"message":"x"}]`)}},
	} {
		if _, err := Decode(d); err == nil {
			t.Errorf("%s passed as a message", d.Event.Data)
		}
	}
}

func TestAnnounce(t *testing.T) {
	c := New("/", nil, Limits{AnnounceMax: 2})
	for _, tt := range []struct {
		count   int
		joined  bool
		counted bool
	}{
		{1, true, false}, {2, true, false}, {3, true, true}, // 3 people is more than 2
		{2, false, true}, {1, false, false}, {0, false, false},
	} {
		n, ok := c.Announce(adapter.PresenceChange{Room: "chat:r", Joined: tt.joined, Count: tt.count, Person: adapter.Person{User: "u", Name: "Ann"}})
		if !ok || n.Counted != tt.counted || n.Room != "r" || n.Username != "Ann" || n.NumUsers != tt.count {
			t.Errorf("%+v: %+v, %v", tt, n, ok)
		}
	}
	if _, ok := c.Announce(adapter.PresenceChange{Room: "other"}); ok {
		t.Error("a room of somebody else was announced")
	}
}

func TestCounts(t *testing.T) {
	var c Counts
	if !c.Add("a", 300) || c.Add("a", 301) || c.Add("b", 500) {
		t.Error("first is wrong")
	}
	if got := c.Take(); len(got) != 2 || got["a"] != 301 || got["b"] != 500 {
		t.Errorf("took %v", got)
	}
	if got := c.Take(); len(got) != 0 {
		t.Errorf("took %v again", got)
	}
	if !c.Add("a", 1) {
		t.Error("not first after Take")
	}
}

func TestTyping(t *testing.T) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	ty := NewTyping(5*time.Second, time.Second)
	if tell, first := ty.Start(at(0), "s1", "lobby", "Ann"); !tell || !first {
		t.Error("the first sign was not told")
	}
	if tell, first := ty.Start(at(500), "s1", "lobby", "Ann"); tell || first {
		t.Error("the same was told again at once")
	}
	if tell, _ := ty.Start(at(1500), "s1", "lobby", "Ann"); !tell {
		t.Error("a later sign was not told")
	}
	ty.Start(at(2000), "s1", "other", "Ann")
	ty.Start(at(2000), "s2", "lobby", "Bob")
	if s := ty.Expire(at(6499)); len(s) != 0 {
		t.Errorf("expired early: %v", s)
	}
	if s := ty.Expire(at(6500)); !slices.Equal(s, []Silent{{"s1", "lobby", "Ann"}}) {
		t.Errorf("expired %v", s)
	}
	if s, was := ty.Stop("s2", "lobby"); !was || s.Name != "Bob" {
		t.Errorf("stop: %v, %v", s, was)
	}
	if _, was := ty.Stop("s2", "lobby"); was {
		t.Error("stopped twice")
	}
	if ty.Len() != 1 {
		t.Errorf("%d entries left", ty.Len())
	}
}

func BenchmarkAppendMessage(b *testing.B) {
	event, err := encodeEntry(entry{Message: strings.Repeat("x", 100), Username: "Ann", Room: Lobby, ID: "1"})
	if err != nil {
		b.Fatal(err)
	}
	d := &adapter.Delivery{Event: event, Class: adapter.Logged, Seq: 1, Epoch: "abcdefgh", Time: time.Now()}
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendMessage(buf[:0], d)
	}
}

// A log may hold what another version wrote: nothing in it may end the
// process, and what passes for a message decodes or is refused.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`["new message",{"message":"hi","username":"Ann","room":"r","id":"1"}]`, `["new message",{"message":"\\"}]`,
		`["new message",{"message":"}]`, `["new message",{"message":"\\\\`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		d := &adapter.Delivery{Class: adapter.Logged, Event: adapter.Event{Name: EntryMessage, Data: data}, Seq: 1, Epoch: "e"}
		if !IsMessage(d) {
			return
		}
		text := Text(d)
		m, err := Decode(d)
		if err != nil || !json.Valid(data) {
			return
		}
		var again string
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatalf("text %q of %q: %v", text, m.Message, err)
		}
	})
}
