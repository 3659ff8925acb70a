package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// reader is a client that only asks.
type reader struct {
	socket *wsSocket
	ready  chan struct{}
}

func (r *reader) connected(bool)                { close(r.ready) }
func (r *reader) disconnected(string)           {}
func (r *reader) event(string, json.RawMessage) {}

func openReader(ctx context.Context, addr string) (*reader, error) {
	r := &reader{ready: make(chan struct{})}
	r.socket = openWS(ctx, addr, "the secret of the reader", 4, false, r)
	select {
	case <-r.ready:
		return r, nil
	case <-time.After(deadline):
		r.socket.close()
		return nil, errors.New("the reader could not connect to " + addr)
	}
}

// ask asks until it is answered: a server that is overloaded may say so for a
// while.
func (r *reader) ask(event string, payload, out any) error {
	for end := time.Now().Add(deadline); ; time.Sleep(300 * time.Millisecond) {
		p, err := r.askOnce(event, payload, out)
		switch {
		case err != nil || p == nil:
			return err
		case !p.Retryable || time.Now().After(end):
			return fmt.Errorf("%s was refused: %s", event, p.Code)
		}
	}
}

func (r *reader) askOnce(event string, payload, out any) (*problem, error) {
	type result struct {
		answer json.RawMessage
		err    error
	}
	got := make(chan result, 1)
	r.socket.emit(event, payload, func(answer json.RawMessage, err error) { got <- result{answer, err} })
	a := <-got
	if a.err != nil {
		return nil, fmt.Errorf("%s: %w", event, a.err)
	}
	if p := problemOf(a.answer); p != nil {
		return p, nil
	}
	return nil, json.Unmarshal(a.answer, out)
}

// log reads a room's whole log.
func (r *reader) log(room string) ([]entry, error) {
	var all []entry
	after, epoch := uint64(0), ""
	for {
		var p page
		payload := map[string]any{"room": room, "after": after, "limit": pageLimit}
		if epoch != "" {
			payload["epoch"] = epoch
		}
		if err := r.ask("history", payload, &p); err != nil {
			return nil, err
		}
		if p.Gap != nil {
			return nil, fmt.Errorf("the log of %s has a gap after %d: %+v", room, after, *p.Gap)
		}
		for _, m := range p.Messages {
			all = append(all, m.entry())
			after, epoch = m.Seq, m.Epoch
		}
		if !p.More || len(p.Messages) == 0 {
			return all, nil
		}
	}
}

// roomLog is what a room's log holds at the end.
type roomLog struct {
	entries []entry
	index   map[place]int
}

// ports cuts the clients' own ports out of errors, so that like can be counted
// with like.
var ports = regexp.MustCompile(`(127\.0\.0\.1):\d+`)

// logs reads every room from every server; they must agree.
func (w *world) logs(ctx context.Context) (map[string]*roomLog, error) {
	all := make(map[string]*roomLog)
	for _, s := range w.servers {
		r, err := openReader(ctx, s.addr)
		if err != nil {
			return nil, err
		}
		defer r.socket.close()
		for _, room := range w.rooms {
			entries, err := r.log(room)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name, err)
			}
			if first := all[room]; first != nil {
				if !slices.Equal(first.entries, entries) {
					return nil, fmt.Errorf("%s and %s hold other logs of %s", w.servers[0].Name, s.Name, room)
				}
				continue
			}
			l := &roomLog{entries: entries, index: make(map[place]int, len(entries))}
			for i, e := range entries {
				l.index[e.place] = i
			}
			all[room] = l
		}
	}
	return all, nil
}

// hasAll says whether the member was shown, or told of, all that is its right.
func (m *member) hasAll(logs map[string]*roomLog) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for room, v := range m.views {
		if v.began && len(m.missing(v, logs[room])) > 0 {
			return false
		}
	}
	return true
}

// missing are the entries of the log that the member has a right to, and has
// neither seen nor been told of. m.mu is held.
func (m *member) missing(v *view, l *roomLog) (missing []entry) {
	for _, e := range l.entries {
		_, shown := v.known[e.place]
		if !shown && !ownID(m.name, e.ID) && m.entitled(v, e.place) && !v.toldOf(e.place, m.ledger) {
			missing = append(missing, e)
		}
	}
	return missing
}

// entitled says whether a message came after the view began.
func (m *member) entitled(v *view, p place) bool {
	if p.Epoch == v.from.Epoch {
		return p.Seq > v.from.Seq
	}
	return m.ledger.met(v.room, p.Epoch) > m.ledger.met(v.room, v.from.Epoch)
}

// judge compares what was acknowledged, what is stored and what everybody was
// shown.
func (w *world) judge(logs map[string]*roomLog, f *figures) {
	l := w.ledger
	f.Tries, f.Acked = l.tries, len(l.order)
	f.Refusals, f.Endings = l.refusals, make(map[string]int)

	// What is stored: each id once, each sender's in the order of writing.
	placeOf := make(map[string]place)
	for room, log := range logs {
		for _, e := range log.entries {
			if first, twice := placeOf[e.ID]; twice {
				f.Repeated++
				l.complain("%s is in the log of %s twice, at %v and %v", e.ID, room, first, e.place)
			}
			placeOf[e.ID] = e.place
		}
	}
	lost := make(map[string][]*acked)
	last := make(map[string]*acked)
	for _, a := range l.order {
		log := logs[a.room]
		i, there := log.index[a.place]
		if !there || log.entries[i].ID != a.ID {
			lost[a.room] = append(lost[a.room], a)
			f.Lost++
			continue
		}
		for _, p := range a.times {
			if p != a.place {
				f.Repeated++
				l.complain("%s was acknowledged as %v and as %v", a.ID, a.place, p)
			}
		}
		who, _, _ := strings.Cut(a.ID, "-")
		key := who + " " + a.room
		if b := last[key]; b != nil && log.index[b.place] > i {
			f.Reordered++
			l.complain("%s stands before %s, which was acknowledged first", a.ID, b.ID)
		}
		last[key] = a
	}
	for _, m := range w.members {
		w.judgeMember(m, logs, lost, f)
	}
	w.times(f)
	f.Broken = append(f.Broken, l.trouble...)
	if l.troubles > len(l.trouble) {
		f.Broken = append(f.Broken, fmt.Sprintf("and %d more", l.troubles-len(l.trouble)))
	}
}

