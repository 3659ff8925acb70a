package main

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/overload"
)

// fitMemory has Go keep to the container's memory, which the steps of the
// overload are shares of.
func fitMemory(logger *slog.Logger) {
	limit, fitted, err := overload.FitMemory()
	switch {
	case err != nil:
		logger.Warn("the container's memory limit cannot be read: set GOMEMLIMIT, or no step of the overload will begin for memory", "error", err)
	case fitted:
		logger.Info("GOMEMLIMIT follows the container's limit", "bytes", limit)
	}
}

// watchLoad starts the monitor.
func (p *program) watchLoad() {
	c := &p.config.Overload
	limit := func(memory int, delay time.Duration) overload.Limit {
		return overload.Limit{Memory: float64(memory) / 100, Delay: delay}
	}
	hooks := p.metrics.Overload()
	count := hooks.Changed
	hooks.Changed = func(step overload.Step, sheds bool, r overload.Reading) {
		count(step, sheds, r)
		level, text := slog.LevelWarn, "overloaded: this is refused now"
		if !sheds {
			level, text = slog.LevelInfo, "no longer overloaded: this is done again"
		}
		p.logger.Log(context.Background(), level, text, "step", step.String(), "memory", r.Memory, "delay", r.Delay, "store", r.Store)
	}
	p.load = overload.New(overload.Options{
		Limits: [overload.Steps]overload.Limit{
			overload.Connections: limit(c.ConnectionsMemory, c.ConnectionsDelay),
			overload.Ephemeral:   limit(c.EphemeralMemory, c.EphemeralDelay),
			overload.Reads:       limit(c.ReadsMemory, c.ReadsDelay),
			overload.Writes:      limit(c.WritesMemory, c.WritesDelay),
		},
		Store: p.behind(),
		Hooks: hooks,
	})
}

// behind is overload.Options.Store: nil when the store is this node's own.
func (p *program) behind() func() time.Duration {
	if a, ok := p.adapter.(interface{ Behind() time.Duration }); ok {
		return a.Behind
	}
	return nil
}

// admit is engineio.Options.Admit.
func (p *program) admit() (retryAfter time.Duration, ok bool) {
	if !p.load.Sheds(overload.Connections) {
		return 0, true
	}
	return p.again(), false
}

// steps says which step refuses a class.
var steps = [...]overload.Step{
	chatapi.ClassEphemeral: overload.Ephemeral,
	chatapi.ClassRead:      overload.Reads,
	chatapi.ClassWrite:     overload.Writes,
}

// shed is chatapi.Options.Shed.
func (p *program) shed(class chatapi.Class) (retryAfter time.Duration, shed bool) {
	if !p.load.Sheds(steps[class]) {
		return 0, false
	}
	return p.again(), true
}

// again is when to try again: not all at once.
func (p *program) again() time.Duration {
	return p.config.Overload.RetryAfter + rand.N(p.config.Overload.RetryAfter)
}
