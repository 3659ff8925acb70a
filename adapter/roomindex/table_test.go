package roomindex

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestTable compares with a map, through growing and shrinking.
func TestTable(t *testing.T) {
	type item struct{ id string }
	rapid.Check(t, func(t *rapid.T) {
		table := NewTable(func(i *item) string { return i.id })
		want := map[string]*item{}
		ids := rapid.IntRange(1, 200).Draw(t, "ids")
		for range rapid.IntRange(0, 600).Draw(t, "steps") {
			id := fmt.Sprint(rapid.IntRange(0, ids).Draw(t, "id"))
			if rapid.Bool().Draw(t, "put") {
				i := &item{id}
				table.Put(i)
				want[id] = i
			} else {
				table.Delete(id)
				delete(want, id)
			}
			if table.Len() != len(want) {
				t.Fatalf("%d items, not %d", table.Len(), len(want))
			}
			if len(table.slots) > max(8, 16*len(want)) {
				t.Fatalf("%d places for %d items", len(table.slots), len(want))
			}
		}
		for n := range ids + 1 {
			id := fmt.Sprint(n)
			if got := table.Find(id); got != want[id] {
				t.Fatalf("%s: %v, not %v", id, got, want[id])
			}
		}
		seen := map[string]bool{}
		for i := range table.All {
			if seen[i.id] || want[i.id] != i {
				t.Fatalf("yields %v", i)
			}
			seen[i.id] = true
		}
		if len(seen) != len(want) {
			t.Fatalf("yields %d of %d", len(seen), len(want))
		}
	})
}
