package adminui

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio"
)

// UI is the namespace of one node. New, its hooks into the Socket.IO server's
// options, Serve, Close: in this order. Safe for concurrent use.
type UI struct {
	// Immutable after Serve.
	o      Options
	login  login
	server *socketio.Server
	ns     *socketio.Namespace
	queue  chan item     // what hooks have seen; never closed
	limit  *rate.Limiter // of the events in it
	wake   chan struct{}
	cancel context.CancelFunc
	ended  chan struct{} // closed when the worker has ended

	stats    stats
	watching atomic.Bool // somebody looks; written by the worker
	mu       sync.Mutex
	until    time.Time // guarded by mu: when nobody has looked for long enough
}

// pages is the room of the sockets that belong to a page.
const pages = "pages"

const (
	// watchEvent is what a node that has a page tells the others, each
	// watchEvery; a node that has not heard it for watchFor reports no more.
	watchEvent = "antchat:watch"
	watchEvery = 5 * time.Second
	watchFor   = 15 * time.Second
	// storeTimeout bounds a wait for the store or the fleet.
	storeTimeout = 5 * time.Second
)

// New checks the options: ErrNoCredentials, ErrPasswordHash, ErrToken.
func New(o Options) (*UI, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	u := &UI{
		o: o, queue: make(chan item, 4096), limit: rate.NewLimiter(rate.Limit(o.MaxEvents), o.MaxEvents),
		wake: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	u.login.init(&u.o)
	u.stats.init()
	return u, nil
}

// Serve makes the namespace. The server must have no connection yet; the store
// keeps the sessions of pages and counts guesses.
func (u *UI) Serve(server *socketio.Server, store adapter.Expiring) {
	u.server, u.ns, u.login.store = server, server.Of(u.o.Namespace), store
	u.ns.Use(u.login.admit)
	u.ns.OnConnect(u.greet)
	u.ns.OnServerEvent(watchEvent, func(context.Context, socketio.Args) (any, error) {
		u.watched()
		return nil, nil
	})
	if !u.o.ReadOnly {
		u.commands()
	}
	ctx, cancel := context.WithCancel(context.Background())
	u.cancel = cancel
	go u.work(ctx)
}

// Close ends the reports. The server must have stopped serving.
func (u *UI) Close(ctx context.Context) error {
	if u.cancel == nil {
		return nil
	}
	u.cancel()
	select {
	case <-u.ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close admin ui: %w", ctx.Err())
	}
}

// greet tells a page what there is. Its config comes first, and its session
// after the accept: the page listens to nothing before.
func (u *UI) greet(ctx context.Context, s *socketio.Socket) error {
	ctx, cancel := context.WithTimeout(ctx, 2*storeTimeout)
	defer cancel()
	if err := s.Emit("config", map[string]any{"supportedFeatures": u.features()}); err != nil {
		return err
	}
	if err := u.login.begin(ctx, s); err != nil {
		return err
	}
	if err := s.Join(ctx, pages); err != nil {
		return err
	}
	u.watched()
	if err := u.ns.ServerSideEmit(ctx, watchEvent); err != nil {
		u.o.Logger.Debug("admin ui: watch", "error", err) // the worker repeats it
	}
	if !u.o.Development {
		return nil
	}
	// What changes from here on is kept back until this has returned.
	return s.Emit("all_sockets", u.listing(ctx))
}

// features are what the page shows and offers.
func (u *UI) features() []string {
	list := []string{"AGGREGATED_EVENTS"}
	if !u.o.ReadOnly {
		list = append(list, "EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT")
	}
	if u.o.Development {
		list = append(list, "ALL_EVENTS")
	}
	return list
}

// watched notes that a page is there, on whichever node, and has this one
// report at once.
func (u *UI) watched() {
	u.mu.Lock()
	u.until = time.Now().Add(watchFor)
	u.mu.Unlock()
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

func (u *UI) stillWatched() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Now().Before(u.until)
}

// work reports while somebody looks, until the context ends.
func (u *UI) work(ctx context.Context) {
	defer close(u.ended)
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.wake:
		}
		u.report(ctx)
	}
}

// report is work from the moment somebody looks until nobody does.
func (u *UI) report(ctx context.Context) {
	var seen view
	u.stats.reset()
	if u.o.Development {
		seen = newView(u)
	}
	u.watching.Store(true)
	defer u.watching.Store(false)
	second := time.NewTicker(time.Second)
	defer second.Stop()
	reports := time.NewTicker(u.o.Interval)
	defer reports.Stop()
	announced := time.Now()
	u.tellStats(ctx)
	last := time.Now()
	for u.stillWatched() {
		select {
		case <-ctx.Done():
			return
		case <-u.wake:
			// A page has come: it need not wait for its first figures. Many
			// that come together share them.
			if time.Since(last) > u.o.Interval/4 {
				u.tellStats(ctx)
				last = time.Now()
			}
		case <-reports.C:
			u.tellStats(ctx)
			last = time.Now()
		case now := <-second.C:
			u.stats.bucket(now)
			if u.ns.Sockets() > 0 && now.Sub(announced) >= watchEvery {
				announced = now
				u.announce(ctx)
			}
			if u.o.Development {
				seen.compare(ctx)
			}
		case x := <-u.queue:
			seen.take(ctx, x)
		}
	}
}

// announce tells the fleet, this node included, that a page is here.
func (u *UI) announce(ctx context.Context) {
	u.mu.Lock()
	u.until = time.Now().Add(watchFor)
	u.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := u.ns.ServerSideEmit(ctx, watchEvent); err != nil {
		u.o.Logger.Debug("admin ui: watch", "error", err)
	}
}

// tell sends an event to all pages of the fleet.
func (u *UI) tell(ctx context.Context, event string, args ...any) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	if err := u.ns.To(pages).Ephemeral().Emit(ctx, event, args...); err != nil {
		u.dropped()
		u.o.Logger.Debug("admin ui: emit", "event", event, "error", err)
	}
}

func (u *UI) dropped() {
	if u.o.Hooks.Dropped != nil {
		u.o.Hooks.Dropped()
	}
}
