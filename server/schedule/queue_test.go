package schedule_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/antchat/antchat/server/schedule"
)

// Whatever is added, moved and removed, the first entry is the earliest of those
// that are in.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q schedule.Queue[int]
		var in, out []*schedule.Entry[int]
		start := time.Now()
		at := func() time.Time { return start.Add(time.Duration(rapid.IntRange(-20, 20).Draw(t, "at")) * time.Second) }
		pick := func(list []*schedule.Entry[int]) int { return rapid.IntRange(0, len(list)-1).Draw(t, "which") }
		leave := func(i int) {
			out = append(out, in[i])
			in = slices.Delete(in, i, i+1)
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				when, value := at(), rapid.Int().Draw(t, "value")
				e := q.Add(when, value)
				if e.Value != value || !e.At().Equal(when) {
					t.Fatalf("added %d at %v, is %d at %v", value, when, e.Value, e.At())
				}
				in = append(in, e)
			},
			"move": func(t *rapid.T) {
				if len(in) > 0 {
					q.Move(in[pick(in)], at())
				}
			},
			"remove": func(t *rapid.T) {
				if len(in) > 0 {
					i := pick(in)
					q.Remove(in[i])
					leave(i)
				}
			},
			"take the first": func(*rapid.T) {
				if first := q.First(); first != nil {
					q.Remove(first)
					leave(slices.Index(in, first))
				}
			},
			"one that is out": func(t *rapid.T) {
				if len(out) > 0 {
					e := out[pick(out)]
					q.Move(e, at())
					q.Remove(e)
				}
			},
			"clear": func(*rapid.T) {
				q.Clear()
				in, out = nil, append(out, in...)
			},
			"": func(t *rapid.T) {
				first := q.First()
				if (first == nil) != (len(in) == 0) {
					t.Fatalf("the first is %v of %d", first, len(in))
				}
				if first == nil {
					return
				}
				if !slices.Contains(in, first) {
					t.Fatal("the first is one that is out")
				}
				earliest := slices.MinFunc(in, func(a, b *schedule.Entry[int]) int { return a.At().Compare(b.At()) })
				if first.At().After(earliest.At()) {
					t.Fatalf("the first is due %v after another", first.At().Sub(earliest.At()))
				}
			},
		})
	})
}

func TestQueueEmptiesInOrder(t *testing.T) {
	var q schedule.Queue[string]
	start := time.Now()
	for name, after := range map[string]time.Duration{"c": 3, "a": 1, "d": 4, "b": 2} {
		q.Add(start.Add(after), name)
	}
	var got []string
	for e := q.First(); e != nil; e = q.First() {
		got = append(got, e.Value)
		q.Remove(e)
	}
	if !slices.IsSortedFunc(got, cmp.Compare[string]) || len(got) != 4 {
		t.Errorf("%q", got)
	}
}
