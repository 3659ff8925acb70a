package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"pgregory.net/rapid"
)

// newStored is a chat over an adapter in memory.
func newStored(t testing.TB, l Limits, o local.Options) (*Chat, *local.Adapter) {
	t.Helper()
	a, err := local.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return New("/", a, l), a
}

var ann = Author{User: "s-ann", Name: "Ann"}

func mustSend(t testing.TB, c *Chat, m Outgoing) Sent {
	t.Helper()
	s, err := c.Send(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contents are the texts of a page.
func contents(t testing.TB, p Page) string {
	t.Helper()
	var all []string
	for _, raw := range p.Messages {
		var m Message
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m.Message)
	}
	return strings.Join(all, " ")
}

func TestSendDeduplicates(t *testing.T) {
	c, _ := newStored(t, Limits{}, local.Options{})
	first := mustSend(t, c, Outgoing{From: ann, Room: "r", Text: "cafe\u0301", ID: "1"})
	if first.Seq != 1 || first.Duplicate || first.ID != "1" || first.Epoch == "" {
		t.Errorf("sent %+v", first)
	}
	// The same again, in another normal form, from another socket, renamed.
	again := mustSend(t, c, Outgoing{From: Author{"s-ann", "Anna"}, Room: "r", Text: "café", ID: "1", Socket: "other"})
	if !again.Duplicate || again.Seq != first.Seq || again.Epoch != first.Epoch || !again.Time.Equal(first.Time) {
		t.Errorf("sent again %+v, first %+v", again, first)
	}
	if _, err := c.Send(t.Context(), Outgoing{From: ann, Room: "r", Text: "tea", ID: "1"}); !errors.Is(err, adapter.ErrConflict) {
		t.Errorf("another text under the same id: %v", err)
	}
	for what, m := range map[string]Outgoing{
		"another person": {From: Author{"s-bob", "Ann"}, Room: "r", Text: "tea", ID: "1"},
		"another room":   {From: ann, Room: "q", Text: "tea", ID: "1"},
		"another id":     {From: ann, Room: "r", Text: "tea", ID: "2"},
		"no id":          {From: ann, Room: "r", Text: "tea"},
		"no id again":    {From: ann, Room: "r", Text: "tea"},
	} {
		if s := mustSend(t, c, m); s.Duplicate || s.ID == "" {
			t.Errorf("%s: %+v", what, s)
		}
	}
	if s := mustSend(t, c, Outgoing{From: ann, Room: "r", Text: "x", ID: "secret", Public: "shown"}); s.ID != "shown" {
		t.Errorf("public id: %+v", s)
	}
}

func TestSendRefuses(t *testing.T) {
	c, _ := newStored(t, Limits{}, local.Options{})
	for field, m := range map[Field]Outgoing{
		FieldRoom: {From: ann, Room: "", Text: "x"},
		FieldText: {From: ann, Room: "r", Text: " "},
		FieldID:   {From: ann, Room: "r", Text: "x", ID: strings.Repeat("i", 200)},
	} {
		_, err := c.Send(t.Context(), m)
		var invalid *Invalid
		if !errors.As(err, &invalid) || invalid.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Whatever pages a client takes, they are what it asked for, in order, and
// `more` is the truth.
func TestPages(t *testing.T) {
	c, a := newStored(t, Limits{HistoryMax: 5, HistoryDefault: 3}, local.Options{})
	const total = 23
	for i := range total {
		mustSend(t, c, Outgoing{From: ann, Room: "r", Text: fmt.Sprint(i + 1)})
	}
	want := func(from, to int) string {
		var all []string
		for i := max(from, 1); i <= min(to, total); i++ {
			all = append(all, fmt.Sprint(i))
		}
		return strings.Join(all, " ")
	}
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(0, 8).Draw(rt, "limit")
		n := limit
		if n == 0 {
			n = 3
		}
		n = min(n, 5)
		before := rapid.IntRange(-1, total+3).Draw(rt, "before")
		after := rapid.IntRange(-1, total+3).Draw(rt, "after")
		q := HistoryQuery{Limit: limit}
		low, high := 1, total // of what is asked for
		if before >= 0 {
			v := uint64(before)
			q.Before, high = &v, min(high, before-1)
		}
		if after >= 0 {
			v := uint64(after)
			q.After, low = &v, after+1
		}
		page, err := c.History(t.Context(), "r", q)
		if err != nil {
			rt.Fatal(err)
		}
		size := max(high-low+1, 0)
		expect := want(max(low, high-n+1), high)
		if after >= 0 && before < 0 {
			expect = want(low, min(high, low+n-1))
		}
		if got := contents(t, page); got != expect || page.More != (size > n) || page.Epoch == "" || page.Room != "r" {
			rt.Fatalf("before %d, after %d, limit %d: %q, more %v; want %q", before, after, limit, got, page.More, expect)
		}

		// A join with the same lower bound gets the newest.
		join := JoinQuery{Limit: limit}
		low = 1
		if after >= 0 {
			v := uint64(after)
			join.Since = &v
		}
		if after >= 0 && after <= total { // else what it saw is lost, and all is new to it
			low = after + 1
		}
		cut, err := a.Read(t.Context(), "/", AdapterRoom("r"), *c.JoinRead(join))
		if err != nil {
			rt.Fatal(err)
		}
		if page, err = c.Joined(t.Context(), join, cut); err != nil {
			rt.Fatal(err)
		}
		if got := contents(t, page); got != want(max(low, total-n+1), total) || page.More != (total-low+1 > n) || page.Seq != total || (page.Gap != nil) != (after > total) {
			rt.Fatalf("join since %d, limit %d: %q, %+v", after, limit, got, page)
		}
	})
}

// What the log has trimmed away is a gap, never a silent hole.
func TestJoinTellsGap(t *testing.T) {
	c, a := newStored(t, Limits{}, local.Options{LogMax: 5})
	for i := range 50 {
		mustSend(t, c, Outgoing{From: ann, Room: "r", Text: fmt.Sprint(i + 1)})
	}
	since := uint64(10)
	q := JoinQuery{Since: &since}
	cut, err := a.Read(t.Context(), "/", AdapterRoom("r"), *c.JoinRead(q))
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.Joined(t.Context(), q, cut)
	if err != nil {
		t.Fatal(err)
	}
	var oldest Message
	if err := json.Unmarshal(page.Messages[0], &oldest); err != nil {
		t.Fatal(err)
	}
	if page.Gap == nil || page.Gap.From != 11 || page.Gap.To != oldest.Seq-1 || page.More || page.Seq != 50 {
		t.Errorf("page %+v, gap %+v, oldest %d", page, page.Gap, oldest.Seq)
	}
}

// An answer stays small however long the messages are, and nothing is lost by
// that: the pages together hold everything.
func TestPagesFitBytes(t *testing.T) {
	c, a := newStored(t, Limits{AnswerBytes: 4000, TextBytes: 8000, TextCharacters: 8000}, local.Options{})
	for i := range 20 {
		mustSend(t, c, Outgoing{From: ann, Room: "r", Text: strings.Repeat(fmt.Sprint(i%10), 300*(1+i%4)+6000*(i/19))})
	}
	seqs := func(p Page) (all []uint64) {
		size := 0
		for _, raw := range p.Messages {
			var m Message
			if err := json.Unmarshal(raw, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m.Seq)
			size += len(raw)
		}
		if len(all) > 1 && size > 4000 {
			t.Errorf("a page of %d bytes", size)
		}
		return all
	}
	cut, err := a.Read(t.Context(), "/", AdapterRoom("r"), *c.JoinRead(JoinQuery{}))
	if err != nil {
		t.Fatal(err)
	}
	page, err := c.Joined(t.Context(), JoinQuery{}, cut)
	if err != nil {
		t.Fatal(err)
	}
	all := seqs(page)
	for page.More {
		before := all[0]
		if page, err = c.History(t.Context(), "r", HistoryQuery{Before: &before}); err != nil {
			t.Fatal(err)
		}
		all = append(seqs(page), all...)
	}
	var forward []uint64
	for after := uint64(0); ; after = forward[len(forward)-1] {
		if page, err = c.History(t.Context(), "r", HistoryQuery{After: &after}); err != nil {
			t.Fatal(err)
		}
		forward = append(forward, seqs(page)...)
		if !page.More {
			break
		}
	}
	if len(all) != 20 || !slices.IsSorted(all) || !slices.Equal(all, forward) {
		t.Errorf("backwards %v, forwards %v", all, forward)
	}
}

// People are counted once however many sockets they have.
func TestPresence(t *testing.T) {
	c, _ := newStored(t, Limits{PeopleListed: 2}, local.Options{})
	enter := func(handle string, a Author, want int) {
		t.Helper()
		if n, err := c.Enter(t.Context(), "r", handle, a); err != nil || n != want {
			t.Errorf("enter %s: %d, %v; want %d", handle, n, err, want)
		}
	}
	enter("1", ann, 1)
	enter("2", ann, 1)
	enter("2", ann, 1)
	enter("3", Author{"s-bob", "Ann"}, 2) // names need not be unique
	enter("4", Author{"s-cho", "조"}, 3)
	w, err := c.Who(t.Context(), "r")
	if err != nil || w.NumUsers != 3 || len(w.Users) != 2 || w.Room != "r" {
		t.Errorf("who %+v, %v", w, err)
	}
	c.Exit("r", "1", ann.User, true)
	c.Exit("r", "4", "s-cho", true)
	c.Exit("r", "4", "s-cho", true)
	if n, err := c.Count(t.Context(), "r"); err != nil || n != 2 {
		t.Errorf("%d people, %v", n, err)
	}
	// A recovered socket's former connection takes nothing from it.
	enter("2b", ann, 2)
	c.Exit("r", "2", ann.User, true)
	if n, _ := c.Count(t.Context(), "r"); n != 2 {
		t.Errorf("%d people after the old connection's end", n)
	}
	page, err := c.ListRooms(t.Context(), RoomsQuery{}, all)
	if err != nil || page.More || page.Next != "" || !slices.Equal(page.Rooms, []RoomInfo{{Room: "r", NumUsers: 2}}) {
		t.Errorf("rooms %+v, %v", page, err)
	}
}

// The list of rooms is the union of both sources, whole and in order, whatever
// the page.
func TestListRooms(t *testing.T) {
	c, a := newStored(t, Limits{}, local.Options{})
	want := map[string]RoomInfo{}
	for i := range 30 {
		room := fmt.Sprintf("r%02d", i)
		info := RoomInfo{Room: room}
		if i%3 != 0 {
			info.Seq = mustSend(t, c, Outgoing{From: ann, Room: room, Text: "x"}).Seq
		}
		if i%2 == 0 || i%3 == 0 {
			info.NumUsers, _ = c.Enter(t.Context(), room, room, ann)
		}
		want[room] = info
	}
	// Rooms of others are not the chat's.
	for _, other := range []string{"aaa", "zzz"} {
		if _, err := a.Enter(t.Context(), "/", other, "s", adapter.Person{User: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	for limit := 1; limit < 33; limit += 5 {
		var got []RoomInfo
		// By the last name and by the cursor in turn.
		for q, more := (RoomsQuery{Limit: limit}), true; more; {
			page, err := c.ListRooms(t.Context(), q, all)
			if err != nil || len(page.Rooms) > limit || page.More != (page.Next != "") {
				t.Fatal(page, err)
			}
			got, more = append(got, page.Rooms...), page.More
			if q.Cursor = page.Next; len(got)%2 == 0 {
				q.After, q.Cursor = got[len(got)-1].Room, ""
			}
		}
		if len(got) != len(want) || !slices.IsSortedFunc(got, func(a, b RoomInfo) int { return strings.Compare(a.Room, b.Room) }) {
			t.Errorf("by %d: %d rooms", limit, len(got))
		}
		for _, r := range got {
			if r != want[r.Room] {
				t.Errorf("by %d: %+v, want %+v", limit, r, want[r.Room])
			}
		}
	}
}

func all(string) bool { return true }

// Rooms that may not be seen are passed over, and direct rooms always.
func TestListVisibleRooms(t *testing.T) {
	c, _ := newStored(t, Limits{RoomsListed: 5}, local.Options{})
	for i := range 40 {
		mustSend(t, c, Outgoing{From: ann, Room: fmt.Sprintf("r%02d", i), Text: "x"})
		room, err := c.limits.RoomFor(ann.User, "@"+PublicID(fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		mustSend(t, c, Outgoing{From: ann, Room: room, Text: "x"})
	}
	mustSend(t, c, Outgoing{From: ann, Room: "0", Text: "x"})
	var got []string
	for q, more := (RoomsQuery{Limit: 3}), true; more; {
		page, err := c.ListRooms(t.Context(), q, func(room string) bool { return room == "0" || room[len(room)-1] == '7' })
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Rooms {
			got, q.After = append(got, r.Room), r.Room
		}
		more = page.More
	}
	if want := []string{"0", "r07", "r17", "r27", "r37"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
