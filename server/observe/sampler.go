package observe

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxKinds bounds the kinds that are told apart. The program's own messages are
// fewer; all beyond share one.
const maxKinds = 512

// kind is what lines are bounded by.
type kind struct {
	level   slog.Level
	message string
}

// sampler bounds the lines of each kind per second.
type sampler struct {
	next slog.Handler
	most int

	mu     sync.Mutex
	kinds  map[kind]*sampled // guarded by mu, as are the rest
	timer  *time.Timer       // runs while something is to be told
	armed  bool
	closed bool
}

// sampled is one kind's second.
type sampled struct {
	began   time.Time
	lines   int
	leftOut int
}

func newSampler(next slog.Handler, most int) *sampler {
	return &sampler{next: next, most: most, kinds: make(map[kind]*sampled)}
}

// take says whether a line is to be written.
func (s *sampler) take(r *slog.Record) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := kind{r.Level, r.Message}
	c := s.kinds[k]
	if c == nil {
		if len(s.kinds) >= maxKinds {
			k.message = ""
			c = s.kinds[k]
		}
		if c == nil {
			c = &sampled{}
			s.kinds[k] = c
		}
	}
	if now := time.Now(); now.Sub(c.began) >= time.Second {
		// What was left out before stays, to be told by the timer.
		c.began, c.lines = now, 0
	}
	if c.lines < s.most {
		c.lines++
		return true
	}
	c.leftOut++
	if !s.armed && !s.closed {
		s.armed = true
		if s.timer == nil {
			s.timer = time.AfterFunc(time.Second, s.tell)
		} else {
			s.timer.Reset(time.Second)
		}
	}
	return false
}

// tell writes what has been left out of each kind, on the timer's goroutine.
func (s *sampler) tell() {
	type left struct {
		kind
		n int
	}
	var all []left
	s.mu.Lock()
	s.armed = false
	for k, c := range s.kinds {
		if c.leftOut > 0 {
			all = append(all, left{k, c.leftOut})
			c.leftOut = 0
		}
	}
	s.mu.Unlock()
	for _, l := range all {
		r := slog.NewRecord(time.Now(), l.level, "lines left out", 0)
		r.AddAttrs(slog.String("of", l.message), slog.Int("left_out", l.n))
		_ = s.next.Handle(context.Background(), r) // there is nobody to tell
	}
}

// close tells the rest.
func (s *sampler) close() {
	s.mu.Lock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.mu.Unlock()
	s.tell()
}

// sampledHandler asks the sampler first.
type sampledHandler struct {
	slog.Handler
	sampler *sampler
}

// Handle implements slog.Handler.
func (h *sampledHandler) Handle(ctx context.Context, r slog.Record) error {
	if !h.sampler.take(&r) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *sampledHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &sampledHandler{h.Handler.WithAttrs(attrs), h.sampler}
}

// WithGroup implements slog.Handler.
func (h *sampledHandler) WithGroup(name string) slog.Handler {
	return &sampledHandler{h.Handler.WithGroup(name), h.sampler}
}
