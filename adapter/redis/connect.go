package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/antchat/antchat/adapter"
)

// form is the kind of Redis that a URL names.
type form uint8

const (
	single form = iota
	cluster
	sentinel
)

// connector knows where each lane's primary is and makes clients for it. It
// asks anew after forget: discovery is ours, so that what is done after a
// failure stands in one place.
type connector struct {
	// Immutable.
	form     form
	hosts    []string
	master   string          // Sentinel's name of the primary
	template goredis.Options // without Addr
	guard    goredis.Options // for the Sentinels
	secrets  []string
	keys     []string // a key of each lane

	mu       sync.Mutex
	where    []string  // by lane; "" when unknown
	searches []*search // by lane; nil while nobody looks for its primary
	clients  map[role]*goredis.Client
	closed   bool
}

// role is what the connections of a client at an address are for.
type role struct {
	addr string
	use  use
}

type use uint8

const (
	general use = iota // reads, cuts, sessions
	beats              // leases: what waits for nothing
	upkeep             // repairs, audits, reaping: what waits for no client's calls
)

// search is one caller's look for a lane's primary, for which the others wait:
// when a primary has moved, everybody notices at once.
type search struct {
	done chan struct{} // closed when the rest is set
	addr string
	err  error
}

// errURL never holds the URL: it has a password.
var errURL = errors.New("redis: malformed URL")

// parseURL reads the forms of Options.URL. Multiple hosts are no URL for
// net/url, so the hosts are cut out first.
func parseURL(text string) (c *connector, err error) {
	c = &connector{clients: make(map[role]*goredis.Client)}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil, errURL
	}
	base, kind, _ := strings.Cut(scheme, "+")
	switch {
	case base != "redis" && base != "rediss":
		return nil, fmt.Errorf("redis: URL scheme %q: allowed are redis and rediss, with +cluster or +sentinel", scheme)
	case kind == "":
	case kind == "cluster":
		c.form = cluster
	case kind == "sentinel":
		c.form = sentinel
	default:
		return nil, fmt.Errorf("redis: URL scheme %q: allowed are redis and rediss, with +cluster or +sentinel", scheme)
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse("x://" + user + "host" + tail)
	if err != nil {
		return nil, errURL
	}
	port := "6379"
	if c.form == sentinel {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		h, err := url.Parse("x://" + host)
		if err != nil || h.Hostname() == "" {
			return nil, errors.New("redis: malformed host in URL")
		}
		p := h.Port()
		if p == "" {
			p = port
		}
		c.hosts = append(c.hosts, net.JoinHostPort(h.Hostname(), p))
	}
	if c.form == single && len(c.hosts) > 1 {
		return nil, errors.New("redis: several hosts need redis+cluster or redis+sentinel")
	}
	if u.User != nil {
		c.template.Username = u.User.Username()
		c.template.Password, _ = u.User.Password()
		c.hide(c.template.Password)
		if pass, ok := u.User.Password(); ok && pass != "" {
			_, raw, _ := strings.Cut(strings.TrimSuffix(user, "@"), ":")
			c.hide(raw)
		}
	}
	path := strings.Trim(u.Path, "/")
	if c.form == sentinel {
		c.master, path, _ = strings.Cut(path, "/")
		if c.master == "" {
			return nil, errors.New("redis: a Sentinel URL ends in /name-of-the-primary")
		}
	}
	if path != "" {
		if c.template.DB, err = strconv.Atoi(path); err != nil || c.template.DB < 0 || c.form == cluster && c.template.DB != 0 {
			return nil, errors.New("redis: the database in the URL is not a number, or a Cluster's")
		}
	}
	for name, v := range u.Query() {
		switch {
		case c.form == sentinel && name == "user":
			c.guard.Username = v[0]
		case c.form == sentinel && name == "password":
			c.guard.Password = v[0]
			c.hide(v[0])
		default:
			return nil, errors.New("redis: unknown parameter in URL")
		}
	}
	if base == "rediss" {
		c.template.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		c.guard.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return c, nil
}

func (c *connector) hide(secret string) {
	if len(secret) > 0 && !slices.Contains(c.secrets, secret) {
		c.secrets = append(c.secrets, secret)
	}
}

// redact takes passwords out of an error's text; the error's identity stays.
func (c *connector) redact(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	clean := text
	for _, s := range c.secrets {
		clean = strings.ReplaceAll(clean, s, "***")
	}
	if clean == text {
		return err
	}
	return &redacted{clean, err}
}

type redacted struct {
	text string
	err  error
}

func (r *redacted) Error() string        { return r.text }
func (r *redacted) Is(target error) bool { return errors.Is(r.err, target) }

func newConnector(o Options) (*connector, error) {
	c, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.CAFile != "" {
		if c.template.TLSConfig == nil {
			return nil, errors.New("redis: a CA file needs rediss://")
		}
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("redis: read CA file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("redis: no certificate in %s", o.CAFile)
		}
		c.template.TLSConfig.RootCAs, c.guard.TLSConfig = pool, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}
	}
	for _, t := range []*goredis.Options{&c.template, &c.guard} {
		t.Protocol = 2 // pushes would come between a link's messages
		t.MaxRetries = -1
		t.DialerRetries = 1
		t.DialTimeout = 2 * time.Second
		t.ReadTimeout = 4 * time.Second
		t.WriteTimeout = 4 * time.Second
		t.PoolTimeout = 4 * time.Second
		t.ContextTimeoutEnabled = true
		t.DisableIdentity = true
		t.PoolSize = 1
		t.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	}
	quiet.Do(func() { goredis.SetLogger(silence{}) })
	return c, nil
}

