package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/result"
)

// whole is a run that is divided among processes, since one may hold only so
// many files. One goroutine owns it; each part has one that reads what it says.
type whole struct {
	o     *options
	start time.Time
	parts []*running
	told  chan told
	use   usage

	reached   map[string]int // parts that have come to a mark
	done      int
	recent    *hdr.Histogram
	latencies [4]*hdr.Histogram
	result    *result.Run
	print     func(s result.Sample, recent *hdr.Histogram) error
}

// running is a part's process.
type running struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	last result.Sample
	why  string // it was cut short
}

// told is what a part said; over says that it ended, and how.
type told struct {
	part int
	news news
	over bool
	err  error
}

// runParts divides the run among o.Processes processes of this program.
func runParts(ctx context.Context, o *options, args []string) (*result.Run, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, o.Limit, errors.New("-limit is over"))
	defer cancel()
	w := &whole{
		o: o, start: time.Now(), told: make(chan told), reached: map[string]int{}, use: newUsage(o.PIDs), recent: newHistogram(),
		result: &result.Run{Counts: newCounts()},
		print:  func(result.Sample, *hdr.Histogram) error { return nil },
	}
	if !o.Quiet {
		w.print = progress
	}
	for i := range w.latencies {
		w.latencies[i] = newHistogram()
	}
	if err := w.use.mark("begin", 0, 0); err != nil {
		return nil, err
	}
	stop, kill := context.WithCancel(context.WithoutCancel(ctx))
	defer kill()
	var readers sync.WaitGroup
	defer readers.Wait()
	for i := range o.Processes {
		if err := w.begin(stop, i, args, &readers); err != nil {
			kill()
			w.drain()
			return nil, err
		}
	}
	err := w.follow(ctx)
	kill()
	w.drain()
	return w.finish(err), err
}

// share is the i-th of n parts of all.
func share(all, i, n int) int { return all/n + min(max(all%n-i, 0), 1) }

// begin starts a part.
func (w *whole) begin(ctx context.Context, i int, args []string, readers *sync.WaitGroup) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	o, n := w.o, w.o.Processes
	own := []string{
		"-processes", "1", "-clients", strconv.Itoa(share(o.Clients, i, n)), "-rooms", strconv.Itoa(share(o.Rooms, i, n)),
		"-rate", strconv.FormatFloat(o.Rate/float64(n), 'f', -1, 64), "-opening", strconv.Itoa(max(1, share(o.Opening, i, n))),
		"-quiet", "-json", "", "-svg", "", "-pids", "",
	}
	cmd := exec.CommandContext(ctx, self, append(append([]string{}, args...), own...)...)
	cmd.Env = append(os.Environ(), partEnv+"="+strconv.Itoa(i))
	cmd.Stderr = os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	w.parts = append(w.parts, &running{cmd: cmd, in: in})
	readers.Go(func() {
		for d := json.NewDecoder(out); ; {
			var n news
			if err := d.Decode(&n); err != nil {
				w.told <- told{part: i, over: true, err: cmd.Wait()}
				return
			}
			w.told <- told{part: i, news: n}
		}
	})
	return nil
}

// follow takes what the parts say until all have ended.
func (w *whole) follow(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := w.start
	for w.done < len(w.parts) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case t := <-w.told:
			if err := w.take(t); err != nil {
				return err
			}
		case now := <-tick.C:
			if err := w.sample(now, now.Sub(last).Seconds()); err != nil {
				return err
			}
			last = now
		}
	}
	return nil
}

// drain takes what the parts still say until they have ended.
func (w *whole) drain() {
	for w.done < len(w.parts) {
		_ = w.take(<-w.told)
	}
}

// take takes one thing that a part said.
func (w *whole) take(t told) error {
	p := w.parts[t.part]
	switch {
	case t.over:
		w.done++
		if t.err != nil {
			return fmt.Errorf("part %d: %s (%w)", t.part, p.why, t.err)
		}
	case t.news.Sample != nil:
		p.last = *t.news.Sample
		return merge(w.recent, t.news.Recent)
	case t.news.Mark != "":
		return w.reach(t.news.Mark)
	case t.news.Result != nil:
		p.why = t.news.Result.Error
		add(w.result, t.news.Result)
		for i, text := range [][]byte{t.news.Delivery, t.news.Ack, t.news.Connect, t.news.History} {
			if err := merge(w.latencies[i], text); err != nil {
				return err
			}
		}
	}
	return nil
}

