package official

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// subject is one subscription.
type subject struct {
	how  byte // 's' SUBSCRIBE, 'p' PSUBSCRIBE, 'h' SSUBSCRIBE
	name string
}

// links keeps the subscriptions that are wanted, on as few connections as they
// need: one, and for sharded channels one per node of a Cluster. go-redis would
// reconnect by itself, but subscribes to all channels in one command then,
// which a Cluster refuses when they have different slots, and tells nobody. So a
// connection is used once, and when it ends another takes its place.
type links struct {
	// Immutable.
	o       *Options
	client  goredis.UniversalClient
	receive func(s subject, channel, payload string)
	kick    chan struct{}
	dead    chan *line

	mu      sync.Mutex
	wanted  map[subject]*want
	changed chan struct{} // closed and replaced when a subscription stands

	// Owned by run.
	lines   map[string]*line
	placed  map[subject]*line
	backoff time.Duration
}

type want struct {
	count int // of those who want it
	line  *line
	ready bool
}

// Times of a line.
const (
	pingEvery  = 5 * time.Second
	silence    = 20 * time.Second
	backoffMin = 50 * time.Millisecond
	backoffMax = 5 * time.Second
)

func newLinks(o *Options, client goredis.UniversalClient, receive func(subject, string, string)) *links {
	return &links{
		o: o, client: client, receive: receive, kick: make(chan struct{}, 1), dead: make(chan *line),
		wanted: make(map[subject]*want), changed: make(chan struct{}),
		lines: make(map[string]*line), placed: make(map[subject]*line),
	}
}

func (ls *links) add(subjects ...subject) {
	ls.mu.Lock()
	for _, s := range subjects {
		w := ls.wanted[s]
		if w == nil {
			w = &want{}
			ls.wanted[s] = w
		}
		w.count++
	}
	ls.mu.Unlock()
	ls.wake()
}

func (ls *links) remove(subjects ...subject) {
	ls.mu.Lock()
	for _, s := range subjects {
		if w := ls.wanted[s]; w != nil {
			if w.count--; w.count == 0 {
				delete(ls.wanted, s)
			}
		}
	}
	ls.mu.Unlock()
	ls.wake()
}

func (ls *links) wake() {
	select {
	case ls.kick <- struct{}{}:
	default:
	}
}

// wait blocks until all subjects are subscribed to.
func (ls *links) wait(ctx context.Context, subjects []subject) error {
	for {
		ls.mu.Lock()
		ready := ls.standLocked(subjects)
		changed := ls.changed
		ls.mu.Unlock()
		if ready {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("subscribe: %w", ctx.Err())
		}
	}
}

// stand reports whether all subjects are subscribed to.
func (ls *links) stand(subjects []subject) bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.standLocked(subjects)
}

func (ls *links) standLocked(subjects []subject) bool {
	for _, s := range subjects {
		if w := ls.wanted[s]; w == nil || !w.ready {
			return false
		}
	}
	return true
}

// whole reports whether every subscription stands.
func (ls *links) whole() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for _, w := range ls.wanted {
		if !w.ready {
			return false
		}
	}
	return true
}

// run works until the context ends.
func (ls *links) run(ctx context.Context) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		var retry <-chan time.Time
		if err := ls.place(ctx); err != nil && ctx.Err() == nil {
			ls.backoff = min(max(2*ls.backoff, backoffMin), backoffMax)
			retry = time.After(ls.backoff/2 + rand.N(ls.backoff))
			ls.o.Logger.Warn("official formats: subscribe", "error", err)
		} else {
			ls.backoff = 0
		}
		select {
		case <-ctx.Done():
			for _, l := range ls.lines {
				l.close()
			}
			for range ls.lines {
				<-(<-ls.dead).ended
			}
			return
		case l := <-ls.dead:
			ls.lost(ctx, l)
		case <-ping.C:
			for _, l := range ls.lines {
				if l.ps.Ping(ctx) != nil {
					l.close()
				}
			}
		case <-ls.kick:
		case <-retry:
		}
	}
}

// lost forgets a line that has ended.
func (ls *links) lost(ctx context.Context, l *line) {
	<-l.ended
	delete(ls.lines, l.key)
	ls.mu.Lock()
	for s, on := range ls.placed {
		if on == l {
			delete(ls.placed, s)
			if w := ls.wanted[s]; w != nil {
				w.ready, w.line = false, nil
			}
		}
	}
	ls.mu.Unlock()
	ls.o.Logger.Warn("official formats: subscriber connection lost", "error", l.err)
	if ls.o.Hooks.Lost != nil {
		ls.o.Hooks.Lost(fmt.Sprint(l.err))
	}
	if c, ok := ls.client.(*goredis.ClusterClient); ok {
		c.ReloadState(ctx)
	}
	// The first attempt is not at once: a server that ends connections as
	// they come would be asked without pause.
	select {
	case <-time.After(backoffMin/2 + rand.N(backoffMin)):
	case <-ctx.Done():
	}
}

// place makes the subscriptions what is wanted.
func (ls *links) place(ctx context.Context) error {
	ls.mu.Lock()
	var missing []subject
	for s, w := range ls.wanted {
		if ls.placed[s] == nil {
			missing = append(missing, s)
			w.ready = false
		}
	}
	var surplus []subject
	for s := range ls.placed {
		if ls.wanted[s] == nil {
			surplus = append(surplus, s)
		}
	}
	ls.mu.Unlock()
	for _, s := range surplus {
		l := ls.placed[s]
		delete(ls.placed, s)
		l.unsubscribe(ctx, s)
	}
	for _, s := range missing {
		l, err := ls.lineFor(ctx, s)
		if err != nil {
			return err
		}
		ls.placed[s] = l
		ls.mu.Lock()
		if w := ls.wanted[s]; w != nil {
			w.line = l
		}
		ls.mu.Unlock()
		if err := l.subscribe(ctx, s); err != nil {
			l.close()
		}
	}
	return nil
}

