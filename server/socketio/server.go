package socketio

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio/packet"
)

// Server is the Socket.IO layer of one node. Its methods may be called from
// any goroutine.
type Server struct {
	adapter adapter.Adapter
	options Options
	lanes   int
	// decoders for protocol 4 and 5, of which each client has its own copy.
	decoders [2]*packet.Decoder

	// completed is the position of the last broadcast that is in the queue of
	// every socket it is for. Written by the sequencer alone; lanes are
	// independent, so they need not be read together.
	completed [adapter.MaxLanes]atomic.Uint64

	arriving  atomic.Int64 // bytes of packets whose attachments are to come
	deadlines deadlines
	leaving   leavingSockets
	moves     moves
	tasks     tasks

	mu         sync.Mutex
	namespaces map[string]*Namespace // guarded by mu
	parents    []*Namespace          // guarded by mu
	clients    *Client               // a list; guarded by mu
	count      int                   // of clients; guarded by mu
}

// NewServer makes a server that reaches the fleet through a. The caller closes
// the adapter, after the server.
func NewServer(a adapter.Adapter, o Options) *Server {
	return &Server{
		adapter:    a,
		options:    o.withDefaults(),
		lanes:      a.Lanes(),
		decoders:   [2]*packet.Decoder{packet.NewDecoder(4, o.Limits), packet.NewDecoder(5, o.Limits)},
		leaving:    leavingSockets{byID: make(map[string]*Socket)},
		tasks:      tasks{ended: make(chan struct{}, 1)},
		namespaces: make(map[string]*Namespace),
	}
}

// Of gives the namespace of a name, "/" being the root, and makes it if it is
// new. A missing slash at the beginning is added.
func (s *Server) Of(name string) *Namespace {
	if !strings.HasPrefix(name, "/") {
		name = "/" + name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.namespaces[name]
	if ns == nil {
		ns = newNamespace(s, name, nil)
		s.namespaces[name] = ns
		s.adapter.Open(name, (*receiver)(ns))
	}
	return ns
}

// OfMatch makes a parent of dynamic namespaces: when a client asks for a name
// that Of did not make and match accepts it, that namespace is made with the
// parent's handlers, and removed again when its last socket has left. match is
// asked at each CONNECT, on a goroutine of its own, and may block. What the
// parent emits goes to those of its namespaces that have sockets on this node.
func (s *Server) OfMatch(match Match) *Namespace {
	ns := newNamespace(s, "", nil)
	ns.match = match
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parents = append(s.parents, ns)
	return ns
}

// OfPattern is OfMatch for the names that a pattern matches.
func (s *Server) OfPattern(pattern *regexp.Regexp) *Namespace {
	return s.OfMatch(func(_ context.Context, name string, _ json.RawMessage) bool {
		return pattern.MatchString(name)
	})
}

// Namespaces lists the namespaces that exist now, dynamic ones too, by name.
func (s *Server) Namespaces() []*Namespace {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*Namespace, 0, len(s.namespaces))
	for _, ns := range s.namespaces {
		list = append(list, ns)
	}
	slices.SortFunc(list, func(a, b *Namespace) int { return strings.Compare(a.name, b.name) })
	return list
}

// Find gives the namespace of a name, nil when there is none.
func (s *Server) Find(name string) *Namespace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.namespaces[name]
}

// Sockets lists this node's sockets that were accepted and have not ended, in
// no order.
func (s *Server) Sockets() []*Socket {
	clients := s.everyone()
	list := make([]*Socket, 0, len(clients))
	for _, c := range clients {
		for _, socket := range c.sockets() {
			socket.mu.Lock()
			live := socket.state == socketAccepted
			socket.mu.Unlock()
			if live {
				list = append(list, socket)
			}
		}
	}
	return list
}

// Clients is the number of open connections.
func (s *Server) Clients() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

// Accept takes a new Engine.IO session in: the Client handles what it
// receives, until Closed. It does not block.
func (s *Server) Accept(conn Conn) *Client {
	c := newClient(s, conn)
	if s.add(c) {
		conn.Close(string(ReasonShutdown))
		return c
	}
	c.open()
	return c
}

