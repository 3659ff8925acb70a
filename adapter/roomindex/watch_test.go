package roomindex_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// Who watches is told of the first and the last socket of each room, a socket's
// own included, and may ask the index back.
func TestWatch(t *testing.T) {
	var told []string
	var q *roomindex.Sequencer
	q = roomindex.NewSequencer(adapter.Position{}, roomindex.Options{Rooms: func(namespace, room string, open bool) {
		n := q.Namespace(namespace)
		told = append(told, fmt.Sprint(room, open, n.Index.RoomLen(room) > 0 || n.Index.Known(room)))
	}})
	defer q.Close()
	q.Open("/", nil)
	x := q.Namespace("/").Index
	a, b := &sock{id: "a"}, &sock{id: "b"}
	steps := []struct {
		name string
		do   func()
		want []string
	}{
		{"add", func() { x.Add(a, nil); x.Add(b, nil) }, []string{"atrue true", "btrue true"}},
		{"first", func() { x.Join(a, []string{"r", "s", "a"}) }, []string{"rtrue true", "strue true"}},
		{"second", func() { x.Join(b, []string{"r"}) }, nil},
		{"again", func() { x.Join(b, []string{"r"}) }, nil},
		{"leaves", func() { x.Leave(a, []string{"r", "s"}) }, []string{"sfalse false"}},
		{"goes", func() { x.Remove(b) }, []string{"rfalse false", "bfalse false"}},
	}
	for _, s := range steps {
		told = nil
		if s.do(); !slices.Equal(told, s.want) {
			t.Errorf("%s: told %v, not %v", s.name, told, s.want)
		}
	}
}

// Without a watch a join and a leave cost what they did.
func TestUnwatchedAlloc(t *testing.T) {
	x := roomindex.NewIndex()
	a, b := &sock{id: "a"}, &sock{id: "b"}
	rooms := []string{"r"}
	x.Add(a, nil)
	x.Add(b, nil)
	x.Join(a, rooms)
	n := testing.AllocsPerRun(100, func() {
		x.Join(b, rooms)
		x.Leave(b, rooms)
	})
	// The lists of rooms joined and left.
	if n != 2 {
		t.Errorf("%v allocations", n)
	}
}
