package redis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// stand is where a room stands for this node's members.
type stand struct {
	epoch string
	seq   uint64
	// marks say since which seq each of the latest epochs was shown, so that
	// what the store has lost can be told from what it still has.
	marks []epochMark
}

type epochMark struct {
	epoch string
	from  uint64
}

const maxMarks = 8

// show notes that an entry was shown.
func (s *stand) show(epoch string, seq uint64) {
	if n := len(s.marks); n == 0 || s.marks[n-1].epoch != epoch {
		if n == maxMarks {
			s.marks = s.marks[1:]
		}
		s.marks = append(s.marks[:len(s.marks):len(s.marks)], epochMark{epoch, seq})
	}
	s.epoch, s.seq = epoch, seq
}

// begin sets where a room stands at its first cut.
func begin(epoch string, seq uint64) stand {
	s := stand{}
	if epoch != "" {
		s.show(epoch, seq)
	}
	return s
}

// text is the marks as the repair's script reads them.
func (s *stand) text() string {
	b := strings.Builder{}
	for _, m := range s.marks {
		fmt.Fprintf(&b, "%s %d;", m.epoch, m.from)
	}
	return b.String()
}

// forget takes back what was shown after cut, and says which ranges that were.
func (s *stand) forget(cut uint64, epoch string) (lost []lostRange) {
	to := s.seq
	for i := len(s.marks) - 1; i >= 0 && to > cut; i-- {
		m := s.marks[i]
		from := max(m.from, cut+1)
		if i == 0 {
			from = cut + 1
		}
		if from <= to {
			lost = append(lost, lostRange{m.epoch, from, to})
			to = from - 1
		}
		if m.from > cut {
			s.marks = s.marks[:i]
		}
	}
	slices.Reverse(lost)
	s.seq, s.epoch = cut, epoch
	if epoch != "" {
		s.show(epoch, cut)
	}
	return lost
}

// logEntry is an entry as it stands in a room's stream.
type logEntry struct {
	epoch    string
	seq, pos uint64
	at       int64
	body     []byte
}

// lostRange is a range of a room's log that is gone for good.
type lostRange struct {
	epoch    string
	from, to uint64
}

func (r lostRange) covers(x lostRange) bool {
	return r.epoch == x.epoch && r.from <= x.from && x.to <= r.to
}

// loss is a lostRange as the room keeps it: it was noticed at a position.
type loss struct {
	lostRange
	pos uint64
}

// readLosses reads [[epoch, from, to, pos] …], in the order of positions.
func readLosses(list reply) ([]loss, error) {
	out := make([]loss, 0, len(list))
	for _, x := range list {
		v, _ := x.([]any)
		r := reply(v)
		g := loss{lostRange{r.text(0), r.number(1), r.number(2)}, r.number(3)}
		if g.epoch == "" || g.from == 0 || g.to < g.from || g.pos == 0 {
			return nil, errWire
		}
		out = append(out, g)
	}
	slices.SortFunc(out, func(x, y loss) int { return cmp.Compare(x.pos, y.pos) })
	return out, nil
}

// reconcile compares what the members of a room were shown with what its log
// holds: cut is the last of the seqs shown that the log still holds as shown,
// cutEpoch its epoch if it is still there, entries are those after cut, up to
// the repair's marker. It says which ranges were lost, which ones were trimmed
// away before the members could be shown them, and where the room stands then
// (DELIVERY, "Epoch").
func reconcile(was stand, headEpoch string, cut uint64, cutEpoch string, entries []logEntry) (lost, trimmed []lostRange, now stand) {
	now = was
	if was.seq > cut {
		// Shown, but the log has other entries at those seqs, or none.
		lost = now.forget(cut, cutEpoch)
	}
	if headEpoch == "" {
		return lost, nil, stand{}
	}
	for _, e := range entries {
		if e.seq > now.seq+1 {
			epoch := now.epoch
			if epoch == "" {
				epoch = e.epoch
			}
			trimmed = append(trimmed, lostRange{epoch, now.seq + 1, e.seq - 1})
		}
		now.show(e.epoch, e.seq)
	}
	return lost, trimmed, now
}
