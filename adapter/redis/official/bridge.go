package official

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode/utf16"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// Bridge is this node among servers and emitters of the official packages. All
// methods may be called concurrently. Those without a context do not block;
// what they publish goes out in the order of the calls, and is lost, counted,
// when Redis is away.
type Bridge struct {
	// Immutable.
	o       Options
	decoder decoder
	back    Backend
	links   *links
	pub     *publisher
	col     *collector // nil when nothing is logged
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup

	mu     sync.RWMutex
	spaces map[string]*space
	routes map[subject]*route
	asks   map[string]*gathering
	closed bool
}

// space is one namespace.
type space struct {
	// Immutable.
	name, uid string
	// Channels. Requests, answers and own are of the classic adapter; the
	// sharded one has main for all but the answers, which go to own.
	main, requests, answers, own string
	subjects                     []subject

	// Guarded by the bridge's mu.
	rooms map[string]subject // of the sharded adapter
}

// role says what a subscription carries.
type role uint8

const (
	carriesBroadcasts role = iota + 1
	carriesRequests
	carriesResponses
	carriesSharded
)

type route struct {
	s    *space
	role role
	uses int // by rooms: two may have one name on the other side
}

// Open starts a bridge for no namespace yet. It does not wait for Redis. The
// client is not closed by the bridge; a *redis.Client, a Sentinel's included,
// or a *redis.ClusterClient. It must not retry by itself (MaxRetries -1), since
// what was published twice arrives twice.
func Open(client goredis.UniversalClient, o Options, back Backend) (*Bridge, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Bridge{
		o: o, decoder: o.decoder(), back: back, ctx: ctx, cancel: cancel,
		spaces: make(map[string]*space), routes: make(map[subject]*route), asks: make(map[string]*gathering),
	}
	b.links = newLinks(&b.o, client, b.receive)
	b.pub = newPublisher(&b.o, client)
	b.wg.Go(func() { b.links.run(ctx) })
	b.wg.Go(func() { b.pub.run(ctx) })
	if o.Emitters {
		if len(o.Logged) > 0 {
			b.col = newCollector(&b.o, client, b.links.whole)
			b.wg.Go(func() { b.col.run(ctx) })
		}
		b.links.add(subject{'s', o.PythonChannel})
	}
	return b, nil
}

// Close ends the subscriptions, publishes what still waits for at most two
// seconds, and returns when no call to the Backend or to Append is under way.
func (b *Bridge) Close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.cancel()
	b.wg.Wait()
}

// Add makes the node a server of a namespace. Adding it again does nothing.
func (b *Bridge) Add(namespace string) {
	s := b.newSpace(namespace)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.spaces[namespace] != nil {
		return
	}
	b.spaces[namespace] = s
	for _, sub := range s.subjects {
		b.routes[sub] = &route{s: s, role: s.roleOf(sub)}
	}
	b.links.add(s.subjects...)
}

// Wait blocks until the node hears everything that is published for the
// namespace, which must have been added, or for python-socketio's managers.
func (b *Bridge) Wait(ctx context.Context, namespace string) error {
	b.mu.RLock()
	s := b.spaces[namespace]
	b.mu.RUnlock()
	if s == nil {
		return fmt.Errorf("official: namespace %q was not added", namespace)
	}
	want := slices.Clone(s.subjects)
	if b.o.Emitters {
		want = append(want, subject{'s', b.o.PythonChannel})
	}
	return b.links.wait(ctx, want)
}

// Standing reports whether the node hears what goes to all servers of the
// namespaces that were added, and python-socketio's managers. Subscriptions to
// single rooms come and go with their sockets and are not waited for.
func (b *Bridge) Standing() bool {
	b.mu.RLock()
	var want []subject
	for _, s := range b.spaces {
		want = append(want, s.subjects...)
	}
	b.mu.RUnlock()
	if b.o.Emitters {
		want = append(want, subject{'s', b.o.PythonChannel})
	}
	return b.links.stand(want)
}

// Whole reports whether every subscription stands.
func (b *Bridge) Whole() bool { return b.links.whole() }

// Remove takes the node out of a namespace.
func (b *Bridge) Remove(namespace string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.spaces[namespace]
	if s == nil {
		return
	}
	delete(b.spaces, namespace)
	gone := slices.Clone(s.subjects)
	for _, sub := range s.rooms {
		gone = append(gone, sub)
	}
	clear(s.rooms)
	for _, sub := range gone {
		delete(b.routes, sub)
	}
	b.links.remove(gone...)
}

// newSpace makes a namespace's names. A uid begins with the fleet's name, which
// no uid of a Node server does: those have 6 characters, or 16 of hex.
func (b *Bridge) newSpace(namespace string) *space {
	s := &space{name: namespace, uid: b.o.Fleet + "." + newID(), rooms: make(map[string]subject)}
	s.main = b.o.Prefix + "#" + namespace + "#"
	s.requests = b.o.Prefix + "-request#" + namespace + "#"
	s.answers = b.o.Prefix + "-response#" + namespace + "#"
	s.own = s.answers + s.uid + "#"
	classic := subject{'p', escapeGlob(s.main) + "*"}
	switch {
	case b.o.Mode == Classic:
		s.subjects = []subject{classic, {'s', s.requests}, {'s', s.answers}, {'s', s.own}}
	case b.o.Mode >= Static:
		s.own = s.main + s.uid + "#"
		s.subjects = []subject{{'h', s.main}, {'h', s.own}}
	}
	if b.o.Mode != Classic && b.o.Emitters {
		// Patterns are not counted by PUBSUB NUMSUB: classic servers that
		// count each other do not wait for this node.
		s.subjects = append(s.subjects, classic, subject{'p', escapeGlob(s.requests)})
	}
	return s
}