// add puts a client on the list, until its Closed; closing says that the server
// is.
func (s *Server) add(c *Client) (closing bool) {
	s.tasks.begin()
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.next = s.clients; c.next != nil {
		c.next.previous = c
	}
	s.clients = c
	s.count++
	return s.tasks.closing.Load()
}

// removeLocked takes a client off the list.
func (s *Server) removeLocked(c *Client) {
	if c.next != nil {
		c.next.previous = c.previous
	}
	if c.previous != nil {
		c.previous.next = c.next
	} else {
		s.clients = c.next
	}
	c.next, c.previous = nil, nil
	s.count--
}

// Close ends every connection, so that clients come back to another node and
// recover, and waits for the handlers. When the context ends first its error is
// returned; handlers that still run then have contexts that end within 5 s.
func (s *Server) Close(ctx context.Context) error {
	s.tasks.closing.Store(true)
	for _, c := range s.everyone() {
		c.conn.Close(string(ReasonShutdown))
	}
	if err := s.tasks.wait(ctx); err != nil {
		return fmt.Errorf("close socketio server: %w", err)
	}
	s.deadlines.close()
	return nil
}

// everyone is the clients that there are now.
func (s *Server) everyone() []*Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	clients := make([]*Client, 0, s.count)
	for c := s.clients; c != nil; c = c.next {
		clients = append(clients, c)
	}
	return clients
}

// known says whether a namespace of that name may exist; if not, a CONNECT
// costs no more than its answer.
func (s *Server) known(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.namespaces[name] != nil || len(s.parents) > 0
}

// errInvalidNamespace refuses an unknown namespace.
var errInvalidNamespace = &ConnectError{Message: "Invalid namespace"}

// resolve finds or makes the namespace for a CONNECT and counts the socket in;
// release counts it out.
func (s *Server) resolve(ctx context.Context, name string, auth json.RawMessage) (*Namespace, error) {
	s.mu.Lock()
	ns := s.namespaces[name]
	parents := s.parents
	if ns != nil && ns.parent == nil {
		ns.refs++
		s.mu.Unlock()
		ns.freeze()
		return ns, nil
	}
	s.mu.Unlock()
	for _, parent := range parents {
		match := false
		s.protect("connect", func() { match = parent.match(ctx, name, auth) })
		if match {
			parent.freeze()
			return s.child(parent, name), nil
		}
	}
	return nil, errInvalidNamespace
}

// child finds or makes a dynamic namespace.
func (s *Server) child(parent *Namespace, name string) *Namespace {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns := s.namespaces[name]
	if ns == nil {
		ns = newNamespace(s, name, parent.config)
		ns.parent = parent
		s.namespaces[name] = ns
		s.adapter.Open(name, (*receiver)(ns))
	}
	ns.refs++
	return ns
}

// release counts a socket out. A dynamic namespace goes with its last one.
func (s *Server) release(ns *Namespace) {
	s.mu.Lock()
	defer s.mu.Unlock()
	ns.refs--
	if ns.refs == 0 && ns.parent != nil {
		delete(s.namespaces, ns.name)
		s.adapter.CloseNamespace(ns.name)
	}
}

// targets are the namespaces that an emit of ns is for: itself, or a parent's
// children.
func (ns *Namespace) targets() []*Namespace {
	if ns.name != "" {
		return []*Namespace{ns}
	}
	var children []*Namespace
	for _, child := range ns.server.Namespaces() {
		if child.parent == ns {
			children = append(children, child)
		}
	}
	return children
}

// advance notes that a broadcast is in every recipient's queue.
func (s *Server) advance(p adapter.Position) {
	for lane := range s.lanes {
		if p[lane] > s.completed[lane].Load() {
			s.completed[lane].Store(p[lane])
		}
	}
}

// position is the last completed broadcast's.
func (s *Server) position() (p adapter.Position) {
	for lane := range s.lanes {
		p[lane] = s.completed[lane].Load()
	}
	return p
}

// newID makes an id of 20 characters, as other packages expect it to be long.
func newID() string {
	var b [15]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}
