package main

import (
	"fmt"
	"os"
	"runtime"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/result"
)

// watch samples the run once a second, and marks what the servers had used when
// the measured time began and ended.
type watch struct {
	r    *runner
	next time.Time
	last time.Time
	use  usage
	// tell is told of each sample, and of the latencies in it.
	tell    func(s result.Sample, recent *hdr.Histogram) error
	samples []result.Sample
	storm   result.Storm
}

func newWatch(r *runner) *watch {
	w := &watch{r: r, use: newUsage(r.o.PIDs), tell: func(result.Sample, *hdr.Histogram) error { return nil }}
	if !r.o.Quiet {
		w.tell = progress
	}
	return w
}

// mark marks what has been used, and tells the whole run of it.
func (w *watch) mark(name string) error {
	if w.r.part != nil {
		if err := w.r.part.mark(name); err != nil {
			return err
		}
	}
	return w.use.mark(name, w.r.swarm.Sent, w.r.swarm.Received)
}

func (w *watch) begin() error {
	w.last = time.Now()
	w.next = w.last.Add(time.Second)
	return w.mark("begin")
}

// measure begins and ends the measured time.
func (w *watch) measure(on bool) error {
	w.r.measuring = on
	if on {
		return w.mark("from")
	}
	return w.mark("to")
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
	s := result.Sample{
		Seconds: now.Sub(r.start).Seconds(), Ready: r.ready,
		Connects:   float64(r.counts.connectsTick) / span,
		Sent:       float64(r.counts.sentTick) / span,
		Deliveries: float64(r.counts.deliveriesTick) / span,
		P50:        millis(r.recent, 50), P99: millis(r.recent, 99),
	}
	var err error
	if s.CPU, s.RSS, err = w.use.since(span); err != nil {
		return err
	}
	r.counts.connectsTick, r.counts.sentTick, r.counts.deliveriesTick = 0, 0, 0
	w.samples = append(w.samples, s)
	err = w.tell(s, r.recent)
	r.recent.Reset()
	return err
}

// progress prints a sample.
func progress(s result.Sample, _ *hdr.Histogram) error {
	line := fmt.Sprintf("%6.1f s  %d ready", s.Seconds, s.Ready)
	if s.Connects > 0 {
		line += fmt.Sprintf("  %.0f connects/s", s.Connects)
	}
	if s.Deliveries > 0 {
		line += fmt.Sprintf("  %.0f deliveries/s  p50 %.1f p99 %.1f ms", s.Deliveries, s.P50, s.P99)
	}
	if s.RSS > 0 {
		line += fmt.Sprintf("  servers %.0f %% CPU %d MiB", 100*s.CPU, s.RSS>>20)
	}
	_, err := fmt.Fprintln(os.Stderr, line)
	return err
}

// result puts together what the run found.
func (r *runner) result(cut error) *result.Run {
	x := &result.Run{
		Options: &r.o.Options, Started: r.start.UTC().Format(time.RFC3339), Machine: machine(), Samples: r.watch.samples, Storm: r.watch.storm,
		Counts: r.counts.Counts, Verdicts: r.verdicts,
	}
	if cut != nil {
		x.Error = cut.Error()
	}
	x.Delivery, x.Ack, x.Connect, x.History = summarize(r.delivery), summarize(r.ackTimes), summarize(r.connects), summarize(r.scrolls)
	r.watch.use.report(x)
	return x
}

func machine() string {
	return fmt.Sprintf("%s/%s, %d processors", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
}
