package main

import (
	"context"
	"fmt"
	"time"
)

// measurement drives one freshly started server and adds its figures.
type measurement func(ctx context.Context, s *server, l *load, o options, add func(key string, value float64)) error

var measurements = map[string]measurement{
	"saturated": func(ctx context.Context, s *server, l *load, o options, add func(string, float64)) error {
		return room(ctx, s, l, fanOut{Window: 8, WarmUp: 2 * time.Second, Measure: o.measure}, "saturated", add)
	},
	"paced": func(ctx context.Context, s *server, l *load, o options, add func(string, float64)) error {
		return room(ctx, s, l, fanOut{Rate: 20, WarmUp: 2 * time.Second, Measure: o.measure}, "paced", add)
	},
	"idle": idle,
}

const roomSize = 1000

// room measures the fan-out in one room.
func room(ctx context.Context, s *server, l *load, o fanOut, name string, add func(string, float64)) error {
	if err := l.connect(ctx, roomSize, 64, "bench"); err != nil {
		return err
	}
	var stretch []usage
	var delivered int
	lost, err := l.run(ctx, o, func() error {
		u, err := s.usage()
		stretch, delivered = append(stretch, u), l.delivered
		return err
	})
	if err != nil {
		return err
	}
	if lost > 0 || l.repeated > 0 {
		return fmt.Errorf("%d deliveries lost, %d repeated", lost, l.repeated)
	}
	millions := float64(delivered) / 1e6
	from, to := stretch[0], stretch[1]
	add(name+" cpu", (to.cpu()-from.cpu()).Seconds()/millions)
	add(name+" user", (to.user-from.user).Seconds()/millions)
	add(name+" rate", float64(delivered)/o.Measure.Seconds())
	add(name+" p50", float64(l.latency.quantile(0.50))/1e6)
	add(name+" p99", float64(l.latency.quantile(0.99))/1e6)
	return nil
}

// idle measures connecting, and what a connection holds when nothing happens.
func idle(ctx context.Context, s *server, l *load, o options, add func(string, float64)) error {
	before, err := s.usage()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := l.connect(ctx, o.idleClients, 128, ""); err != nil {
		return err
	}
	took := time.Since(start)
	after, err := s.usage()
	if err != nil {
		return err
	}
	thousands := float64(o.idleClients) / 1000
	add("connect cpu", (after.cpu()-before.cpu()).Seconds()*1000/thousands)
	add("connect rate", float64(o.idleClients)/took.Seconds())
	// Heartbeats (25 s) fall into this stretch for the first connections.
	if err := l.idle(ctx, 5*time.Second); err != nil {
		return err
	}
	settled, err := s.usage()
	if err != nil {
		return err
	}
	add("idle bytes", float64(settled.rss-before.rss)/float64(o.idleClients))
	return nil
}