func (w *world) judgeMember(m *member, logs map[string]*roomLog, lost map[string][]*acked, f *figures) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f.Members++
	f.Reconnects += max(m.connections-1, 0)
	f.Fresh += m.fresh
	for reason, n := range m.reasons {
		f.Endings[ports.ReplaceAllString(reason, "$1")] += n
	}
	whole := m.up || w.settings.restless
	for room, v := range m.views {
		log := logs[room]
		f.Repeated += v.repeated
		f.Reordered += v.reordered
		if v.want && v.state != in && !w.settings.restless {
			whole = false
		}
		if missing := m.missing(v, log); len(missing) > 0 {
			whole = false
			f.Missed += len(missing)
			m.ledger.complain("%s (%s) was never shown %d messages of %s, the first %s %v; it ends at %v", m.name, m.kind, len(missing), room, missing[0].ID, missing[0].place, v.cursor)
		}
		// Those that were shown and are gone must have been told of, too.
		var gone []entry
		for _, s := range v.shown {
			if _, there := log.index[s.place]; !there && !v.toldOf(s.place, m.ledger) {
				gone = append(gone, s.entry)
			}
		}
		m.complainUntold(f, v, "was shown", gone)
		gone = nil
		for _, a := range lost[room] {
			_, shown := v.known[a.place] // counted above
			if !shown && m.entitled(v, a.place) && !v.toldOf(a.place, m.ledger) {
				gone = append(gone, a.entry)
			}
		}
		m.complainUntold(f, v, "was not shown", gone)
		for _, s := range v.told {
			f.Told++
			for _, e := range log.entries {
				if m.entitled(v, e.place) && m.falsely(v, s, e) {
					f.False++
					m.ledger.complain("%s (%s) was told that %v of %s is lost (%+v), and it is there; its view began after %v", m.name, m.kind, e.place, room, s, v.from)
				}
			}
		}
		at := -1
		for _, s := range v.shown {
			if i, there := log.index[s.place]; there {
				if i < at {
					f.Reordered++
					m.ledger.complain("%s was shown %s %v of %s in another order than the log's", m.name, s.ID, s.place, room)
				}
				at = max(at, i)
			}
		}
	}
	if !whole {
		f.Unrecovered++
	}
}

// falsely says whether a notice tells of a message that is there. What it names
// must be gone; what it only implies must be gone, or else have been shown.
// m.mu is held.
func (m *member) falsely(v *view, s span, e entry) bool {
	if s.epoch == e.Epoch && s.from <= e.Seq && e.Seq <= s.to {
		return true
	}
	_, shown := v.known[e.place]
	return v.covers(s, e.place, m.ledger) && !shown && !ownID(m.name, e.ID)
}

// complainUntold counts what is gone from the log without a word to the
// member. m.mu is held.
func (m *member) complainUntold(f *figures, v *view, how string, gone []entry) {
	if len(gone) == 0 {
		return
	}
	f.Untold += len(gone)
	first, last := gone[0], gone[len(gone)-1]
	m.ledger.complain("%s (%s) %s %d messages of %s, from %s %v to %s %v, which are gone, and not told so; its view began after %v, ends at %v, and it was told %v",
		m.name, m.kind, how, len(gone), v.room, first.ID, first.place, last.ID, last.place, v.from, v.cursor, v.told)
}

// times works out how long the faults were felt.
func (w *world) times(f *figures) {
	l := w.ledger
	acks := make([]time.Duration, 0, len(l.order))
	type spot struct {
		room string
		place
	}
	at := make(map[spot]time.Duration)
	for _, a := range l.order {
		acks = append(acks, a.at)
		at[spot{a.room, a.place}] = a.at
		f.Wait = max(f.Wait, a.at-a.sent)
	}
	slices.Sort(acks)
	for i := 1; i < len(acks); i++ {
		f.Silence = max(f.Silence, acks[i]-acks[i-1])
	}
	var returns []time.Duration
	defer func() { f.Peak = peak(returns, time.Second) }()
	for _, m := range w.members {
		m.mu.Lock()
		for _, o := range m.down {
			returns = append(returns, o.to)
			f.Outage = max(f.Outage, o.to-o.from)
			for _, heal := range w.heals {
				if o.from <= heal && o.to > heal {
					f.Whole = max(f.Whole, o.to-heal)
				}
			}
		}
		for _, v := range m.views {
			if m.roams {
				break // what it missed while it was out is no matter of faults
			}
			for _, s := range v.shown {
				a, ok := at[spot{v.room, s.place}]
				if !ok {
					continue
				}
				f.Late = max(f.Late, s.at-a)
				for _, heal := range w.heals {
					if a <= heal && s.at > heal {
						f.Whole = max(f.Whole, s.at-heal)
					}
				}
			}
		}
		m.mu.Unlock()
	}
}
