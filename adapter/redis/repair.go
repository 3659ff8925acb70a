package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/roomindex"
)

// repair brings the room states of a new link to its marker and delivers what
// was missed, merged by position over all rooms (DELIVERY, "Repair"). It runs
// on a goroutine of its own while the reader buffers. When more came meanwhile than
// the buffer holds, what was read counts all the same, and another round begins there.
func (l *lane) repair(ctx context.Context, gen uint64) {
	begun := time.Now()
	r := repair{l: l, gen: gen}
	for again := true; again; {
		var err error
		if again, err = r.round(ctx); err != nil {
			if ctx.Err() == nil {
				l.a.note(fmt.Sprintf("repair lane %d", l.n), err)
			}
			l.lose(gen, l.a.conn.redact(err).Error())
			return
		}
	}
	if h := l.a.o.Hooks.Repaired; h != nil {
		h(l.n, time.Since(begun), r.delivered)
	}
}

// repair is what the rounds of one link's repair share.
type repair struct {
	l         *lane
	gen       uint64
	newEra    bool
	delivered int // events
}

// round repairs up to a marker. It is true when there must be another.
func (r *repair) round(ctx context.Context) (again bool, err error) {
	l := r.l
	// What is read is not bounded by the sequencer's queue.
	if err := l.a.seq.Admit(ctx); err != nil {
		return false, err
	}
	if err := l.checkSetup(ctx); err != nil {
		return false, err
	}
	id := l.a.nextID()
	l.mu.Lock()
	if l.gen != r.gen || l.state != linkSyncing {
		l.mu.Unlock()
		return false, errLink
	}
	l.repairID = id
	l.mu.Unlock()
	c, start, err := l.mark(ctx, l.own(upkeep), id)
	if err != nil {
		return false, err
	}

	// Rooms without members yet stay as they are until their first cut.
	var items []repairItem
	var streams []repairItem
	l.mu.Lock()
	low := l.pos
	whole := l.start != start
	r.newEra = r.newEra || l.start != 0 && whole
	for name, w := range l.rooms {
		if w.set {
			items = append(items, repairItem{kind: "s", name: name, w: w, was: w.stand})
			streams = append(streams, repairItem{kind: "v", name: "v:" + name})
		}
	}
	l.mu.Unlock()
	items = append(items, streams...)
	if low > 0 { // else the link is the node's first, and nobody is here yet
		for _, name := range l.a.ownStreams(l) {
			items = append(items, repairItem{kind: "v", name: name})
		}
	}

	var events []*roomindex.Event
	type outcome struct {
		w             *watched
		now           stand
		lost, trimmed []lostRange
		noticed       []loss // by others, since the link was lost
	}
	var outcomes []outcome
	seen := make(map[uint64]bool)
	err = l.findMissed(ctx, items, low, whole, func(x repairItem, v reply) error {
		if x.kind == "v" {
			for _, e := range v.list(0) {
				pos, ev, err := l.eventOfKept(e)
				if err != nil {
					l.a.drop("malformed entry")
					continue
				}
				if pos <= c && !seen[pos] {
					seen[pos] = true
					events = append(events, ev)
				}
			}
			return nil
		}
		entries, err := readEntries(v.list(4), c)
		if err != nil {
			return err
		}
		o := outcome{w: x.w}
		o.lost, o.trimmed, o.now = reconcile(x.was, v.text(0), v.number(2), v.text(3), entries)
		if o.noticed, err = readLosses(v.list(5)); err != nil {
			return err
		}
		for _, e := range entries {
			ev, err := l.eventOfEntry(x.w.namespace, x.w.room, &e)
			if err != nil {
				l.a.drop("malformed entry")
				continue
			}
			events = append(events, ev)
		}
		outcomes = append(outcomes, o)
		return nil
	})
	if err != nil {
		return false, err
	}
	if err := l.fenceStale(ctx); err != nil {
		return false, err
	}
	slices.SortFunc(events, func(x, y *roomindex.Event) int { return cmp.Compare(x.Delivery.Pos, y.Delivery.Pos) })

	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != r.gen || l.state != linkBuffering {
		return false, errLink
	}
	type notice struct {
		w *watched
		loss
	}
	var notices []notice
	for _, o := range outcomes {
		o.w.stand = o.now
		// Before the room's new messages; then the room itself is told.
		for _, r := range o.lost {
			l.a.tellGap(o.w, r)
			o.w.know(r)
			if len(o.w.told) < maxLosses { // beyond it, somebody hears it twice
				o.w.told = append(o.w.told, r)
			}
		}
		for _, r := range o.trimmed {
			l.a.tellGap(o.w, r)
		}
		for _, g := range o.noticed {
			if g.pos <= c {
				notices = append(notices, notice{o.w, g})
			}
		}
	}
	slices.SortFunc(notices, func(x, y notice) int { return cmp.Compare(x.pos, y.pos) })
	for _, ev := range events {
		for len(notices) > 0 && notices[0].pos < ev.Delivery.Pos {
			l.noticed(notices[0].w, notices[0].loss)
			notices = notices[1:]
		}
		l.deliver(ev)
	}
	for _, n := range notices {
		l.noticed(n.w, n.loss)
	}
	l.pos = max(l.pos, c)
	l.start = start
	l.push(func(q *roomindex.Sequencer) { q.Advance(l.n, c) })
	r.delivered += len(events)
	if l.overrun {
		// As if this link had been whole, and lost at c.
		l.state, l.repairID, l.overrun = linkSyncing, "", false
		return true, nil
	}
	l.state, l.reason = linkLive, ""
	buffer := l.buffer
	l.buffer, l.bufferBytes = nil, 0
	for i := range buffer {
		if l.state != linkLive {
			return false, nil
		}
		l.handle(buffer[i].channel, &buffer[i].parcel)
	}
	if l.state != linkLive {
		return false, nil
	}
	l.a.spawn(func() {
		if err := l.inspect(l.a.ctx); err != nil {
			l.a.note("inspect", err)
		}
	})
	if r.newEra {
		l.a.spawn(l.rewrite)
	}
	l.repaired.Add(1)
	close(l.live)
	return false, nil
}