// reach takes that a part has come to a mark. The servers are measured from when
// the last part begins its measured time until the first one ends it, and in a
// storm from the first cut until the last part is whole.
func (w *whole) reach(mark string) error {
	w.reached[mark]++
	n, all := w.reached[mark], w.reached[mark] == len(w.parts)
	switch mark {
	case "connected":
		if !all {
			return nil
		}
		for _, p := range w.parts {
			if _, err := io.WriteString(p.in, "go\n"); err != nil {
				return err
			}
		}
	case "from", "whole":
		if !all {
			return nil
		}
	case "cut":
		if n > 1 {
			return nil
		}
		w.use.stormBegan = time.Since(w.start).Seconds()
	case "to":
		if n > 1 {
			return nil
		}
	default:
		return nil
	}
	return w.use.mark(mark, 0, 0)
}

// sample is what all parts together did in the last second.
func (w *whole) sample(now time.Time, span float64) error {
	s := result.Sample{Seconds: now.Sub(w.start).Seconds(), P50: millis(w.recent, 50), P99: millis(w.recent, 99)}
	for _, p := range w.parts {
		s.Ready += p.last.Ready
		s.Connects += p.last.Connects
		s.Sent += p.last.Sent
		s.Deliveries += p.last.Deliveries
	}
	var err error
	if s.CPU, s.RSS, err = w.use.since(span); err != nil {
		return err
	}
	w.result.Samples = append(w.result.Samples, s)
	err = w.print(s, w.recent)
	w.recent.Reset()
	return err
}

// finish puts the whole result together.
func (w *whole) finish(cut error) *result.Run {
	x := w.result
	x.Options, x.Started, x.Machine = &w.o.Options, w.start.UTC().Format(time.RFC3339), machine()
	if cut != nil {
		x.Error = cut.Error()
	}
	x.Delivery, x.Ack, x.Connect, x.History = summarize(w.latencies[0]), summarize(w.latencies[1]), summarize(w.latencies[2]), summarize(w.latencies[3])
	// Each part knows its own span, bytes, and what it used.
	rate, self := x.Rate, x.Self
	w.use.report(x)
	rate.Connects = x.Rate.Connects
	x.Rate, x.Self = rate, self
	return x
}

// add adds a part's result.
func add(x, p *result.Run) {
	addCounts(&x.Counts, p.Counts)
	x.Verdicts.Lost += p.Verdicts.Lost
	x.Verdicts.Repeated += p.Verdicts.Repeated
	x.Verdicts.Reordered += p.Verdicts.Reordered
	x.Rate.Sent += p.Rate.Sent
	x.Rate.Deliveries += p.Rate.Deliveries
	x.Rate.BytesIn += p.Rate.BytesIn
	x.Rate.BytesOut += p.Rate.BytesOut
	x.Storm.Cut += p.Storm.Cut
	x.Storm.WholeSeconds = max(x.Storm.WholeSeconds, p.Storm.WholeSeconds)
	if p.Self != nil {
		if x.Self == nil {
			x.Self = &result.Self{}
		}
		x.Self.CPU += p.Self.CPU
		x.Self.Cores += p.Self.Cores
		x.Self.RSS += p.Self.RSS
	}
}

// addCounts adds a part's counts.
func addCounts(c *result.Counts, p result.Counts) {
	for _, n := range []struct {
		to *int
		of int
	}{
		{&c.Connects, p.Connects}, {&c.Reconnects, p.Reconnects}, {&c.Recovered, p.Recovered}, {&c.Joins, p.Joins}, {&c.Leaves, p.Leaves},
		{&c.Sent, p.Sent}, {&c.Acked, p.Acked}, {&c.Deliveries, p.Deliveries}, {&c.Typing, p.Typing}, {&c.Scrolls, p.Scrolls}, {&c.Drops, p.Drops},
		{&c.Unavailable, p.Unavailable}, {&c.Unexpected, p.Unexpected}, {&c.Unproven, p.Unproven}, {&c.Away, p.Away},
	} {
		*n.to += n.of
	}
	for k, n := range p.Refused {
		c.Refused[k] += n
	}
	for k, n := range p.Closed {
		c.Closed[k] += n
	}
}

func newHistogram() *hdr.Histogram { return hdr.New(1, (10 * time.Minute).Microseconds(), 3) }

// merge adds an encoded histogram to another.
func merge(to *hdr.Histogram, text []byte) error {
	h, err := hdr.Decode(text)
	if err != nil {
		return fmt.Errorf("histogram of a part: %w", err)
	}
	if dropped := to.Merge(h); dropped > 0 {
		return fmt.Errorf("histogram of a part: %d values beyond %s", dropped, 10*time.Minute)
	}
	return nil
}