// stands notes that a subscription was confirmed.
func (ls *links) stands(l *line, s subject) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if w := ls.wanted[s]; w != nil && w.line == l {
		w.ready = true
		close(ls.changed)
		ls.changed = make(chan struct{})
	}
}

// lineFor finds the line that a subscription belongs on, or makes it.
func (ls *links) lineFor(ctx context.Context, s subject) (*line, error) {
	var node *goredis.Client
	var err error
	switch c := ls.client.(type) {
	case *goredis.Client:
		node = c
	case *goredis.ClusterClient:
		key := ls.o.Prefix // any node hears plain messages
		if s.how == 'h' {
			key = s.name
		}
		if node, err = c.MasterForKey(ctx, key); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("a client of type %T", ls.client)
	}
	key := "plain"
	if s.how == 'h' {
		key = "sharded " + node.Options().Addr
	}
	if l := ls.lines[key]; l != nil {
		return l, nil
	}
	l := newLine(key, node)
	if err := l.open(ctx, s); err != nil {
		l.discard()
		return nil, err
	}
	ls.lines[key] = l
	go l.read(ls)
	return l, nil
}

// line is one subscriber connection in its life. One goroutine reads; run of
// links writes.
type line struct {
	key    string
	client *goredis.Client
	ps     *goredis.PubSub
	ended  chan struct{} // closed when read has returned

	mu      sync.Mutex
	leaving map[subject]int // unsubscriptions that were not confirmed yet
	closed  bool

	// Set before the line is dead.
	err error
}

func newLine(key string, node *goredis.Client) *line {
	o := *node.Options()
	dial := o.Dialer
	var used atomic.Bool
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errors.New("the connection was lost")
		}
		return dial(ctx, network, addr)
	}
	o.Protocol, o.MaxRetries, o.DialerRetries, o.PoolSize, o.MinIdleConns = 2, -1, 1, 1, 0
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &line{key: key, client: goredis.NewClient(&o), ended: make(chan struct{}), leaving: make(map[subject]int)}
}

// open connects, with a first subscription, which may be repeated.
func (l *line) open(ctx context.Context, s subject) error {
	l.ps = l.client.Subscribe(ctx)
	return l.subscribe(ctx, s)
}

func (l *line) subscribe(ctx context.Context, s subject) error {
	switch s.how {
	case 's':
		return l.ps.Subscribe(ctx, s.name)
	case 'p':
		return l.ps.PSubscribe(ctx, s.name)
	}
	return l.ps.SSubscribe(ctx, s.name)
}

// unsubscribe needs no error: a line that cannot write ends by itself.
func (l *line) unsubscribe(ctx context.Context, s subject) {
	l.mu.Lock()
	l.leaving[s]++
	l.mu.Unlock()
	switch s.how {
	case 's':
		_ = l.ps.Unsubscribe(ctx, s.name)
	case 'p':
		_ = l.ps.PUnsubscribe(ctx, s.name)
	default:
		_ = l.ps.SUnsubscribe(ctx, s.name)
	}
}

// close makes read return. Idempotent.
func (l *line) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		_ = l.ps.Close()
	}
}

func (l *line) discard() {
	if l.ps != nil {
		_ = l.ps.Close()
	}
	_ = l.client.Close()
}

// read hands messages over until the connection ends.
func (l *line) read(ls *links) {
	defer func() {
		l.close()
		_ = l.client.Close()
		close(l.ended)
	}()
	defer func() { ls.dead <- l }()
	for {
		// The context is the connection's: closing ends the read.
		v, err := l.ps.ReceiveTimeout(context.Background(), silence)
		if err != nil {
			l.err = err
			return
		}
		switch v := v.(type) {
		case *goredis.Message:
			s := subject{'s', v.Channel}
			switch {
			case v.Pattern != "":
				s = subject{'p', v.Pattern}
			case l.key != "plain":
				s.how = 'h'
			}
			ls.receive(s, v.Channel, v.Payload)
		case *goredis.Subscription:
			if err := l.subscription(ls, v); err != nil {
				l.err = err
				return
			}
		}
	}
}

// subscription takes a confirmation. A sharded subscription that ends unasked
// has moved to another node.
func (l *line) subscription(ls *links, v *goredis.Subscription) error {
	switch v.Kind {
	case "subscribe":
		ls.stands(l, subject{'s', v.Channel})
	case "psubscribe":
		ls.stands(l, subject{'p', v.Channel})
	case "ssubscribe":
		ls.stands(l, subject{'h', v.Channel})
	case "unsubscribe", "punsubscribe", "sunsubscribe":
		s := subject{v.Kind[0], v.Channel}
		switch v.Kind[0] {
		case 'u':
			s.how = 's'
		case 's':
			s.how = 'h'
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.leaving[s] == 0 {
			return fmt.Errorf("channel %q was taken away", v.Channel)
		}
		if l.leaving[s]--; l.leaving[s] == 0 {
			delete(l.leaving, s)
		}
	}
	return nil
}
