package official

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// collector hands emitters' logged events to Append, each once in the fleet.
// Every node hears every publication; nothing in it tells two alike apart. So
// one node leads, by a lease, and handles them in the order in which they came,
// while the others keep what they heard for as long as the leader might still
// be at it. Before the leader appends an event it records it in a stream, only
// while it leads; the record's id is the key of the append. Who takes over
// finds, for each event that it kept, whether it was recorded: those it appends
// again under their key, which changes nothing where that was done, and the
// others are its own to record.
//
// Two equal publications in a row are told apart by their number and time. What
// was published while no node was subscribed is lost, as Pub/Sub has it.
type collector struct {
	// Immutable.
	o     *Options
	redis goredis.Cmdable
	whole func() bool
	node  string
	keys  []string // lease, records
	queue chan arrival
	held  atomic.Int64 // bytes in the queue and kept
	leads atomic.Bool  // written by run

	// Owned by run.
	kept       []arrival
	leaseEnd   time.Time     // while leading
	otherEnd   time.Time     // another node's lease
	lastActive time.Time     // when an event was last handled here
	skew       time.Duration // Redis's clock less this node's
}

type arrival struct {
	m      Message
	digest string
	at     time.Time
	size   int64
}

const (
	// maxKept bounds what one node keeps, in bytes.
	maxKept = 64 << 20
	// leadIdle is how long a leader stays after the last event, so that
	// leadership does not change with every burst.
	leadIdle = time.Minute
	// slack is how much earlier than another node's record an event may have
	// come here, clocks compared through Redis.
	slack = 500 * time.Millisecond
	// collectRetry is the pause after an error.
	collectRetry = 200 * time.Millisecond
)

// leaseScript takes or renews the lease and tells the time.
var leaseScript = goredis.NewScript(`
local now = redis.call('TIME')
local owner = redis.call('GET', KEYS[1])
if not owner or owner == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return {1, tonumber(ARGV[2]), now[1], now[2]}
end
return {0, redis.call('PTTL', KEYS[1]), now[1], now[2]}`)

// recordScript records an event and renews the lease, if it is still held.
var recordScript = goredis.NewScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return '' end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
local id = redis.call('XADD', KEYS[2], 'MAXLEN', '~', 20000, '*', 'd', ARGV[3])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return id`)

var releaseScript = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0`)

func newCollector(o *Options, client goredis.Cmdable, whole func() bool) *collector {
	return &collector{
		o: o, redis: client, whole: whole, node: o.Node + "." + newID(), queue: make(chan arrival, o.Queue),
		keys: []string{o.Keys + "{emitters}lease", o.Keys + "{emitters}records"},
	}
}

// push does not block. raw is the publication, by which nodes compare.
func (c *collector) push(m Message, raw []byte) {
	h := sha256.New()
	for _, s := range []string{m.Sender, m.Namespace, m.Name} {
		h.Write([]byte(strconv.Itoa(len(s)) + ":" + s))
	}
	h.Write(raw)
	a := arrival{m: m, digest: hex.EncodeToString(h.Sum(nil)[:16]), at: time.Now(), size: int64(m.Event.Size()) + 512}
	if c.held.Add(a.size) <= maxKept {
		select {
		case c.queue <- a:
			return
		default:
		}
	}
	c.held.Add(-a.size)
	if c.leads.Load() { // else it was kept for a bad day only
		c.o.dropped("append")
	}
}

// window is how long an event is kept by who does not lead.
func (c *collector) window() time.Duration { return c.o.AppendTimeout + 2*c.o.Lease }

func (c *collector) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(c.work(ctx))
		select {
		case a := <-c.queue:
			c.kept = append(c.kept, a)
		case <-timer.C:
		case <-ctx.Done():
			if c.leads.Load() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
				defer cancel()
				_ = releaseScript.Run(ctx, c.redis, c.keys[:1], c.node).Err() // it ends by itself too
			}
			return
		}
	}
}

// drop forgets the first n kept events.
func (c *collector) drop(n int) {
	for _, a := range c.kept[:n] {
		c.held.Add(-a.size)
	}
	clear(c.kept[:n])
	c.kept = c.kept[n:]
	if len(c.kept) == 0 {
		c.kept = nil
	}
}

