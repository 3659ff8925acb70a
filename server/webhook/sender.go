package webhook

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"
)

// signatureHeader has t=SECONDS,v1=HEX: HMAC-SHA256 by the hook's secret over the
// time, a dot and the body.
const signatureHeader = "Antchat-Signature"

// minSecret is the least length of a secret, in bytes, and maxHooks bounds the hooks.
const (
	minSecret = 16
	maxHooks  = 20
)

// Hook is an address and what it is told of. Its secret, of at least 16 bytes,
// signs each request.
type Hook struct {
	URL    string
	Secret string
	Events []string
}

// Options of a Sender. The zero value of a field means its default.
type Options struct {
	Hooks []Hook // at most 20
	// Events are the names there are.
	Events []string
	// Queue bounds what waits for one hook. 1,000 events.
	Queue int
	// Timeout bounds one attempt. 10 s.
	Timeout time.Duration
	// Attempts bounds how often one event is tried, and Backoff is the wait after the
	// first, which doubles up to MaxBackoff, less a random part of up to half. A
	// Retry-After lengthens one up to MaxBackoff. 8, 1 s, 1 min.
	Attempts            int
	Backoff, MaxBackoff time.Duration
	// Logger for what an operator should know. Nothing is logged without it.
	Logger *slog.Logger
	// Told is called with each event's end: Delivered, Refused, Failed or Dropped. It
	// may be nil, and must be fast.
	Told func(outcome Outcome)
}

// Outcome is what became of an event for one hook.
type Outcome string

// The outcomes.
const (
	Delivered Outcome = "delivered" // answered with 2xx
	Refused   Outcome = "refused"   // answered with a status that says never
	Failed    Outcome = "failed"    // after all attempts
	Dropped   Outcome = "dropped"   // the queue was full, or the node stopped
)

// Outcomes are all there are.
var Outcomes = []Outcome{Delivered, Refused, Failed, Dropped}

// envelope is the body of a request.
type envelope struct {
	ID    string `json:"id"`
	Event string `json:"event"`
	TS    int64  `json:"ts"`
	Data  any    `json:"data"`
}

// queued is an event of a hook's queue.
type queued struct {
	id   string
	body []byte
}

type hook struct {
	Hook
	number int         // as the settings list it: its address may have a secret
	queue  chan queued // never closed
}

// Sender sends. Safe for concurrent use.
type Sender struct {
	options Options
	hooks   []*hook
	client  *http.Client

	closing chan struct{} // closed by Close: no more attempts after the queue's
	stop    context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool // guarded by mu
}

