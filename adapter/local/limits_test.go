package local_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

func TestOptionsRefused(t *testing.T) {
	for _, o := range []local.Options{
		{Window: -1}, {LogAge: time.Second}, {LogMax: -1}, {NodeID: "too long"}, {DedupeWindow: time.Microsecond},
	} {
		if a, err := local.Open(o); err == nil {
			t.Errorf("%+v was taken", o)
			_ = a.Close(t.Context())
		}
	}
}

func TestLimits(t *testing.T) {
	ctx := t.Context()
	var told bytes.Buffer
	a := open(t, local.Options{
		Logger:      slog.New(slog.NewTextHandler(&told, nil)),
		MaxLogRooms: 2, MaxKeys: 5, MaxEntry: 200, MaxSessions: 2, MaxSessionData: 10, MaxRecords: 2, MaxRead: 3,
	})
	a.Open("/", &counting{})
	full := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, adapter.ErrFull) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, room := range []string{"a", "b"} {
		if _, err := a.Append(ctx, message(room, "1")); err != nil {
			t.Fatal(err)
		}
	}
	_, err := a.Append(ctx, message("c", "1"))
	full("third room", err)
	_, err = a.Append(ctx, message("a", strings.Repeat("x", 200)))
	full("large entry", err)
	err = a.Emit(ctx, adapter.Emit{Target: adapter.Target{Namespace: "/"}, Class: adapter.Recoverable, Event: adapter.Event{Data: make([]byte, 300)}})
	full("large emit", err)
	for i := range 3 {
		if _, err := a.Append(ctx, message("a", fmt.Sprint("k", i))); err != nil {
			t.Fatal(err)
		}
	}
	_, err = a.Append(ctx, message("a", "k9"))
	full("keys", err)
	// The operator hears of it, and not with each message.
	if log := told.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "2 rooms have a log") {
		t.Errorf("logged %q", log)
	}
	free := message("a", "no key")
	free.Key = ""
	if _, err := a.Append(ctx, free); err != nil {
		t.Error(err)
	}
	if s, err := a.Read(ctx, "/", "a", adapter.LogRead{Limit: 100}); err != nil || len(s.Entries) != 3 || !s.More {
		t.Errorf("%+v, %v", s, err)
	}

	session := func(pid string) (adapter.Owner, error) {
		return a.Create(ctx, adapter.Session{PID: pid, SID: "s" + pid, Namespace: "/"})
	}
	one, err := session("1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := session("2"); err != nil {
		t.Fatal(err)
	}
	_, err = session("3")
	full("sessions", err)
	if _, err := session("2"); !errors.Is(err, adapter.ErrConflict) {
		t.Errorf("session id taken: %v", err)
	}
	a.Gone(one)
	if _, err := session("3"); err != nil {
		t.Errorf("a lost session makes room: %v", err)
	}
	if _, _, err := a.Claim(ctx, "/", "1"); !errors.Is(err, adapter.ErrUnrecoverable) {
		t.Errorf("evicted session: %v", err)
	}
	full("session data", a.Save(ctx, one, make([]byte, 11)))

	for i := range 2 {
		if err := a.Put(ctx, fmt.Sprint(i), nil, time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	full("records", a.Put(ctx, "2", nil, time.Hour))
	_, err = a.Count(ctx, "0", 1, time.Hour)
	full("counters", err)
	if err := a.Put(ctx, "0", []byte("again"), time.Hour); err != nil {
		t.Errorf("replacing a record: %v", err)
	}
}

func TestReplayIsBounded(t *testing.T) {
	ctx := t.Context()
	a := open(t, local.Options{MaxReplay: 10})
	a.Open("/", &counting{})
	var owners []adapter.Owner
	for i, room := range []string{"log", "emit", "few"} {
		s := sock(fmt.Sprint("s", i))
		o, err := a.Create(ctx, adapter.Session{PID: fmt.Sprint("p", i), SID: s.ID(), Namespace: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Add(ctx, "/", s, &o); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Join(ctx, "/", s, []string{room}, false, nil); err != nil {
			t.Fatal(err)
		}
		owners = append(owners, o)
	}
	for i := range 11 {
		if _, err := a.Append(ctx, message("log", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
		if err := a.Emit(ctx, adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: []string{"emit"}}, Class: adapter.Recoverable}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Append(ctx, message("few", "1")); err != nil {
		t.Fatal(err)
	}
	for i := range owners {
		_, o, err := a.Claim(ctx, "/", owners[i].PID)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Resume(ctx, "/", sock(fmt.Sprint("s", i)), o, nil)
		if want := i < 2; errors.Is(err, adapter.ErrUnrecoverable) != want {
			t.Errorf("session %d: %v", i, err)
		}
	}
}

// TestAge: entries go when they are too old, and a room without any ends: its
// name starts a new epoch.
func TestAge(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		var now atomic.Int64
		now.Store(time.Now().UnixMilli())
		a := open(t, local.Options{Dir: dir, LogAge: time.Hour, Clock: func() time.Time { return time.UnixMilli(now.Load()) }})
		a.Open("/", &counting{})
		ctx := t.Context()
		old, err := a.Append(ctx, message("a", "1"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Append(ctx, message("b", "1")); err != nil {
			t.Fatal(err)
		}
		now.Add(50 * 60_000)
		if _, err := a.Append(ctx, message("a", "2")); err != nil {
			t.Fatal(err)
		}
		now.Add(15 * 60_000)
		wait := func(what string, ok func() bool) {
			t.Helper()
			for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatal("in vain: ", what)
				}
			}
		}
		zero := uint64(0)
		wait("the first entry goes", func() bool {
			s, err := a.Read(ctx, "/", "a", adapter.LogRead{After: &zero, Limit: 5})
			return err == nil && len(s.Entries) == 1 && s.Entries[0].Seq == 2 && s.Gap != nil && s.Gap.From == 1 && s.Gap.To == 1
		})
		wait("room b ends", func() bool {
			rooms, err := a.LogRooms(ctx, "/", "", 5)
			return err == nil && len(rooms) == 1 && rooms[0].Room == "a" && rooms[0].Seq == 2
		})
		now.Add(3 * 3600_000)
		wait("room a ends", func() bool {
			h, err := a.Head(ctx, "/", "a")
			return err == nil && h.Seq == 0
		})
		fresh, err := a.Append(ctx, message("a", "1"))
		if err != nil || fresh.Seq != 1 || fresh.Epoch == old.Epoch || fresh.Duplicate || fresh.Pos <= old.Pos {
			t.Errorf("%+v, %v", fresh, err)
		}
		if err := a.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

// TestBytes: MaxBytes holds in memory and on disk, and what is there stays
// readable.
func TestBytes(t *testing.T) {
	ctx := t.Context()
	for _, o := range []local.Options{{MaxBytes: 20_000}, {MaxBytes: 1 << 20, Dir: t.TempDir()}} {
		a := open(t, o)
		a.Open("/", &counting{})
		var err error
		n := 0
		for ; n < 5000 && err == nil; n++ {
			m := message("a", fmt.Sprint(n))
			m.Event.Data = make([]byte, 1000)
			_, err = a.Append(ctx, m)
		}
		if !errors.Is(err, adapter.ErrFull) || a.Status().Ready {
			t.Errorf("after %d messages: %v, %+v", n, err, a.Status())
		}
		if s, err := a.Read(ctx, "/", "a", adapter.LogRead{Limit: 1}); err != nil || s.Head != uint64(n-1) {
			t.Errorf("%+v, %v", s, err)
		}
		if err := a.Close(ctx); err != nil && !errors.Is(err, adapter.ErrFull) {
			t.Error(err)
		}
	}
}