// maxBehind is how many Timeouts a marker is waited for on a link that is behind.
const maxBehind = 12

// mark publishes a marker on the node's channel and waits until the link has
// brought it.
func (l *lane) mark(ctx context.Context, send sender, id string) (pos, start uint64, err error) {
	ch := make(chan uint64, 1)
	l.mu.Lock()
	l.marks[id] = ch
	low, gen := l.pos, l.gen
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.marks, id)
		l.mu.Unlock()
	}()
	life := l.a.incarnation()
	v, err := l.evalBy(ctx, send, true, lua().marker, l.a.node, id, low)
	if err == nil {
		var r reply
		if r, err = asReply(v); err == nil {
			if r.text(0) == "dead" {
				l.a.reaped(life)
				err = adapter.ErrFenced
			}
			pos, start = r.number(1), r.number(2)
		}
	}
	if err != nil {
		return 0, 0, err
	}
	for end := time.Now().Add(maxBehind * l.a.o.Timeout); ; {
		heard := l.heard.Load()
		select {
		case got, ok := <-ch:
			if !ok {
				return 0, 0, errLink
			}
			// Sent twice, the first marker counts.
			return got, start, nil
		case <-time.After(l.a.o.Timeout):
			l.mu.Lock()
			lost := l.gen != gen || l.state == linkDown
			l.mu.Unlock()
			if lost {
				return 0, 0, errLink
			}
			// A link that is behind brings it yet.
			if l.heard.Load() == heard && !l.inHand.Load() || time.Now().After(end) {
				return 0, 0, errors.New("the marker did not come")
			}
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		}
	}
}

// repairItem is a room, or a stream of kept emits, that may have brought something.
type repairItem struct {
	kind string // "s": a room's log, "v": a stream
	name string
	w    *watched // of a room
	was  stand
}

const (
	// repairItems is how many rooms and streams one call looks at.
	repairItems = 500
	// repairEntries is how many entries end a call early, so that nobody else waits
	// for Redis long.
	repairEntries = 2000
)

// findMissed calls f with those of some rooms and streams in which something has
// happened above a position, and what that was. whole: the rooms' heads say nothing,
// since the store may have gone back.
func (l *lane) findMissed(ctx context.Context, items []repairItem, low uint64, whole bool, f func(x repairItem, found reply) error) error {
	all := "0"
	if whole {
		all = "1"
	}
	for len(items) > 0 {
		part := items[:min(repairItems, len(items))]
		args := []any{len(part), low, all, repairEntries}
		for i := range part {
			x := &part[i]
			args = append(args, x.kind, x.name, x.was.text(), x.was.seq)
		}
		v, err := l.evalBy(ctx, l.own(upkeep), true, lua().repair, args...)
		if err != nil {
			return err
		}
		r, err := asReply(v)
		if err != nil {
			return err
		}
		done := int(min(r.number(0), uint64(len(part))))
		if done == 0 || len(r)%2 != 1 {
			return errWire
		}
		for i := 1; i < len(r); i += 2 {
			at := r.number(i)
			if at >= uint64(done) {
				return errWire
			}
			if err := f(part[at], r.list(i+1)); err != nil {
				return err
			}
		}
		items = items[done:]
	}
	return nil
}

// readEntries reads entries of a room's stream, up to a position.
func readEntries(list reply, upTo uint64) ([]logEntry, error) {
	out := make([]logEntry, 0, len(list))
	for _, x := range list {
		e, err := readLogEntry(x)
		if err != nil {
			return nil, err
		}
		if e.pos <= upTo {
			out = append(out, e)
		}
	}
	return out, nil
}

