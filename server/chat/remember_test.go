package chat

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

// tableStore watches and disturbs an adapter's tables.
type tableStore struct {
	*local.Adapter
	heads func() // after each Head
	keeps map[string]time.Duration
}

func (s *tableStore) Head(ctx context.Context, namespace, room string) (adapter.RoomHead, error) {
	head, err := s.Adapter.Head(ctx, namespace, room)
	if s.heads != nil {
		s.heads()
	}
	return head, err
}

func (s *tableStore) RaiseField(ctx context.Context, table, field string, n uint64, keep time.Duration) (uint64, error) {
	s.keeps[table] = keep
	return s.Adapter.RaiseField(ctx, table, field, n, keep)
}

func (s *tableStore) SetField(ctx context.Context, table, field string, value []byte, keep time.Duration) error {
	s.keeps[table] = keep
	return s.Adapter.SetField(ctx, table, field, value, keep)
}

func newTabled(t *testing.T) (*Chat, *tableStore) {
	_, a := newStored(t, Limits{}, local.Options{})
	s := &tableStore{Adapter: a, keeps: map[string]time.Duration{}}
	return New("/", s, Limits{LogAge: time.Hour}), s
}

// A pointer does not go back where another device is faster: with a message that
// came after this one's look at the room.
func TestReadPointerOfTwoDevices(t *testing.T) {
	c, s := newTabled(t)
	mustSend(t, c, Outgoing{From: ann, Room: "r", Text: "1"})
	s.heads = func() {
		s.heads = nil
		mustSend(t, c, Outgoing{From: ann, Room: "r", Text: "2"})
		if at, err := c.Read(t.Context(), "s-bob", "r", 2); at != 2 || err != nil {
			t.Error(at, err)
		}
	}
	if at, err := c.Read(t.Context(), "s-bob", "r", 1); at != 2 || err != nil {
		t.Errorf("the pointer went back to %d, %v", at, err)
	}
	// Numbers that were lost and began again.
	if _, err := s.Adapter.RaiseField(t.Context(), c.readTable("s-bob"), "r", 99, time.Hour); err != nil {
		t.Fatal(err)
	}
	if at, err := c.Read(t.Context(), "s-bob", "r", 1); at != 1 || err != nil {
		t.Error(at, err)
	}
}

// Whoever cannot come back as the same person leaves nothing for a year; what is
// removed is remembered for longer than any log keeps it.
func TestHowLongTablesAreKept(t *testing.T) {
	c, s := newTabled(t)
	sent := mustSend(t, c, Outgoing{From: ann, Room: "r", Text: "1"})
	for user, want := range map[string]time.Duration{"s-1": pointerKeep, "t-1": pointerKeep, "p-1": passingKeep, "c-1": passingKeep} {
		if _, err := c.Read(t.Context(), user, "r", 1); err != nil || s.keeps[c.readTable(user)] != want {
			t.Errorf("%s: %v, %v", user, s.keeps[c.readTable(user)], err)
		}
	}
	if _, err := c.Remove(t.Context(), Moderator{Author: ann}, "r", sent.Epoch, 1); err != nil {
		t.Fatal(err)
	}
	if keep := s.keeps[c.removedTable("r", 1)]; keep < 3*time.Hour { // an hour until it is due, two without a write
		t.Errorf("a removal is kept for %v", keep)
	}
}

// A full table makes room by what has ended, and for an operator in any case.
func TestManySanctions(t *testing.T) {
	c, _ := newTabled(t)
	target, by, now := PublicID("bob"), Moderator{Author: ann}, time.Now()
	for i := range adapter.MaxFields {
		ends := now.Add(time.Hour)
		if i < 2 {
			ends = now.Add(time.Minute)
		}
		if _, err := c.Sanction(t.Context(), by, Ban, fmt.Sprint("r", i), target, "", now, ends); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Sanction(t.Context(), by, Ban, "more", target, "", now, now.Add(time.Hour)); !errors.Is(err, adapter.ErrFull) {
		t.Errorf("%v", err)
	}
	if err := c.Bar(t.Context(), target, now, now.Add(time.Hour)); err != nil {
		t.Errorf("an operator's: %v", err)
	}
	later := now.Add(2 * time.Minute)
	if _, err := c.Sanction(t.Context(), by, Ban, "more", target, "", later, later.Add(time.Hour)); err != nil {
		t.Errorf("after some have ended: %v", err)
	}
	s, err := c.SanctionsOn(t.Context(), target, later)
	if err != nil || s.Barred().IsZero() || s.Until(Ban, "more").IsZero() || s.Until(Ban, "r999").IsZero() {
		t.Errorf("%v, %d sanctions", err, len(s.until))
	}
}
