package chatapi

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/antchat/antchat/server/socketio"
)

// Bucket is a token bucket: so many a second in the long run, and Burst at once. A
// Rate of 0 is no limit.
type Bucket struct {
	Rate  float64
	Burst int
}

// Buckets bound one kind of request per socket, per user over all nodes, and per
// address (per /64 of IPv6) on a node.
type Buckets struct{ Socket, User, Address Bucket }

// Fairness bounds what clients ask for. A request beyond a bucket is refused with
// CodeRateLimited and the time after which to retry; a CONNECT waits. The zero value is
// no limit.
//
// What is refused is not free: it takes a tenth of what is granted from the socket's
// or the user's bucket that refused it, as a debt of a second's worth at most. So
// whoever waits as told gets nine tenths of the rate, and whoever asks for ten times as
// much gets nothing for as long as it goes on. An address pays nothing: others may
// be behind it.
type Fairness struct {
	Connects Buckets // Socket does not count
	Messages Buckets // and what moderators do
	Relays   Buckets // relayed events
	Joins    Buckets // and leaves
	Reads    Buckets // history, who, rooms, read pointers, and everything else
	Typing   Buckets
	Rooms    Buckets // joins of rooms that have neither people nor messages; User only
	// Directs are joins of direct rooms without messages: per user, and per address and
	// the person they are with. Socket does not count.
	Directs Buckets
	// ConnectWait is how long a CONNECT may wait for a place in its bucket. One that
	// would wait longer, and any beyond 4,096 that wait on the node, has its connection
	// closed without an answer: a client takes a refusal as final, but comes back from a
	// lost connection by itself. It must be below socketio.Options.ConnectTimeout. 0: none
	// waits.
	ConnectWait time.Duration
	// Refusals is how fast a socket's requests are refused. One that asks for more
	// is read no faster: its requests wait, for a second each at most, and with them
	// its connection, which TCP then tells to its sender. A heartbeat among them is
	// heard.
	Refusals Bucket
	// Shared makes users' buckets hold over the fleet, by a counter in the store
	// that is asked once for each twentieth of what a user may do in 10 s. With it,
	// Limits.RoomsPerUser holds over the fleet too.
	Shared bool
}

// Kind is a kind of request that Fairness bounds.
type Kind uint8

// The kinds.
const (
	KindConnect Kind = iota
	KindMessage
	KindRelay
	KindJoin
	KindRead
	KindTyping
	KindRoom
	KindDirect
	kinds

	kindRefusal = kinds // for a bucket's key only
)

// Kinds and Scopes are all there are, for those who count.
var (
	Kinds  = []Kind{KindConnect, KindMessage, KindRelay, KindJoin, KindRead, KindTyping, KindRoom, KindDirect}
	Scopes = []Scope{ScopeSocket, ScopeUser, ScopeAddress}
)

func (k Kind) String() string {
	return [kinds]string{"connect", "message", "relay", "join", "read", "typing", "room", "direct"}[k]
}

// Scope is whose bucket was empty.
type Scope uint8

// The scopes.
const (
	ScopeSocket Scope = iota
	ScopeUser
	ScopeAddress
	scopes
)

func (s Scope) String() string { return [scopes]string{"socket", "user", "address"}[s] }

func (f *Fairness) of(k Kind) [scopes]Bucket {
	b := [kinds]Buckets{f.Connects, f.Messages, f.Relays, f.Joins, f.Reads, f.Typing, f.Rooms, f.Directs}[k]
	return [scopes]Bucket{b.Socket, b.User, b.Address}
}

// tooFast refuses a request because of a bucket.
type tooFast struct{ wait time.Duration }

func (e *tooFast) Error() string { return "chatapi: too many requests" }

// kindOf is the kind of an event; what is not named here counts as a read.
var kindOf = map[string]Kind{
	eventNewMessage: KindMessage, eventChatMsg: KindMessage, eventRemoveMessage: KindMessage,
	eventMute: KindMessage, eventUnmute: KindMessage, eventKick: KindMessage, eventBan: KindMessage, eventUnban: KindMessage,
	eventJoinRoom: KindJoin, eventLeaveRoom: KindJoin, eventTyping: KindTyping, eventStopTyping: KindTyping,
}

// fair is the middleware that asks the buckets.
func (a *API) fair(next socketio.EventHandler) socketio.EventHandler {
	relayed := make(map[string]bool)
	for _, name := range a.options.RelayEvents {
		relayed[name] = true
	}
	return func(ctx context.Context, s *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
		kind, known := kindOf[e.Name]
		switch {
		case relayed[e.Name]:
			kind = KindRelay
		case !known:
			kind = KindRead
		}
		if err := a.take(ctx, kind, asker{socket: s.ID(), user: s.User(), address: s.Address()}); err != nil {
			return socketio.Reply{}, err
		}
		return next(ctx, s, e)
	}
}

// asker is who asks for something; "" is not asked about. An address is asked about
// for each of whom it asks.
type asker struct{ socket, user, address, of string }