// work does what can be done now and says when to come again.
func (c *collector) work(ctx context.Context) time.Duration {
	for ctx.Err() == nil {
		now := time.Now()
		switch {
		case len(c.kept) == 0 && !c.leads.Load():
			return time.Hour
		case len(c.kept) == 0 && (now.Sub(c.lastActive) > leadIdle || !c.whole()):
			c.leads.Store(false) // the lease runs out
			return time.Hour
		case !c.leads.Load() && now.Before(c.otherEnd):
			return c.otherEnd.Sub(now)
		case !c.leads.Load() || now.After(c.leaseEnd.Add(-c.o.Lease/2)):
			took, err := c.lease(ctx)
			if err != nil {
				c.o.Logger.Warn("official formats: lease", "error", err)
				c.expire(now)
				return collectRetry
			}
			if took {
				if err := c.takeOver(ctx); err != nil {
					c.o.Logger.Warn("official formats: take over", "error", err)
					c.leads.Store(false)
					return collectRetry
				}
			}
			if !c.leads.Load() {
				// The leader lives; what is older than the window is done.
				c.expire(now)
			}
		case len(c.kept) == 0:
			return c.leaseEnd.Add(-c.o.Lease / 2).Sub(now)
		default:
			c.lastActive = now
			if !c.handle(ctx, c.kept[0], "") {
				return collectRetry
			}
			if c.leads.Load() {
				c.drop(1)
			}
		}
	}
	return time.Hour
}

// expire forgets what is older than the window.
func (c *collector) expire(now time.Time) {
	n := 0
	for n < len(c.kept) && now.Sub(c.kept[n].at) > c.window() {
		n++
	}
	if c.leads.Load() && n > 0 {
		for range n {
			c.o.dropped("append")
		}
	}
	c.drop(n)
}

// lease asks for the lease; took says that it is newly held.
func (c *collector) lease(ctx context.Context) (took bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.o.Lease)
	defer cancel()
	before := time.Now()
	r, err := leaseScript.Run(ctx, c.redis, c.keys, c.node, c.o.Lease.Milliseconds()).Slice()
	if err != nil {
		return false, err
	}
	if len(r) != 4 {
		return false, fmt.Errorf("%d values", len(r))
	}
	mine, _ := r[0].(int64)
	ttl, _ := r[1].(int64)
	sec, _ := strconv.ParseInt(fmt.Sprint(r[2]), 10, 64)
	usec, _ := strconv.ParseInt(fmt.Sprint(r[3]), 10, 64)
	c.skew = time.Until(time.Unix(sec, usec*1000))
	was := c.leads.Load() && time.Now().Before(c.leaseEnd)
	c.leads.Store(mine == 1)
	if c.leads.Load() {
		c.leaseEnd = before.Add(c.o.Lease)
		return !was, nil
	}
	c.otherEnd = time.Now().Add(time.Duration(max(ttl, 10)) * time.Millisecond)
	return false, nil
}

// takeOver finishes what a former leader recorded, and leaves what nobody did.
func (c *collector) takeOver(ctx context.Context) error {
	if len(c.kept) == 0 {
		return nil
	}
	from := c.kept[0].at.Add(c.skew - slack).UnixMilli()
	records, err := c.redis.XRange(ctx, c.keys[1], strconv.FormatInt(from, 10), "+").Result()
	if err != nil {
		return err
	}
	keys := make([]string, len(c.kept))
	for _, r := range records {
		digest, _ := r.Values["d"].(string)
		ms, _, _ := strings.Cut(r.ID, "-")
		at, _ := strconv.ParseInt(ms, 10, 64)
		for i, a := range c.kept {
			if keys[i] == "" && a.digest == digest && a.at.Add(c.skew-slack).UnixMilli() <= at {
				keys[i] = r.ID
				break
			}
		}
	}
	rest := c.kept[:0:0]
	for i, a := range c.kept {
		if keys[i] == "" {
			rest = append(rest, a)
			continue
		}
		if !c.handle(ctx, a, keys[i]) {
			return errors.New("the lease was lost, or Redis")
		}
		c.held.Add(-a.size)
	}
	c.kept = rest
	return nil
}

// handle records an event, unless it was, and appends it. False means that it
// must be tried again, by whoever leads then.
func (c *collector) handle(ctx context.Context, a arrival, id string) bool {
	if id == "" {
		r, err := recordScript.Run(ctx, c.redis, c.keys, c.node, c.o.Lease.Milliseconds(), a.digest, (2 * c.window()).Milliseconds()).Text()
		if err != nil {
			c.o.Logger.Warn("official formats: record", "error", err)
			return false
		}
		if r == "" {
			c.leads.Store(false)
			return false
		}
		id = r
		c.leaseEnd = time.Now().Add(c.o.Lease - c.o.Lease/8)
	}
	a.m.Key = "emitter:" + id
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, c.o.AppendTimeout)
	defer cancel()
	// The lease is not renewed here: who takes over appends under the same
	// key.
	for {
		err := c.o.Append(ctx, a.m)
		switch {
		case err == nil:
			return true
		case parent.Err() != nil:
			return false
		case !errors.Is(err, adapter.ErrUnavailable) || ctx.Err() != nil:
			c.o.dropped("append")
			c.o.Logger.Warn("official formats: append", "room", a.m.Room, "error", err)
			return true
		}
		select {
		case <-time.After(collectRetry):
		case <-ctx.Done():
		}
	}
}
