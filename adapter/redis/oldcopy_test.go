package redis

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
)

// TestOldCopy brings Redis back with an older copy of its file: members are
// told exactly what is gone, connected or returning, and no number is used
// twice within an epoch.
func TestOldCopy(t *testing.T) {
	s := ownServer(t)
	f := newFleet(t, s.addr, 2, Options{Beat: 300 * time.Millisecond, Lease: 5 * time.Second})
	m, n := newMember(t, f.nodes[0], "a"), newMember(t, f.nodes[1], "a")
	a := f.nodes[0]
	if _, err := a.Create(t.Context(), adapter.Session{PID: "pid", SID: "sid", Namespace: "/"}); err != nil {
		t.Fatal(err)
	}
	o := adapter.Owner{PID: "pid", Token: 1}
	x := &member{t: t, a: a, id: "sid"}
	if err := a.Add(t.Context(), "/", x, &o); err != nil {
		t.Fatal(err)
	}
	x.join("a")
	texts := []string{"0", "1", "2", "3", "4", "5", "6", "7"}
	var got []adapter.Appended
	for _, text := range texts[:5] {
		got = append(got, m.append("a", text))
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(copied, os.DirFS(s.dir)); err != nil {
		t.Fatal(err)
	}
	for _, text := range texts[5:] {
		got = append(got, m.append("a", text))
	}
	m.wantTexts(8)
	n.wantTexts(8)
	s.kill()
	if err := os.RemoveAll(s.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(s.dir, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*member{m, n} {
		until(t, "told of the loss", func() bool { return len(x.gaps()) > 0 })
		if g := x.gaps(); len(g) != 1 || g[0].From != 6 || g[0].To != 8 || g[0].Epoch != got[0].Epoch {
			t.Errorf("told %+v", g)
		}
	}
	next := m.append("a", "8")
	if next.Seq != 6 || next.Epoch == got[0].Epoch || next.Pos <= got[7].Pos {
		t.Errorf("after the loss: %+v, before it: %+v", next, got[7])
	}
	m.wantTexts(9)
	n.wantTexts(9)

	// Those who come back with what they last saw.
	after := uint64(8)
	page, err := a.Read(t.Context(), "/", "a", adapter.LogRead{After: &after, Epoch: got[0].Epoch, Limit: 10})
	if err != nil || page.Gap == nil || page.Gap.From != 6 || page.Gap.To != 8 || len(page.Entries) != 1 || page.Entries[0].Seq != 6 {
		t.Errorf("since 8 of the old epoch: %+v, %v", page, err)
	}
	after = 5
	page, err = a.Read(t.Context(), "/", "a", adapter.LogRead{After: &after, Epoch: got[0].Epoch, Limit: 10})
	if err != nil || page.Gap != nil || len(page.Entries) != 1 {
		t.Errorf("since 5 of the old epoch: %+v, %v", page, err)
	}
	lost := adapter.Gap{Namespace: "/", Room: "a", Epoch: got[0].Epoch, From: 6, To: 8}
	if !slices.Equal(page.Lost, []adapter.Gap{lost}) {
		t.Errorf("one that had seen nothing of it is told %+v", page.Lost)
	}
	resume := func(seen adapter.Appended) error {
		_, o, err := f.nodes[1].Claim(t.Context(), "/", "pid")
		if err != nil {
			t.Fatal(err)
		}
		var offset adapter.Position
		offset[seen.Lane] = seen.Pos
		replay, err := f.nodes[1].Resume(t.Context(), "/", &member{t: t, a: f.nodes[1], id: "sid"}, o, &offset)
		if err == nil && !slices.Equal(replay.Lost, []adapter.Gap{lost}) {
			t.Errorf("one that comes back by its offset is told %+v", replay.Lost)
		}
		return err
	}
	if err := resume(got[7]); !errors.Is(err, adapter.ErrUnrecoverable) {
		t.Errorf("an offset that the store has lost: %v", err)
	}
	if err := resume(got[3]); err != nil {
		t.Errorf("an offset that the store still has: %v", err)
	}
}