func (s *space) roleOf(sub subject) role {
	switch {
	case sub.how == 'h':
		return carriesSharded
	case sub.name == s.requests || sub.name == escapeGlob(s.requests):
		return carriesRequests
	case sub.how == 'p':
		return carriesBroadcasts
	}
	return carriesResponses
}

// escapeGlob makes a pattern that matches s only. Node does not escape: a
// namespace with one of these characters is a pattern there.
func escapeGlob(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// ours reports whether a uid is of a node of the fleet.
func (b *Bridge) ours(uid string) bool {
	rest, ok := strings.CutPrefix(uid, b.o.Fleet)
	return ok && strings.HasPrefix(rest, ".")
}

// OpenRoom says that the first local socket has come to a room of an added
// namespace, a socket's own room included: the sharded adapter's dynamic modes
// subscribe to it. CloseRoom says that the last one has left it. Both may be
// called again and again.
//
// Node publishes to a room's channel in Dynamic mode unless the name has 20
// characters, and subscribes unless it is one of its sockets' ids; so that
// sockets whose ids have another length do not hear what is sent to them alone.
// Here they do.
func (b *Bridge) OpenRoom(namespace, room string) {
	if b.o.Mode < Dynamic {
		return
	}
	name, ok := room, true
	own := b.back.Socket(namespace, room)
	if !own {
		name, ok = b.o.RoomOut(room)
	}
	// A name that is empty, or this node's uid, would be another channel.
	if !ok || name == "" || b.ours(name) || b.o.Mode == Dynamic && own && utf16Length(name) == 20 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.spaces[namespace]
	if s == nil {
		return
	}
	if _, there := s.rooms[room]; there {
		return
	}
	sub := subject{'h', s.main + name + "#"}
	s.rooms[room] = sub
	if b.routes[sub] == nil {
		b.routes[sub] = &route{s: s, role: carriesSharded}
	}
	b.routes[sub].uses++
	b.links.add(sub)
}

// CloseRoom: see OpenRoom.
func (b *Bridge) CloseRoom(namespace, room string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.spaces[namespace]
	if s == nil {
		return
	}
	if sub, there := s.rooms[room]; there {
		delete(s.rooms, room)
		if r := b.routes[sub]; r != nil && r.role == carriesSharded {
			if r.uses--; r.uses == 0 {
				delete(b.routes, sub)
			}
		}
		b.links.remove(sub)
	}
}

// utf16Length is a string's length in JavaScript.
func utf16Length(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// receive takes a message of a subscription.
func (b *Bridge) receive(sub subject, channel, payload string) {
	if b.ctx.Err() != nil {
		return
	}
	raw := []byte(payload)
	if len(raw) > b.o.MaxMessage {
		b.o.refused("too large")
		return
	}
	if b.o.Emitters && sub == (subject{'s', b.o.PythonChannel}) {
		b.fromPython(raw)
		return
	}
	b.mu.RLock()
	r := b.routes[sub]
	b.mu.RUnlock()
	if r == nil {
		return
	}
	switch r.role {
	case carriesBroadcasts:
		b.onBroadcast(r.s, channel, raw)
	case carriesRequests:
		if m, err := b.decoder.request(raw); err != nil {
			b.refuse(err)
		} else {
			b.onRequest(r.s, m, b.o.Mode == Classic)
		}
	case carriesResponses:
		if m, err := b.decoder.response(raw); err != nil {
			b.refuse(err)
		} else {
			b.onResponse(m)
		}
	case carriesSharded:
		m, err := b.decoder.sharded(raw)
		switch {
		case err != nil:
			b.refuse(err)
		case m.namespace != r.s.name:
		case m.kind >= kindSockets:
			b.onResponse(m)
		default:
			b.onRequest(r.s, m, true)
		}
	}
}

func (b *Bridge) refuse(err error) {
	switch {
	case errors.Is(err, ErrPickle):
		b.o.refused("pickle")
	case errors.Is(err, ErrLimit):
		b.o.refused("too large")
	default:
		b.o.refused("malformed")
	}
	b.o.Logger.Debug("official formats: refused", "error", err)
}

// failed counts what the backend did not take.
func (b *Bridge) failed(err error) {
	if err != nil {
		b.o.dropped("deliver")
	}
}

// in is what a room of the other side is called here. A local socket's id is
// the room of that socket.
func (b *Bridge) in(s *space, names []string) []string {
	if len(names) == 0 {
		return nil
	}
	out := make([]string, len(names))
	for i, n := range names {
		if out[i] = n; !b.back.Socket(s.name, n) {
			out[i] = b.o.RoomIn(n)
		}
	}
	return out
}

func (b *Bridge) local(s *space, t *target) adapter.Target {
	return adapter.Target{Namespace: s.name, Rooms: b.in(s, t.rooms), Except: b.in(s, t.except), Local: true}
}

// out is what the other side calls a target's rooms. Not ok means that nobody
// there can be in it.
func (b *Bridge) out(namespace string, t *adapter.Target) (o target, ok bool) {
	name := func(list []string) (names []string) {
		for _, r := range list {
			n, ok := r, true
			if !b.back.Socket(namespace, r) {
				n, ok = b.o.RoomOut(r)
			}
			if ok && !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
		return names
	}
	o = target{rooms: name(t.Rooms), except: name(t.Except)}
	return o, len(o.rooms) > 0 || len(t.Rooms) == 0
}
