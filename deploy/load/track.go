package main

import "github.com/antchat/antchat/deploy/load/result"

// track follows the numbers of one room as one member sees them: each once, and
// ascending by one. Those of its own messages come as acknowledgements, which
// have no order among what others said.
type track struct {
	begun   bool
	last    uint64
	missing map[uint64]struct{} // below last; nil almost always
	mine    map[uint64]struct{} // above last: own messages
}

// begin takes number n as seen already.
func (t *track) begin(n uint64) {
	t.begun, t.last, t.missing = true, n, nil
	for m := range t.mine {
		if m <= n {
			delete(t.mine, m)
		}
	}
}

// pass goes over own messages that are next.
func (t *track) pass() {
	for len(t.mine) > 0 {
		if _, own := t.mine[t.last+1]; !own {
			return
		}
		t.last++
		delete(t.mine, t.last)
	}
}

// maxMissing bounds what is remembered; beyond it the rest counts as lost at
// once.
const maxMissing = 10_000

// got takes number n, and says whether it is seen for the first time.
func (t *track) got(n uint64, v *result.Verdicts) bool {
	if !t.begun {
		t.begin(n)
		return true
	}
	t.pass()
	switch {
	case n == t.last+1:
		t.last = n
	case n > t.last:
		for m := t.last + 1; m < n; m++ {
			if _, own := t.mine[m]; own {
				delete(t.mine, m)
				continue
			}
			if len(t.missing) >= maxMissing {
				v.Lost++
				continue
			}
			if t.missing == nil {
				t.missing = make(map[uint64]struct{})
			}
			t.missing[m] = struct{}{}
		}
		t.last = n
	default:
		if _, late := t.missing[n]; !late {
			v.Repeated++
			return false
		}
		delete(t.missing, n)
		v.Reordered++
	}
	return true
}

// own takes the number of a message that the member sent itself.
func (t *track) own(n uint64) {
	if t.begun && n <= t.last {
		delete(t.missing, n) // those of others came first
		return
	}
	if t.mine == nil {
		t.mine = make(map[uint64]struct{})
	}
	t.mine[n] = struct{}{}
}

// listed takes numbers that the member asked for, ascending, its own among
// them.
func (t *track) listed(n uint64, v *result.Verdicts) {
	if _, own := t.mine[n]; own {
		return
	}
	t.pass()
	if n > t.last {
		t.got(n, v)
		return
	}
	delete(t.missing, n)
}

// whole says whether all came, up to the room's last number.
func (t *track) whole(head uint64) bool {
	if !t.begun {
		return true
	}
	t.pass()
	return len(t.missing) == 0 && t.last >= head
}

// end counts what never came, up to the room's last number.
func (t *track) end(head uint64, v *result.Verdicts) {
	if !t.begun {
		return
	}
	for n := t.last + 1; n <= head; n++ {
		if _, own := t.mine[n]; !own {
			v.Lost++
		}
	}
	v.Lost += len(t.missing)
}