// New starts a goroutine per hook, which Close ends. The error says which hook is
// wrong.
func New(o Options) (*Sender, error) {
	o.Queue, o.Attempts = cmp.Or(o.Queue, 1000), cmp.Or(o.Attempts, 8)
	o.Timeout = cmp.Or(o.Timeout, 10*time.Second)
	o.Backoff, o.MaxBackoff = cmp.Or(o.Backoff, time.Second), cmp.Or(o.MaxBackoff, time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Told == nil {
		o.Told = func(Outcome) {}
	}
	if len(o.Hooks) > maxHooks {
		return nil, fmt.Errorf("at most %d hooks", maxHooks)
	}
	s := &Sender{options: o, closing: make(chan struct{})}
	for i, h := range o.Hooks {
		u, err := url.Parse(h.URL)
		switch {
		case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil:
			return nil, fmt.Errorf("hook %d: the url must begin with https:// (or http:// within a trusted network), without a user", i+1)
		case len(h.Secret) < minSecret:
			return nil, fmt.Errorf("hook %d: the secret must have at least %d bytes", i+1, minSecret)
		case len(h.Events) == 0 || slices.ContainsFunc(h.Events, func(e string) bool { return !slices.Contains(o.Events, e) }):
			return nil, fmt.Errorf("hook %d: events are one or more of %v", i+1, o.Events)
		}
		s.hooks = append(s.hooks, &hook{h, i + 1, make(chan queued, o.Queue)})
	}
	s.client = &http.Client{
		Timeout:   o.Timeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute, TLSHandshakeTimeout: o.Timeout},
		// What is signed is for that address.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	s.stop, s.cancel = context.WithCancel(context.Background())
	for _, h := range s.hooks {
		s.running.Go(func() { s.work(h) })
	}
	return s, nil
}

// Offer queues an event for those hooks that want it, and never blocks. Data is
// encoded at once.
func (s *Sender) Offer(event string, at time.Time, data any) {
	var q queued
	for _, h := range s.hooks {
		if !slices.Contains(h.Events, event) {
			continue
		}
		if q.body == nil {
			q.id = rand.Text()
			body, err := json.Marshal(envelope{q.id, event, at.UnixMilli(), data})
			if err != nil {
				s.options.Logger.Error("webhook not encoded", "event", event, "err", err)
				return
			}
			q.body = body
		}
		s.offer(h, q)
	}
}

func (s *Sender) offer(h *hook, q queued) {
	s.mu.Lock()
	closed := s.closed
	if !closed {
		select {
		case h.queue <- q:
			s.mu.Unlock()
			return
		default:
		}
	}
	s.mu.Unlock()
	s.options.Told(Dropped)
	s.options.Logger.Warn("webhook dropped", "hook", h.number, "queue", len(h.queue), "stopping", closed)
}

// Close lets each hook have what waits for it, one attempt each, until ctx ends,
// and counts the rest as dropped.
func (s *Sender) Close(ctx context.Context) error {
	s.mu.Lock()
	already := s.closed
	s.closed = true
	s.mu.Unlock()
	if !already {
		close(s.closing)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.running.Wait()
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("close webhooks: %w", ctx.Err())
		s.cancel()
		<-done // an attempt ends with its context
	}
	s.cancel()
	s.client.CloseIdleConnections()
	return err
}

// work sends a hook's events, one after the other and so in their order.
func (s *Sender) work(h *hook) {
	for {
		select {
		case q := <-h.queue:
			s.options.Told(s.deliver(h, q))
			continue
		case <-s.closing:
		}
		for { // nothing comes any more
			select {
			case q := <-h.queue:
				s.options.Told(s.deliver(h, q))
			default:
				return
			}
		}
	}
}

// deliver tries an event until it is answered for good. After Close has begun each
// is tried once.
func (s *Sender) deliver(h *hook, q queued) Outcome {
	wait := s.options.Backoff
	for attempt := 1; ; attempt++ {
		status, after, err := s.post(h, q)
		switch {
		case err == nil && status/100 == 2:
			return Delivered
		case err == nil && status/100 == 4 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
			s.options.Logger.Warn("webhook refused", "hook", h.number, "status", status)
			return Refused
		case s.stop.Err() != nil:
			return Dropped
		case attempt == s.options.Attempts:
			s.options.Logger.Warn("webhook failed", "hook", h.number, "attempts", attempt, "status", status, "err", err)
			return Failed
		}
		timer := time.NewTimer(max(wait-mathrand.N(wait/2+1), min(after, s.options.MaxBackoff)))
		select {
		case <-timer.C:
		case <-s.closing:
			timer.Stop()
			return Dropped
		}
		wait = min(2*wait, s.options.MaxBackoff)
	}
}

// post is one attempt, and how long the receiver wants to be left alone after it.
// Its error has not the address, which may have a secret.
func (s *Sender) post(h *hook, q queued) (status int, after time.Duration, err error) {
	r, err := http.NewRequestWithContext(s.stop, http.MethodPost, h.URL, bytes.NewReader(q.body))
	if err != nil {
		return 0, 0, fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "antchat")
	r.Header.Set("Antchat-Event-Id", q.id)
	r.Header.Set(signatureHeader, sign(h.Secret, time.Now(), q.body))
	answer, err := s.client.Do(r)
	if err != nil {
		var in *url.Error
		if errors.As(err, &in) {
			err = in.Err
		}
		return 0, 0, err
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection is kept
	_ = answer.Body.Close()
	if seconds, err := strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 31); err == nil {
		after = time.Duration(seconds) * time.Second // the other form, a date, is not looked at
	}
	return answer.StatusCode, after, nil
}

// sign is the value of signatureHeader.
func sign(secret string, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(t + "."))
	_, _ = mac.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
