package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
)

// soak is a long run: the chat mix of deploy/load, which checks what it gets,
// over a fleet with a fault again and again, and a look at what piles up. Half
// of the nodes are hurt; the others live from the beginning to the end, so that
// what they hold at the end is what they have not given back.
type soak struct {
	duration time.Duration // of the load; 0 for no soak
	every    time.Duration // from one fault to the next
	clients  int
	rate     float64 // actions a second
	// tail is what a fault and coming back from it may take before the load ends.
	tail   time.Duration
	faults []string // that are drawn from
}

const (
	soakNodes = 4
	soakTail  = 40 * time.Second
	// soakJudged is the shortest run whose slopes are judged: in a shorter one
	// what grows is what warms up.
	soakJudged = 30 * time.Minute
	// soakGrowth is what may be added in an hour, as a share of what there is.
	soakGrowth = 0.10
)

// soakEnv makes what is kept for some time short, so that most of a run is the
// steady state: nothing in Redis waits longer than 4 dedupe windows.
var soakEnv = map[string]string{"RECOVERY_WINDOW": "30s", "DEDUPE_WINDOW": "1m", "LOG_MAX_MESSAGES": "500"}

// soakFaults are those that lose nothing with appendfsync always, that a client
// without a heartbeat timer of its own notices (deploy/load has none), and that
// leave the fleet as it was.
var soakFaults = []string{
	"node-kill", "node-kill-long", "node-term", "node-pause", "node-pause-long", "client-switch", "client-cut", "client-stall", "client-slow",
	"redis-restart", "redis-kill", "redis-pause", "starve", "subscriber-kill", "connection-kill", "link-cut", "link-cut-long", "link-slow", "link-half", "link-stall",
}

func (s *soak) check() error {
	switch {
	case s.duration == 0:
		return nil
	case s.duration < 2*time.Minute || s.duration > 2*time.Hour:
		return errors.New("-soak: allowed is 2m to 2h")
	case s.every < 20*time.Second || s.every > s.duration:
		return errors.New("-every: allowed is 20s to the duration of the soak")
	case s.clients < 10 || s.clients > 5000:
		return errors.New("-clients: allowed is 10 to 5000")
	case !(s.rate >= 1 && s.rate <= 10_000):
		return errors.New("-rate: allowed is 1 to 10000")
	}
	return nil
}

// soakAll runs it and judges. An error is errBroken, or says why there is
// nothing to judge.
func (o *options) soakAll(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "antchat-soak-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	load := filepath.Join(dir, "load")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", load, "github.com/antchat/antchat/deploy/load").CombinedOutput(); err != nil {
		return fmt.Errorf("build the load tool: %w\n%s", err, out)
	}

	s := o.settings
	s.form, s.nodes, s.env, s.watched = forms[1], soakNodes, soakEnv, true
	inner, cancel := context.WithCancel(ctx)
	w := newWorld(inner, cancel, &s, newShared(s.seed))
	w.spared = soakNodes / 2
	defer func() {
		said := w.serverLogs()
		if ended := w.end(); ended != nil {
			err = errors.Join(err, errBroken, ended)
		}
		if err != nil {
			err = errors.Join(err, saveLogs(o.out, said))
		}
	}()
	if err := w.open(ctx); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(o.out, "soak: seed %d, %v, %d clients, %g actions a second, %d nodes, a fault every %v; %d nodes are spared\n",
		o.seed, o.soak.duration, o.soak.clients, o.soak.rate, soakNodes, o.soak.every, w.spared)

	report := filepath.Join(dir, "load.json")
	cmd := exec.CommandContext(inner, load, "-mode", "chat", "-vocabulary", "antchat", "-faults", "-quiet", "-json", report,
		"-targets", "http://"+w.front.addr(), "-revision", "mixed", "-clients", strconv.Itoa(o.soak.clients),
		"-rate", strconv.FormatFloat(o.soak.rate, 'f', -1, 64), "-warm-up", "0s", "-duration", o.soak.duration.String(),
		"-limit", (o.soak.duration + 5*time.Minute).String(), "-grace", "1m")
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = o.out, os.Stderr, child.DiesWithParent()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the load tool: %w", err)
	}
	var failed error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		failed = cmd.Wait()
	}()

	samples, err := w.endure(ctx, &o.soak, ended)
	if err != nil {
		cancel()
		<-ended
		return err
	}
	<-ended
	broken := false
	if failed != nil {
		broken = true
		_, _ = fmt.Fprintf(o.out, "BROKEN the load tool: %v\n", failed)
	}
	if err := o.writeSoak(samples, report); err != nil {
		return err
	}
	trends := trendsOf(samples)
	if err := errors.Join(writeTrends(o.out, trends), writeKeyTrends(o.out, keyTrendsOf(samples))); err != nil {
		return err
	}
	if o.soak.duration < soakJudged {
		_, _ = fmt.Fprintf(o.out, "shorter than %v: slopes are told, not judged\n", soakJudged)
	} else {
		for _, t := range trends {
			if t.grows() {
				broken = true
				_, _ = fmt.Fprintf(o.out, "BROKEN %s grows\n", t.What)
			}
		}
	}
	if broken {
		return errBroken
	}
	return nil
}

// endure hurts the fleet and samples it for as long as the load lasts.
func (w *world) endure(ctx context.Context, s *soak, ended <-chan struct{}) (samples []soakSample, err error) {
	began := time.Now()
	hurting, stop := context.WithCancel(ctx)
	var failed error
	over := make(chan struct{})
	go func() {
		defer close(over)
		failed = w.hurt(hurting, s, began)
	}()
	defer func() {
		stop()
		<-over
		if failed != nil && ctx.Err() == nil {
			err = errors.Join(err, failed)
		}
	}()
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	// The load tool counts from when all are connected, so it ends later.
	end := time.After(s.duration - time.Since(began))
	hurt := over
	var weighed time.Time
	for {
		select {
		case <-end:
			return samples, nil
		case <-ctx.Done():
			return samples, ctx.Err()
		case <-ended:
			return samples, fmt.Errorf("the load tool ended after %v", time.Since(began).Round(time.Second))
		case <-hurt:
			if failed != nil {
				return samples, nil
			}
			hurt = nil // the last fault is over
		case <-tick.C:
			sample, err := w.look(ctx, time.Since(weighed) >= keysEvery)
			if err != nil {
				return samples, err
			}
			if sample != nil {
				sample.Seconds = time.Since(began).Seconds()
				if sample.Classes != nil {
					weighed = time.Now()
				}
				samples = append(samples, *sample)
			}
		}
	}
}

// hurt draws one fault after another.
func (w *world) hurt(ctx context.Context, s *soak, began time.Time) error {
	for i := 1; ; i++ {
		due := time.Duration(i) * s.every
		if due > s.duration-s.tail {
			return nil
		}
		if err := pause(ctx, due-time.Since(began)); err != nil {
			return err
		}
		f := find(faults, s.faults[w.random.IntN(len(s.faults))])
		_, _ = fmt.Fprintf(w.settings.out, "%7.0f s  %s: %s\n", time.Since(began).Seconds(), f.name, f.about)
		if err := f.strike(ctx, w); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
}
