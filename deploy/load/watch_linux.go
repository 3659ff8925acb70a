package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/antchat/antchat/deploy/load/process"
)

// watch samples the run once a second, and marks what the servers had used when
// the measured time began and ended.
type watch struct {
	r          *runner
	next, last time.Time
	deliveries uint64 // up to the last sample
	pids       []int  // those that live
	was        map[int]process.Usage
	marks      map[string]mark
	storm      float64 // when it began, in seconds of the run
	result     *result
}

// mark is what had been used at a moment.
type mark struct {
	at       time.Time
	usage    map[int]process.Usage
	self     process.Usage
	sent     uint64 // bytes
	received uint64
}

func newWatch(r *runner) *watch {
	return &watch{r: r, pids: slices.Clone(r.o.PIDs), was: map[int]process.Usage{}, marks: map[string]mark{}, result: &result{}}
}

func (w *watch) mark(name string) error {
	m := mark{at: time.Now(), usage: map[int]process.Usage{}, sent: w.r.swarm.Sent, received: w.r.swarm.Received}
	var err error
	if m.self, err = process.Read(os.Getpid()); err != nil {
		return err
	}
	for _, pid := range w.pids {
		if m.usage[pid], err = process.Read(pid); err != nil {
			return fmt.Errorf("-pids: %w", err)
		}
	}
	w.marks[name] = m
	return nil
}

func (w *watch) begin() error {
	w.last = time.Now()
	w.next = w.last.Add(time.Second)
	if err := w.mark("begin"); err != nil {
		return err
	}
	w.was = maps.Clone(w.marks["begin"].usage)
	return nil
}

func (w *watch) connected() error { return w.mark("connected") }

// measure begins and ends the measured time.
func (w *watch) measure(on bool) error {
	w.r.measuring = on
	if on {
		return w.mark("from")
	}
	return w.mark("to")
}

// gone takes a server out that was killed.
func (w *watch) gone(pid int) {
	w.pids = slices.DeleteFunc(w.pids, func(p int) bool { return p == pid })
}

// sample adds a sample when its time has come.
func (w *watch) sample(now time.Time) error {
	if now.Before(w.next) {
		return nil
	}
	r, span := w.r, now.Sub(w.last).Seconds()
	w.last, w.next = now, w.next.Add(time.Second)
	if w.next.Before(now) {
		w.next = now.Add(time.Second)
	}
	s := sample{
		Seconds: now.Sub(r.start).Seconds(), Ready: r.ready,
		Connects:   float64(r.counts.connectsTick) / span,
		Sent:       float64(r.counts.sentTick) / span,
		Deliveries: float64(r.counts.deliveriesTick) / span,
		P50:        millis(r.recent, 50), P99: millis(r.recent, 99),
	}
	for _, pid := range slices.Clone(w.pids) {
		u, err := process.Read(pid)
		if err != nil {
			return fmt.Errorf("a server has ended: %w", err)
		}
		s.CPU += (u.CPU - w.was[pid].CPU).Seconds() / span
		s.RSS += u.RSS
		w.was[pid] = u
	}
	w.deliveries += uint64(r.counts.deliveriesTick)
	r.counts.connectsTick, r.counts.sentTick, r.counts.deliveriesTick = 0, 0, 0
	r.recent.Reset()
	w.result.Samples = append(w.result.Samples, s)
	if !r.o.Quiet {
		line := fmt.Sprintf("%6.1f s  %d ready", s.Seconds, s.Ready)
		if s.Connects > 0 {
			line += fmt.Sprintf("  %.0f connects/s", s.Connects)
		}
		if s.Deliveries > 0 {
			line += fmt.Sprintf("  %.0f deliveries/s  p50 %.1f p99 %.1f ms", s.Deliveries, s.P50, s.P99)
		}
		if len(w.pids) > 0 {
			line += fmt.Sprintf("  servers %.0f %% CPU %d MiB", 100*s.CPU, s.RSS>>20)
		}
		_, _ = fmt.Fprintln(os.Stderr, line)
	}
	return nil
}

// result puts together what the run found.
func (r *runner) result(cut error) *result {
	x := r.watch.result
	x.Options, x.Started, x.Counts, x.Verdicts = r.o, r.start.UTC().Format(time.RFC3339), r.counts, r.verdicts
	x.Machine = fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	if cut != nil {
		x.Error = cut.Error()
	}
	x.Delivery, x.Ack, x.Connect, x.History = summarize(r.delivery), summarize(r.ackTimes), summarize(r.connects), summarize(r.scrolls)
	begin, connected, from, to := r.watch.marks["begin"], r.watch.marks["connected"], r.watch.marks["from"], r.watch.marks["to"]
	if !connected.at.IsZero() {
		x.Rate.Connects = float64(len(r.members)) / connected.at.Sub(begin.at).Seconds()
	}
	before := r.watch.marks["cut"]
	for pid, u := range r.watch.marks["whole"].usage {
		x.Storm.CPU += (u.CPU - before.usage[pid].CPU).Seconds()
	}
	for _, s := range x.Samples {
		if r.watch.storm == 0 || s.Seconds < r.watch.storm {
			continue
		}
		x.Storm.PeakConnects, x.Storm.PeakCPU = max(x.Storm.PeakConnects, s.Connects), max(x.Storm.PeakCPU, s.CPU)
	}
	if to.at.IsZero() {
		return x
	}
	span := to.at.Sub(from.at).Seconds()
	x.Rate.Sent, x.Rate.Deliveries = float64(r.counts.Sent)/span, float64(r.counts.Deliveries)/span
	x.Rate.BytesIn, x.Rate.BytesOut = float64(to.received-from.received)/span, float64(to.sent-from.sent)/span
	for _, pid := range r.o.PIDs {
		last, there := to.usage[pid]
		s := server{
			PID: pid, Name: begin.usage[pid].Name, Killed: !there,
			ConnectCPU:   (connected.usage[pid].CPU - begin.usage[pid].CPU).Seconds(),
			RSSPerClient: float64(connected.usage[pid].RSS-begin.usage[pid].RSS) / float64(len(r.members)),
		}
		if there {
			s.CPU, s.RSS = (last.CPU - from.usage[pid].CPU).Seconds(), last.RSS
			if r.counts.Deliveries > 0 {
				s.CPUPerMillion = s.CPU / float64(r.counts.Deliveries) * 1e6
			}
		}
		x.Servers = append(x.Servers, s)
	}
	cpu := (to.self.CPU - from.self.CPU).Seconds()
	x.Self = &selfCost{CPU: cpu, Cores: cpu / span, RSS: to.self.RSS}
	return x
}