// readLogEntry reads [id, [e, epoch, t, time, b, body]].
func readLogEntry(x any) (e logEntry, err error) {
	pair, _ := x.([]any)
	if len(pair) != 2 {
		return e, errWire
	}
	if e.seq, e.pos, err = entryID(asText(pair[0])); err != nil {
		return e, err
	}
	fields, _ := pair[1].([]any)
	if len(fields) != 6 {
		return e, errWire
	}
	e.epoch = asText(fields[1])
	e.at = int64(reply(fields).number(3))
	e.body = []byte(asText(fields[5]))
	return e, nil
}

func (l *lane) deliveryOf(namespace, room string, e *logEntry) (*adapter.Delivery, error) {
	d := &adapter.Delivery{
		Namespace: namespace, Class: adapter.Logged, Room: room, Epoch: e.epoch, Seq: e.seq,
		Time: time.UnixMilli(e.at), Lane: l.n, Pos: e.pos,
	}
	d.Position[l.n] = e.pos
	return d, readEntry(e.body, d)
}

func (l *lane) eventOfEntry(namespace, room string, e *logEntry) (*roomindex.Event, error) {
	d, err := l.deliveryOf(namespace, room, e)
	if err != nil {
		return nil, err
	}
	return &roomindex.Event{Delivery: *d, Target: adapter.Target{Namespace: namespace, Rooms: []string{room}}}, nil
}

// readKept reads [id, [b, body]] of a stream of kept emits.
func readKept(x any) (pos uint64, e *emission, err error) {
	pair, _ := x.([]any)
	if len(pair) != 2 {
		return 0, nil, errWire
	}
	if pos, _, err = entryID(asText(pair[0])); err != nil {
		return 0, nil, err
	}
	fields, _ := pair[1].([]any)
	if len(fields) != 2 {
		return 0, nil, errWire
	}
	e, err = readEmission([]byte(asText(fields[1])))
	return pos, e, err
}

func (l *lane) eventOfKept(x any) (uint64, *roomindex.Event, error) {
	pos, e, err := readKept(x)
	if err != nil {
		return 0, nil, err
	}
	return pos, l.a.eventOf(l, e, adapter.Recoverable, pos), nil
}

// ownStreams are the streams of kept emits that are for this node whatever its
// rooms: those to its sockets' ids, and in lane 0 those to whole namespaces.
func (a *Adapter) ownStreams(l *lane) []string {
	var out []string
	for _, ns := range a.openNamespaces() {
		if l.n == 0 {
			out = append(out, "w:"+ns)
		}
		n := a.seq.Namespace(ns)
		if n == nil {
			continue
		}
		for _, f := range n.Index.Find(&adapter.Target{Namespace: ns}) {
			if id := f.Socket.ID(); a.laneOf(ns, id) == l {
				out = append(out, "v:"+fullName(ns, id))
			}
		}
	}
	return out
}

func (a *Adapter) tellGap(w *watched, r lostRange) {
	g := roomindex.Gap{Namespace: w.namespace, Room: w.room, Epoch: r.epoch, From: r.from, To: r.to}
	a.seq.Push(&g)
	if h := a.o.Hooks.Gap; h != nil {
		h(r.to - r.from + 1)
	}
	a.o.Logger.Warn("messages of a room are lost for good", "room", w.room, "namespace", w.namespace, "from", r.from, "to", r.to)
}

// audit looks at the heads of all subscribed rooms: none may be ahead of what
// the link has brought (DELIVERY, "Link").
func (l *lane) audit(ctx context.Context) error {
	l.mu.Lock()
	if l.state != linkLive {
		l.mu.Unlock()
		return nil
	}
	gen := l.gen
	var names []string
	for name, w := range l.rooms {
		if w.set {
			names = append(names, name)
		}
	}
	l.mu.Unlock()
	type head struct {
		name  string
		epoch string
		seq   uint64
	}
	var heads []head
	for part := range slices.Chunk(names, 1000) {
		args := []any{"named"}
		for _, name := range part {
			args = append(args, name)
		}
		v, err := l.evalBy(ctx, l.own(upkeep), true, lua().heads, args...)
		if err != nil {
			return err
		}
		r, err := asReply(v)
		if err != nil || len(r) != 2*len(part) {
			return errWire
		}
		for i, name := range part {
			heads = append(heads, head{name, r.text(2 * i), r.number(2*i + 1)})
		}
	}
	// Once this marker is here, everything up to those heads must be too.
	if _, _, err := l.mark(ctx, l.own(upkeep), l.a.nextID()); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gen != gen || l.state != linkLive {
		return nil
	}
	for _, h := range heads {
		w := l.rooms[h.name]
		if w == nil || !w.set {
			continue
		}
		if w.seq < h.seq || w.seq == h.seq && w.epoch != h.epoch {
			l.loseLocked("an audit found a room's head ahead of the link")
			return nil
		}
	}
	return nil
}