// take takes one of a kind from each bucket that bounds the asker: from none where
// one of them is empty.
func (a *API) take(ctx context.Context, kind Kind, who asker) error {
	limits := a.options.Fairness.of(kind)
	now := time.Now()
	var taken []*rate.Reservation
	for scope, limit := range limits {
		if limit.Rate <= 0 {
			continue
		}
		id := ""
		switch Scope(scope) {
		case ScopeSocket:
			id = who.socket
		case ScopeUser:
			id = who.user
		case ScopeAddress:
			if id = Network(who.address); id != "" && who.of != "" {
				id += " " + who.of
			}
		}
		if id == "" {
			continue
		}
		b := a.buckets.find(bucketKey{kind, Scope(scope), id}, limit, now)
		one, wait := b.take(now, Scope(scope) != ScopeAddress)
		if wait == 0 && Scope(scope) == ScopeUser && a.options.Fairness.Shared {
			if wait = a.lease(ctx, b, kind, who.user, limit, now); wait > 0 {
				one.CancelAt(now)
				b.limiter.ReserveN(now, 1) // what a refusal costs
			}
		}
		if wait > 0 {
			for _, other := range taken {
				other.CancelAt(now)
			}
			if h := a.options.Hooks.Limited; h != nil {
				h(kind, Scope(scope))
			}
			return &tooFast{wait}
		}
		taken = append(taken, one)
	}
	return nil
}

// Network is what an address counts as: itself, or its /64 of IPv6, which one
// customer has to itself.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Is4() || ip.Is4In6() {
		return address
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

// leaseWindow is over what time users' buckets are counted in the fleet.
const leaseWindow = 10 * time.Second

// lease counts a request in the fleet, by twentieths of what a user may do in a
// window: the first of them is free, so whoever does little costs no round trip.
// A store that does not answer bounds nobody.
func (a *API) lease(ctx context.Context, b *bucket, kind Kind, user string, limit Bucket, now time.Time) time.Duration {
	most := int64(limit.Rate*leaseWindow.Seconds()) + int64(limit.Burst)
	slice := max(1, most/20)
	if !b.spend(slice, now) {
		return 0
	}
	total, err := a.store.Count(ctx, "fair "+a.ns.Name()+" "+kind.String()+" "+user, slice, leaseWindow)
	if err != nil {
		a.options.Logger.Debug("bucket not shared", "err", err)
		return 0
	}
	if total > most {
		return b.refuse(now)
	}
	return 0
}

type bucketKey struct {
	kind  Kind
	scope Scope
	id    string
}

// bucket is one key's. Its fields below mu are guarded by it. The limiter counts
// tenths of a request: what a refusal costs is one.
type bucket struct {
	limiter *rate.Limiter

	mu     sync.Mutex
	window time.Time // when the fleet's window began, as this node sees it
	leased int64     // left of the slice that was leased
}

// requestCost is what a request takes that is granted, in tenths.
const requestCost = 10

func newBucket(b Bucket) *bucket {
	return &bucket{limiter: rate.NewLimiter(rate.Limit(b.Rate*requestCost), max(1, b.Burst)*requestCost)}
}

// take takes one, or says how long to wait for it. With fined it takes a tenth then.
func (b *bucket) take(now time.Time, fined bool) (one *rate.Reservation, wait time.Duration) {
	one = b.limiter.ReserveN(now, requestCost)
	if wait = one.DelayFrom(now); wait == 0 {
		return one, 0
	}
	one.CancelAt(now)
	second := max(requestCost, float64(b.limiter.Limit())) // for slow rates: one request
	if fined && b.limiter.TokensAt(now) > -second {
		b.limiter.ReserveN(now, 1)
		wait += time.Duration(float64(time.Second) / float64(b.limiter.Limit()))
	}
	return one, wait
}

// spend takes one of what was leased, and says whether more must be leased for it.
func (b *bucket) spend(slice int64, now time.Time) (more bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now.Sub(b.window) >= leaseWindow {
		b.window, b.leased = now, slice
	}
	if b.leased > 0 {
		b.leased--
		return false
	}
	b.leased = slice - 1
	return true
}

// refuse notes that the fleet's count is reached.
func (b *bucket) refuse(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leased = 0 // the next one asks again
	return max(time.Millisecond, b.window.Add(leaseWindow).Sub(now))
}

// buckets are those in use. A full one is as good as none: they are swept when
// there are twice as many as were left by the last sweep, so idle sockets and users
// cost nothing in the long run. Safe for concurrent use.
type buckets struct {
	seed   maphash.Seed
	shards [16]struct {
		mu    sync.Mutex
		all   map[bucketKey]*bucket // guarded by mu
		sweep int                   // at this size; guarded by mu
	}
}

// minSweep is the number of buckets in a shard below which none is swept.
const minSweep = 256

func newBuckets() *buckets { return &buckets{seed: maphash.MakeSeed()} }

func (t *buckets) find(key bucketKey, limit Bucket, now time.Time) *bucket {
	shard := &t.shards[maphash.Comparable(t.seed, key)%uint64(len(t.shards))]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if b := shard.all[key]; b != nil {
		return b
	}
	if shard.all == nil {
		shard.all, shard.sweep = make(map[bucketKey]*bucket), minSweep
	}
	if len(shard.all) >= shard.sweep {
		for k, b := range shard.all {
			if b.limiter.TokensAt(now) >= float64(b.limiter.Burst()) {
				delete(shard.all, k)
			}
		}
		shard.sweep = max(minSweep, 2*len(shard.all))
	}
	b := newBucket(limit)
	shard.all[key] = b
	return b
}
