package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

// TestDamage: whatever happens to the data file, the adapter says so with an
// error of one line, or serves what was written. It neither panics nor hands
// out an entry that nobody wrote.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	// Old enough that their keys are forgotten, so that a start does not look
	// at every entry.
	a, err := local.Open(local.Options{Dir: dir, Clock: func() time.Time { return time.Now().Add(-time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]string{}
	const rooms, entries = 3, 60
	for i := range rooms * entries {
		m := message(fmt.Sprint("r", i%rooms), fmt.Sprint(i))
		got, err := a.Append(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		written[fmt.Sprint(m.Room, got.Seq)] = string(m.Event.Data)
	}
	for i := range 20 {
		if _, err := a.Create(t.Context(), adapter.Session{PID: fmt.Sprint("p", i), SID: fmt.Sprint("s", i), Namespace: "/"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "antchat.db"))
	if err != nil {
		t.Fatal(err)
	}

	type damage struct {
		name string
		do   func(b []byte) []byte
	}
	cases := []damage{
		{"empty page 2 on", func(b []byte) []byte { return b[:2*os.Getpagesize()] }},
		{"half", func(b []byte) []byte { return b[:len(b)/2] }},
		{"one page", func(b []byte) []byte { return b[:os.Getpagesize()] }},
		{"no bbolt file", func([]byte) []byte { return []byte(strings.Repeat("not a data file\n", 1000)) }},
		{"zeros", func(b []byte) []byte { clear(b); return b }},
		{"both metas", func(b []byte) []byte { b[20], b[os.Getpagesize()+20] = 1, 1; return b }},
	}
	for page := range len(whole) / os.Getpagesize() {
		at := page * os.Getpagesize()
		cases = append(cases, damage{fmt.Sprintf("page %d zeroed", page), func(b []byte) []byte {
			clear(b[at : at+os.Getpagesize()])
			return b
		}}, damage{fmt.Sprintf("page %d filled", page), func(b []byte) []byte {
			for i := range os.Getpagesize() {
				b[at+i] = 0xff
			}
			return b
		}})
	}
	// Single bytes: page headers, element tables, keys and values alike.
	for at := 0; at < len(whole); at += 997 {
		cases = append(cases, damage{fmt.Sprintf("byte %d", at), func(b []byte) []byte { b[at] ^= 0x41; return b }})
	}
	refused, failed, served := 0, 0, 0
	for _, c := range cases {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "antchat.db"), c.do(append([]byte(nil), whole...)), 0o600); err != nil {
			t.Fatal(err)
		}
		a, err := local.Open(local.Options{Dir: dir})
		if err != nil {
			if strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), dir) {
				t.Errorf("%s: error %q", c.name, err)
			}
			refused++
			continue
		}
		bad := false
		for r := range rooms {
			room := fmt.Sprint("r", r)
			head, err := a.Head(t.Context(), "/", room)
			if err != nil || head.Seq != entries {
				t.Errorf("%s: head of %s is %+v, %v", c.name, room, head, err)
			}
			for after := range uint64(entries) {
				s, err := a.Read(t.Context(), "/", room, adapter.LogRead{After: &after, Limit: 1})
				if err != nil {
					if !errors.Is(err, local.ErrDamaged) {
						t.Errorf("%s: read: %v", c.name, err)
					}
					bad = true
					continue
				}
				if s.Gap != nil || len(s.Entries) != 1 || s.Entries[0].Seq != after+1 || string(s.Entries[0].Event.Data) != written[fmt.Sprint(room, after+1)] {
					t.Errorf("%s: %s %d reads as %+v", c.name, room, after+1, s)
				}
			}
		}
		if _, err := a.Append(context.Background(), message("r0", "more")); err != nil {
			bad = true
			if !errors.Is(err, adapter.ErrUnavailable) || a.Status().Ready {
				t.Errorf("%s: append: %v, status %+v", c.name, err, a.Status())
			}
		}
		_ = a.Close(context.Background())
		if bad {
			failed++
		} else {
			served++
		}
	}
	t.Logf("%d cases: %d refused at the start, %d with an error later, %d without effect", len(cases), refused, failed, served)
	if refused == 0 || failed == 0 || served == 0 {
		t.Error("the cases are not as telling as they should be")
	}
}
