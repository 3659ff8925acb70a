package local

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// build is a commit in the making.
type build struct {
	batch
	keys    map[keyHash]answered
	fresh   map[roomKey]*roomLog
	events  []*roomindex.Event
	answers []answer // parallel to the requests
	refused error    // an append that a bound forbade, if any
}

// stage gives a request its place in the batch, or its answer. The answer of a
// staged append, and of a duplicate of one, is only given after the commit.
func (c *committer) stage(b *build, r *request) answer {
	a := c.a
	if err := a.sessions.check(r.a.Owner); err != nil {
		return answer{err: fmt.Errorf("append: %w", err)}
	}
	keyed := r.a.Key != ""
	if keyed {
		first, known := c.keys.find(r.key)
		if !known {
			first, known = b.keys[r.key]
		}
		if known && first.digest != r.a.Digest {
			return answer{err: fmt.Errorf("append: %w", adapter.ErrConflict)}
		}
		if known {
			return answer{a: first.appended(true)}
		}
		if c.keys.full(len(b.keys)) {
			b.refused = fmt.Errorf("append: %d keys are remembered: %w", c.keys.max, adapter.ErrFull)
			return answer{err: b.refused}
		}
	}
	l, err := c.logFor(b, roomKey{r.a.Namespace, r.a.Room})
	if err != nil {
		b.refused = fmt.Errorf("append: %w", err)
		return answer{err: b.refused}
	}
	h := b.heads[l]
	b.pos++
	h.last++
	h.lastPos, h.lastAt = b.pos, b.at
	if h.firstAt == 0 || h.first == h.last {
		h.firstAt = b.at
	}
	d := &adapter.Delivery{
		Namespace: l.namespace, Event: r.a.Event, Class: adapter.Logged,
		Room: l.room, Epoch: l.epoch, Seq: h.last, Time: time.UnixMilli(b.at).UTC(),
		Sender: r.a.Sender, User: r.a.User, ID: r.a.ID,
		Position: adapter.Position{b.pos}, Pos: b.pos,
	}
	b.appends = append(b.appends, appendedEntry{log: l, entry: entry{d: d, keyed: keyed, key: r.key, digest: r.a.Digest}})
	// The sequencer writes the Position of its own copy.
	ev := &roomindex.Event{
		Delivery: *d, Target: adapter.Target{Namespace: l.namespace, Rooms: []string{l.room}},
	}
	ev.Delivery.Trace = r.a.Trace
	b.events = append(b.events, ev)
	if held := h.last - h.first + 1; held > uint64(a.o.LogMax) {
		c.stageTrim(b, l, h)
	}
	first := answered{log: l, seq: d.Seq, pos: d.Pos, at: b.at, digest: r.a.Digest}
	if keyed {
		b.keys[r.key] = first
	}
	return answer{a: first.appended(false)}
}

func (k answered) appended(duplicate bool) adapter.Appended {
	return adapter.Appended{
		Epoch: k.log.epoch, Seq: k.seq, Pos: k.pos,
		Time: time.UnixMilli(k.at).UTC(), Duplicate: duplicate,
	}
}

// logFor finds a room's log, or begins one, and stages its head.
func (c *committer) logFor(b *build, k roomKey) (*roomLog, error) {
	l := b.fresh[k]
	if l == nil {
		v := c.a.stream.view(k)
		if l = v.log; l != nil && b.heads[l] == nil {
			b.heads[l] = &v.head
		}
	}
	if l != nil {
		return l, nil
	}
	if c.a.stream.countLogs()+len(b.fresh) >= c.a.o.MaxLogRooms {
		return nil, fmt.Errorf("%d rooms have a log: %w", c.a.o.MaxLogRooms, adapter.ErrFull)
	}
	c.nextRoom++
	l = &roomLog{roomKey: k, id: c.nextRoom, epoch: rand.Text()[:12]}
	b.fresh[k] = l
	// A room whose earlier log was forgotten starts a new life; what was
	// trimmed of that one cannot be proven complete.
	b.heads[l] = &head{first: 1, trimmed: c.a.stream.forgottenPos()}
	return l, nil
}

// stageTrim takes entries above the bound out, a step at a time so that a busy
// room does not pay for it with each append.
func (c *committer) stageTrim(b *build, l *roomLog, h *head) {
	step := uint64(min(64, max(1, c.a.o.LogMax/10)))
	held := h.last - h.first + 1
	if over := held - uint64(c.a.o.LogMax); over < step && c.a.o.LogMax >= 10 {
		return
	}
	below := h.last - uint64(c.a.o.LogMax) + 1
	c.addTrim(b, l, h, below)
}

func (c *committer) addTrim(b *build, l *roomLog, h *head, below uint64) {
	if c.a.o.Hooks.Trimmed != nil {
		c.a.o.Hooks.Trimmed(int(below - h.first))
	}
	h.first = below
	for i := range b.trims {
		if b.trims[i].log == l {
			b.trims[i].below = below
			return
		}
	}
	b.trims = append(b.trims, trim{log: l, below: below})
}

// maxSweep bounds the entries that one commit trims for their age.
const maxSweep = 10_000

// stageSweep trims by age, and ends logs that are empty.
func (c *committer) stageSweep(b *build) {
	a := c.a
	old, left := b.at-a.o.LogAge.Milliseconds(), maxSweep
	for _, v := range a.stream.agedLogs(old) {
		h := b.heads[v.log]
		if h == nil {
			h = &v.head
		}
		below := h.first
		err := a.store.scan(v.log, v.first, v.last, false, func(d *adapter.Delivery) bool {
			if d.Time.UnixMilli() >= old || left == 0 {
				h.firstAt = d.Time.UnixMilli()
				return false
			}
			left--
			below = d.Seq + 1
			return true
		})
		if err != nil {
			a.o.Logger.Error("room log cannot be swept", "room", v.log.room, "error", err)
			continue
		}
		b.heads[v.log] = h
		if below > h.first {
			c.addTrim(b, v.log, h, below)
		}
		// Its keys must be forgotten before the log is: they name its epoch.
		if h.first > h.last && h.lastAt < min(old, b.keysFrom) {
			b.dropped = append(b.dropped, v.log)
		}
	}
	if left == 0 {
		c.askSweep() // there is more
	}
}
