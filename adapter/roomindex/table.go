package roomindex

import "hash/maphash"

// Table finds items by an id that they know themselves. It costs some 17 bytes an
// item, where a map from strings keeps each id's header beside the pointer and
// costs 43. The zero value is not ready; see [NewTable]. Not safe for concurrent
// use. It grows at once: 20,000 items take a millisecond or two.
type Table[T any] struct {
	id    func(*T) string
	seed  maphash.Seed
	slots []*T // a power of two, at most 5/8 full; nil while empty
	count int
}

// NewTable makes a table of items with the ids that id tells. An item's id must
// not change while it is in the table.
func NewTable[T any](id func(*T) string) *Table[T] {
	return &Table[T]{id: id, seed: maphash.MakeSeed()}
}

// home is where an item with that id is put if nobody else is there. Ids may be
// chosen by clients: the seed keeps them from choosing the place.
func (t *Table[T]) home(id string) int {
	return int(maphash.String(t.seed, id) & uint64(len(t.slots)-1))
}

// find returns the place of an id, or where it would be put.
func (t *Table[T]) find(id string) int {
	i := t.home(id)
	for t.slots[i] != nil && t.id(t.slots[i]) != id {
		i = (i + 1) & (len(t.slots) - 1)
	}
	return i
}

// Find returns the item with an id, nil if there is none.
func (t *Table[T]) Find(id string) *T {
	if t.count == 0 {
		return nil
	}
	return t.slots[t.find(id)]
}

// Put puts an item in, in place of one with the same id.
func (t *Table[T]) Put(item *T) {
	const least = 8
	if (t.count+1)*8 > len(t.slots)*5 {
		t.resize(max(least, 2*len(t.slots)))
	}
	i := t.find(t.id(item))
	if t.slots[i] == nil {
		t.count++
	}
	t.slots[i] = item
}

// Delete takes the item with an id out, if there is one.
func (t *Table[T]) Delete(id string) {
	if t.count == 0 {
		return
	}
	i := t.find(id)
	if t.slots[i] == nil {
		return
	}
	t.slots[i] = nil
	t.count--
	if t.count == 0 {
		t.slots = nil
		return
	}
	// Whoever was put behind because of this one moves up.
	last := len(t.slots) - 1
	for j := (i + 1) & last; t.slots[j] != nil; j = (j + 1) & last {
		if home := t.home(t.id(t.slots[j])); (j-home)&last >= (j-i)&last {
			t.slots[i], t.slots[j] = t.slots[j], nil
			i = j
		}
	}
	// What was once full must not hold its memory for ever.
	if t.count*8 < len(t.slots) {
		t.resize(len(t.slots) / 2)
	}
}

func (t *Table[T]) resize(n int) {
	old := t.slots
	t.slots = make([]*T, n)
	for _, item := range old {
		if item != nil {
			t.slots[t.find(t.id(item))] = item
		}
	}
}

// Len is the number of items.
func (t *Table[T]) Len() int { return t.count }

// All yields the items in no order. The table must not change meanwhile.
func (t *Table[T]) All(yield func(*T) bool) {
	for _, item := range t.slots {
		if item != nil && !yield(item) {
			return
		}
	}
}
