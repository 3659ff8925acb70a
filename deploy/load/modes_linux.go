package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/antchat/antchat/deploy/load/result"
)

// run does everything and returns the result, also that of a run that was cut
// short: its error says why.
func run(ctx context.Context, o *options) (*result.Run, error) {
	_, x, err := runAs(ctx, o, nil)
	return x, err
}

// runAs is run, of a part of the whole when p is not nil.
func runAs(ctx context.Context, o *options, p *part) (*runner, *result.Run, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, errors.New("-limit is over"))
	defer cancel()
	r, err := newRunner(o, p)
	if err != nil {
		return nil, nil, err
	}
	defer r.swarm.Close()
	err = r.run(ctx)
	r.finish()
	return r, r.result(err), err
}

func (r *runner) run(ctx context.Context) error {
	if err := r.watch.begin(); err != nil {
		return err
	}
	if err := r.connectAll(ctx); err != nil {
		return fmt.Errorf("%d of %d clients connected: %w", r.ready, len(r.members), err)
	}
	if err := r.watch.mark("connected"); err != nil {
		return err
	}
	r.steady = true
	if r.part != nil {
		if err := r.part.meet(ctx, r); err != nil {
			return err
		}
	}
	for _, m := range r.members {
		for _, at := range m.in {
			if !at.track.begun {
				at.track.begin(at.room.head) // all are there before the first message
			}
		}
	}
	var step func(time.Time) time.Time
	switch r.o.Mode {
	case "chat":
		step = r.chat()
	case "idle":
	case "slow":
		if err := r.slowDown(); err != nil {
			return err
		}
		step = r.speak()
	default:
		step = r.speak()
	}
	if err := r.loop(ctx, time.Now().Add(r.o.WarmUp), nil, step); err != nil {
		return err
	}
	if err := r.watch.measure(true); err != nil {
		return err
	}
	var err error
	if r.o.Mode == "storm" {
		err = r.storm(ctx, step)
	} else {
		err = r.loop(ctx, time.Now().Add(r.o.Duration), nil, step)
	}
	if err = errors.Join(err, r.watch.measure(false)); err != nil {
		return err
	}
	// What is still under way, and who is still away.
	return r.loop(ctx, time.Now().Add(r.o.Grace), r.whole(), nil)
}

// whole says whether everybody is back and has got everything. It looks ten
// times a second.
func (r *runner) whole() func() bool {
	var last time.Time
	return func() bool {
		now := time.Now()
		if now.Sub(last) < 100*time.Millisecond {
			return false
		}
		last = now
		for _, m := range r.members {
			if m.slow {
				continue
			}
			if !m.ready || len(m.unacked) > 0 {
				return false
			}
			for _, at := range m.in {
				if !at.track.whole(at.room.head) {
					return false
				}
			}
		}
		return true
	}
}

// speak publishes to the rooms in turn: at a rate, or so that -window messages
// are under way.
func (r *runner) speak() func(time.Time) time.Time {
	start, i := time.Now(), 0
	if r.o.Rate == 0 {
		return func(now time.Time) time.Time {
			for r.underway < r.o.Window {
				in := r.rooms[i%len(r.rooms)]
				if i++; !r.publish(in, in.speaker, time.Now()) || in.joined < 2 && r.words.acked() {
					break
				}
			}
			return now.Add(time.Second)
		}
	}
	return func(now time.Time) time.Time {
		for {
			due := start.Add(time.Duration(float64(i) / r.o.Rate * float64(time.Second)))
			if due.After(now) {
				return due
			}
			// Latencies count from when a message was due, also when this program
			// is late.
			in := r.rooms[i%len(r.rooms)]
			r.publish(in, in.speaker, due)
			i++
		}
	}
}

// slowDown stops a part of the members from reading.
func (r *runner) slowDown() error {
	every := 1 / max(r.o.Slow, 1e-9)
	for n := 1.0; int(n*every) <= len(r.members) && r.o.Slow > 0; n++ {
		m := r.members[int(n*every)-1]
		if m.speaker || m.slow {
			continue
		}
		m.slow = true
		r.lost(m)
		if err := m.Pause(true); err != nil {
			return err
		}
	}
	r.expectEnd = func(m *member) bool { return m.slow || r.o.Faults }
	return nil
}

// storm cuts all but the speakers off at once, or kills a server, and lasts
// until everybody is back; then it goes on for -duration.
func (r *runner) storm(ctx context.Context, step func(time.Time) time.Time) error {
	r.expectEnd = func(*member) bool { return true }
	begun := time.Now()
	r.watch.use.stormBegan = begun.Sub(r.start).Seconds()
	if r.o.Kill != 0 {
		dead := r.o.servers[len(r.o.servers)-1]
		if err := syscall.Kill(r.o.Kill, syscall.SIGKILL); err != nil {
			return fmt.Errorf("kill %d: %w", r.o.Kill, err)
		}
		r.watch.use.gone(r.o.Kill)
		for _, m := range r.members {
			if p := m.Place(); p.Server == dead {
				r.watch.storm.Cut++
				p.Server = r.o.servers[m.Index%(len(r.o.servers)-1)]
				m.Move(p)
			}
		}
	} else {
		for _, m := range r.members {
			if !m.speaker {
				r.watch.storm.Cut++
				r.drop(m)
			}
		}
	}
	if err := r.watch.mark("cut"); err != nil {
		return err
	}
	// A killed server's connections take a moment to be noticed.
	back := func() bool {
		return r.ready == len(r.members) && r.counts.Drops+sum(r.counts.Closed) >= r.watch.storm.Cut
	}
	if err := r.loop(ctx, begun.Add(r.o.Limit), back, step); err != nil {
		return fmt.Errorf("%d of %d clients are back: %w", r.ready, len(r.members), err)
	}
	r.watch.storm.WholeSeconds = time.Since(begun).Seconds()
	if err := r.watch.mark("whole"); err != nil {
		return err
	}
	return r.loop(ctx, time.Now().Add(r.o.Duration), nil, step)
}

func sum(m map[string]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}
