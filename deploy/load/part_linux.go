package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"
	"time"

	hdr "github.com/HdrHistogram/hdrhistogram-go"

	"github.com/antchat/antchat/deploy/load/result"
)

// part is this process's share of a run. It tells the whole of its progress, a
// line of JSON on standard output each, and waits for it once all its clients
// are there, so that all parts measure the same time.
type part struct {
	number int
	out    *json.Encoder
	met    atomic.Bool // the others are there, too
}

// news is what a part tells the whole. Histograms are in HdrHistogram's own
// compressed form.
type news struct {
	Sample *result.Sample `json:"sample,omitempty"`
	Recent []byte         `json:"recent,omitempty"`
	Mark   string         `json:"mark,omitempty"`
	Result *result.Run    `json:"result,omitempty"`

	Delivery []byte `json:"delivery,omitempty"`
	Ack      []byte `json:"ack,omitempty"`
	Connect  []byte `json:"connect,omitempty"`
	History  []byte `json:"history,omitempty"`
}

// runPart runs this process's part, and ends early when the whole does.
func runPart(ctx context.Context, number string, args []string, in io.Reader, out io.Writer) error {
	n, err := strconv.Atoi(number)
	if err != nil {
		return fmt.Errorf("%s: %w", partEnv, err)
	}
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	p := &part{number: n, out: json.NewEncoder(out)}
	// It ends with the process: nothing else ends a read of standard input.
	go func() {
		lines := bufio.NewScanner(in)
		for lines.Scan() {
			p.met.Store(true)
		}
		cancel(errors.New("the whole run has ended"))
	}()
	r, x, err := runAs(ctx, o, p)
	if r == nil {
		return err
	}
	last := news{Result: x}
	for _, h := range []struct {
		to *[]byte
		of *hdr.Histogram
	}{{&last.Delivery, r.delivery}, {&last.Ack, r.ackTimes}, {&last.Connect, r.connects}, {&last.History, r.scrolls}} {
		var herr error
		*h.to, herr = h.of.Encode(hdr.V2CompressedEncodingCookieBase)
		err = errors.Join(err, herr)
	}
	return errors.Join(err, p.out.Encode(last))
}

// begin makes the runner this part of the whole: its rooms and its dice are its
// own.
func (p *part) begin(r *runner) {
	r.watch.tell = func(s result.Sample, recent *hdr.Histogram) error {
		text, err := recent.Encode(hdr.V2CompressedEncodingCookieBase)
		if err != nil {
			return err
		}
		return p.out.Encode(news{Sample: &s, Recent: text})
	}
}

// meet waits, with all clients alive, until every part has come this far.
func (p *part) meet(ctx context.Context, r *runner) error {
	err := r.loop(ctx, time.Now().Add(r.o.Limit), p.met.Load, nil)
	if err == nil && !p.met.Load() {
		err = errors.New("the other parts did not come")
	}
	return err
}

// mark tells how far the part has come.
func (p *part) mark(name string) error { return p.out.Encode(news{Mark: name}) }