// go-redis logs on its own, to one place per process. What matters comes back
// as errors.
var quiet sync.Once

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// serve sets how many lanes there are, and a key of each.
func (c *connector) serve(keys []string) {
	c.keys, c.where, c.searches = keys, make([]string, len(keys)), make([]*search, len(keys))
}

// address finds the primary of a lane.
func (c *connector) address(ctx context.Context, lane int) (string, error) {
	if c.form == single {
		return c.hosts[0], nil
	}
	for {
		c.mu.Lock()
		if addr := c.where[lane]; addr != "" {
			c.mu.Unlock()
			return addr, nil
		}
		s := c.searches[lane]
		if s == nil {
			s = &search{done: make(chan struct{})}
			c.searches[lane] = s
			c.mu.Unlock()
			c.search(ctx, lane, s)
			return s.addr, s.err
		}
		c.mu.Unlock()
		select {
		case <-s.done:
			// Another caller's patience is not this one's.
			if s.err == nil || !errors.Is(s.err, context.Canceled) && !errors.Is(s.err, context.DeadlineExceeded) {
				return s.addr, s.err
			}
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

func (c *connector) search(ctx context.Context, lane int, s *search) {
	if c.form == sentinel {
		s.addr, s.err = c.askSentinels(ctx)
	} else {
		s.addr, s.err = c.askCluster(ctx, lane)
	}
	s.err = c.redact(s.err)
	c.mu.Lock()
	c.where[lane], c.searches[lane] = s.addr, nil
	c.mu.Unlock()
	close(s.done)
}

func (c *connector) askSentinels(ctx context.Context) (string, error) {
	var last error
	for _, host := range c.hosts {
		o := c.guard
		o.Addr = host
		s := goredis.NewSentinelClient(&o)
		pair, err := s.GetMasterAddrByName(ctx, c.master).Result()
		_ = s.Close()
		if err == nil && len(pair) == 2 {
			return net.JoinHostPort(pair[0], pair[1]), nil
		}
		last = err
	}
	return "", fmt.Errorf("ask the Sentinels for %q: %w", c.master, last)
}

func (c *connector) askCluster(ctx context.Context, lane int) (string, error) {
	c.mu.Lock()
	hosts := slices.Clone(c.hosts)
	for r := range c.clients {
		if !slices.Contains(hosts, r.addr) {
			hosts = append(hosts, r.addr)
		}
	}
	c.mu.Unlock()
	last := errors.New("no node knows the slot")
	for _, host := range hosts {
		o := c.template
		o.Addr = host
		n := goredis.NewClient(&o)
		slot, err := n.ClusterKeySlot(ctx, c.keys[lane]).Result()
		var slots []goredis.ClusterSlot
		if err == nil {
			// CLUSTER SHARDS, its successor, is not there on every service that
			// speaks Cluster.
			slots, err = n.ClusterSlots(ctx).Result() //nolint:staticcheck // see above
		}
		_ = n.Close()
		if err != nil {
			last = err
			continue
		}
		for _, s := range slots {
			if int64(s.Start) <= slot && slot <= int64(s.End) && len(s.Nodes) > 0 {
				h, p, err := net.SplitHostPort(s.Nodes[0].Addr)
				if err != nil {
					continue
				}
				if h == "" {
					h, _, _ = net.SplitHostPort(host)
				}
				return net.JoinHostPort(h, p), nil
			}
		}
	}
	return "", fmt.Errorf("ask the Cluster for slot of lane %d: %w", lane, last)
}

// forget makes the next caller look for the lane's primary anew, unless it has
// been found elsewhere than at the client's address meanwhile.
func (c *connector) forget(lane int, client *goredis.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.where[lane] == client.Options().Addr {
		c.where[lane] = ""
	}
}

// pool is the client for reads and cuts in a lane.
func (c *connector) pool(ctx context.Context, lane, size int) (*goredis.Client, error) {
	return c.client(ctx, lane, general, size)
}

// client is the client for a use in a lane, of size connections at most.
func (c *connector) client(ctx context.Context, lane int, use use, size int) (*goredis.Client, error) {
	addr, err := c.address(ctx, lane)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, adapter.ErrClosed
	}
	r := role{addr, use}
	cl := c.clients[r]
	if cl == nil {
		o := c.template
		o.Addr, o.PoolSize = addr, size
		cl = goredis.NewClient(&o)
		c.clients[r] = cl
	}
	return cl, nil
}

// dedicated makes a client that has one connection in its life: nothing can
// reconnect behind its owner's back. It refuses to speak to a replica.
func (c *connector) dedicated(ctx context.Context, lane int) (*goredis.Client, error) {
	addr, err := c.address(ctx, lane)
	if err != nil {
		return nil, err
	}
	o := c.template
	o.Addr = addr
	dial := goredis.NewDialer(&o)
	var used atomic.Bool
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if used.Swap(true) {
			return nil, errors.New("the connection was lost")
		}
		return dial(ctx, network, addr)
	}
	o.OnConnect = func(ctx context.Context, cn *goredis.Conn) error {
		info, err := cn.Info(ctx, "replication").Result()
		if err != nil {
			return err
		}
		if !strings.Contains(info, "role:master") {
			return errors.New("READONLY the primary has become a replica")
		}
		return nil
	}
	return goredis.NewClient(&o), nil
}

// universal is a client for what is none of the adapter's own: channels of any
// name, wherever they belong. Its owner closes it.
func (c *connector) universal() goredis.UniversalClient {
	switch c.form {
	case cluster:
		return goredis.NewClusterClient(&goredis.ClusterOptions{
			// What failed at one node is not tried at another: it may have
			// been published.
			Addrs: c.hosts, MaxRedirects: -1,
			NewClient: func(o *goredis.Options) *goredis.Client {
				own := c.template
				own.Addr, own.PoolSize = o.Addr, universalPool
				return goredis.NewClient(&own)
			},
		})
	case sentinel:
		return goredis.NewFailoverClient(&goredis.FailoverOptions{
			MasterName: c.master, SentinelAddrs: c.hosts, SentinelUsername: c.guard.Username, SentinelPassword: c.guard.Password,
			Username: c.template.Username, Password: c.template.Password, DB: c.template.DB, TLSConfig: c.template.TLSConfig,
			Protocol: c.template.Protocol, MaxRetries: c.template.MaxRetries, DialTimeout: c.template.DialTimeout,
			ReadTimeout: c.template.ReadTimeout, WriteTimeout: c.template.WriteTimeout, PoolTimeout: c.template.PoolTimeout,
			ContextTimeoutEnabled: true, DisableIdentity: true, PoolSize: universalPool,
		})
	}
	o := c.template
	o.Addr, o.PoolSize = c.hosts[0], universalPool
	return goredis.NewClient(&o)
}

// universalPool bounds its connections to each Redis node: publishing, leasing
// and counting take one each.
const universalPool = 4

func (c *connector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, cl := range c.clients {
		_ = cl.Close()
	}
	clear(c.clients)
}
