package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// The slow ones: of one room a tenth stops reading. The messages are that long so
// that what waits for each of them reaches its bound before anything else ends it.
const (
	slowMembers = 1000
	slowEvery   = 10
	slowSize    = 3000 // bytes
	slowRate    = 20
	slowMost    = time.Minute // until each of them is closed
)

func slow(ctx context.Context, f *fleet, l *load, o options, add func(string, float64)) error {
	s := f.nodes[0]
	places := make([]place, slowMembers)
	for i := range places {
		places[i] = place{port: int32(s.port), slow: i%slowEvery == slowEvery-1}
	}
	l.size = slowSize
	if err := l.connect(ctx, places, 64); err != nil {
		return err
	}
	nothing := func() error { return nil }
	err := l.whole(ctx, fanOut{Rooms: 1, Rate: slowRate, WarmUp: warmUp, Measure: 2 * o.measure}, nothing)
	if err != nil {
		return err
	}
	calm := milliseconds(l.latency, 0.99)
	before, err := s.usage()
	if err != nil {
		return err
	}
	files, err := s.files()
	if err != nil {
		return err
	}
	for _, c := range l.clients {
		if c.place.slow {
			if err := c.Pause(true); err != nil {
				return err
			}
		}
	}
	const all = slowMembers / slowEvery
	most, looked, began, closed := before.RSS, time.Now(), time.Now(), 0
	var failure error
	err = l.whole(ctx, fanOut{Rooms: 1, Rate: slowRate, Measure: slowMost, Until: func() bool {
		if time.Since(looked) > 250*time.Millisecond {
			looked = time.Now()
			u, err := s.usage()
			// Who does not read, does not see the close either.
			left, ferr := s.files()
			most, closed, failure = max(most, u.RSS), files-left, errors.Join(err, ferr)
		}
		return failure != nil || closed >= all
	}}, nothing)
	if err != nil || failure != nil {
		return fmt.Errorf("while some do not read: %w", cmp.Or(err, failure))
	}
	add("slow calm p99", calm)
	add("slow p99", milliseconds(l.latency, 0.99))
	add("slow change", 100*(milliseconds(l.latency, 0.99)-calm)/calm)
	add("slow closed", float64(closed))
	add("slow after", looked.Sub(began).Seconds())
	add("slow kib", float64(most-before.RSS)/1024/all)
	return nil
}
