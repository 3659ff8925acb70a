package adaptertest

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

var tableTests = []test{
	{name: "tables", run: func(r *rig) {
		if got, err := r.node(0).Fields(r.ctx(), "t"); len(got) != 0 || err != nil {
			r.Error(got, err)
		}
		value := []byte("v")
		r.must(r.node(0).SetField(r.ctx(), "t", "a", value, time.Hour))
		value[0] = 'x' // the adapter has its own
		r.must(r.node(1).SetField(r.ctx(), "t", "b\x00한", []byte{0, 255}, time.Hour))
		r.must(r.node(1).SetField(r.ctx(), "t", "empty", []byte{}, time.Hour))
		r.must(r.node(0).SetField(r.ctx(), "other", "a", []byte("o"), time.Hour))
		r.fields("t", "map[a:v b\x00한:\x00\xff empty:]")
		r.must(r.node(1).SetField(r.ctx(), "t", "a", []byte("w"), time.Hour))
		r.must(r.node(0).SetField(r.ctx(), "t", "empty", nil, time.Hour))
		r.must(r.node(0).SetField(r.ctx(), "t", "never there", nil, time.Hour))
		r.fields("t", "map[a:w b\x00한:\x00\xff]")
		r.must(r.node(0).SetField(r.ctx(), "t", "a", nil, time.Hour))
		r.must(r.node(0).SetField(r.ctx(), "t", "b\x00한", nil, time.Hour))
		r.fields("t", "map[]")
		r.fields("other", "map[a:o]")
	}},
	{name: "a table's time", run: func(r *rig) {
		r.must(r.node(0).SetField(r.ctx(), "short", "a", []byte("1"), shortly/4))
		r.must(r.node(0).SetField(r.ctx(), "long", "a", []byte("1"), time.Hour))
		r.must(r.node(1).SetField(r.ctx(), "long", "b", []byte("2"), shortly/4)) // the longest counts
		time.Sleep(shortly)
		r.fields("short", "map[]")
		r.fields("long", "map[a:1 b:2]")
	}},
	{name: "raised fields", run: func(r *rig) {
		raise := func(n, want uint64) {
			r.Helper()
			if got, err := r.node(int(n%3)).RaiseField(r.ctx(), "t", "n", n, time.Hour); got != want || err != nil {
				r.Errorf("raised to %d: %d, want %d, %v", n, got, want, err)
			}
		}
		raise(0, 0)
		raise(9, 9)
		raise(10, 10)
		raise(9, 10)
		raise(math.MaxUint64-1, math.MaxUint64-1)
		raise(math.MaxUint64, math.MaxUint64)
		raise(math.MaxUint64-1, math.MaxUint64)
		r.must(r.node(0).SetField(r.ctx(), "t", "n", []byte("5"), time.Hour))
		raise(4, 5)
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				if _, err := r.node(i).RaiseField(r.ctx(), "t", "race", uint64(i), time.Hour); err != nil {
					r.Error(err)
				}
			})
		}
		all.Wait()
		r.fields("t", "map[n:5 race:39]")
	}},
	{name: "a full table", run: func(r *rig) {
		for i := range adapter.MaxFields {
			r.must(r.node(0).SetField(r.ctx(), "t", fmt.Sprint(i), []byte("x"), time.Hour))
		}
		if err := r.node(0).SetField(r.ctx(), "t", "more", []byte("x"), time.Hour); !errors.Is(err, adapter.ErrFull) {
			r.Error(err)
		}
		if _, err := r.node(0).RaiseField(r.ctx(), "t", "more", 1, time.Hour); !errors.Is(err, adapter.ErrFull) {
			r.Error(err)
		}
		r.must(r.node(0).SetField(r.ctx(), "t", "5", []byte("y"), time.Hour))
		r.must(r.node(0).SetField(r.ctx(), "t", "5", nil, time.Hour))
		r.must(r.node(0).SetField(r.ctx(), "t", "more", []byte("x"), time.Hour))
		for _, c := range []struct {
			table, field string
			value        []byte
		}{
			{string(make([]byte, adapter.MaxFieldName+1)), "f", nil}, {"t", string(make([]byte, adapter.MaxFieldName+1)), []byte("x")},
			{"t", "f", make([]byte, adapter.MaxFieldValue+1)},
		} {
			if err := r.node(0).SetField(r.ctx(), c.table, c.field, c.value, time.Hour); !errors.Is(err, adapter.ErrFull) {
				r.Errorf("%d, %d, %d bytes: %v", len(c.table), len(c.field), len(c.value), err)
			}
		}
	}},
	{name: "tables survive a restart", needs: restarts, run: func(r *rig) {
		r.must(r.node(0).SetField(r.ctx(), "t", "a", []byte("1"), time.Hour))
		r.must(r.node(0).SetField(r.ctx(), "t", "b", []byte("2"), time.Hour))
		r.must(r.node(0).SetField(r.ctx(), "t", "b", nil, time.Hour))
		r.fleet.(Restarter).Restart(r, 0)
		r.open(0)
		r.fields("t", "map[a:1]")
	}},
	{name: "tables survive a death", needs: kills, run: func(r *rig) {
		r.must(r.node(0).SetField(r.ctx(), "t", "a", []byte("1"), time.Hour))
		if _, err := r.node(0).RaiseField(r.ctx(), "t", "n", 7, time.Hour); err != nil {
			r.Error(err)
		}
		r.fleet.(Killer).Kill(r, 0)
		r.open(0)
		r.until("the table", func() bool {
			got, err := r.node(0).Fields(r.ctx(), "t")
			return err == nil && string(got["a"]) == "1" && string(got["n"]) == "7"
		})
	}},
}

// fields checks a table on every node.
func (r *rig) fields(table, want string) {
	r.Helper()
	for i := range r.nodes {
		got, err := r.node(i).Fields(r.ctx(), table)
		texts := make(map[string]string, len(got))
		for field, value := range got {
			texts[field] = string(value)
		}
		if err != nil || fmt.Sprint(texts) != want {
			r.Errorf("node %d has %q, %v; want %q", i, texts, err, want)
		}
	}
}
