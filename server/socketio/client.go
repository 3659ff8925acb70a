package socketio

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/server/socketio/packet"
)

// Client is one connection: an Engine.IO session and its sockets, one in each
// namespace that it has joined. Text, Binary and Closed are the session's
// handler.
type Client struct {
	server *Server
	conn   Conn

	next, previous *Client // in the server's list; guarded by server.mu

	// partial is a packet whose attachments are to come: the reading goroutine's, until
	// Closed.
	partial atomic.Pointer[partial]

	// Owned by the reading goroutine.
	connects int32  // CONNECT packets in this minute
	minute   uint32 // which one

	mu sync.Mutex
	// Guarded by mu.
	root   *Socket            // of "/", which most clients are in and no other
	others map[string]*Socket // by name, made on demand
	early  *early             // nil once it is over
	closed bool

	// The small fields stand together, since every byte counts here. The next two
	// are the reading goroutine's.
	texts     bool // the client has the text parser
	deaf      bool // broke the protocol: what else it says is ignored
	revision3 bool // Engine.IO 3, so Socket.IO protocol 4; immutable
	// msgpack is settled by the first packet, before there is a socket (a
	// client of protocol 5 moves first), and not changed afterwards.
	msgpack bool
}

// partial is a packet whose attachments are to come.
type partial struct {
	decoder packet.Decoder
	timeout *deadline
	held    atomic.Int64 // bytes, as counted in Server.arriving
}

// hold counts more bytes of a packet whose attachments are to come. Each connection's
// is bounded, by Limits.MaxBytes and AttachmentWait, but there are many connections.
// When all hold too much it closes this one and is false.
func (c *Client) hold(p *partial, n int) bool {
	p.held.Add(int64(n))
	if c.server.arriving.Add(int64(n)) <= c.server.options.MaxArriving {
		return true
	}
	c.letGo()
	c.close("too much is arriving")
	return false
}

// letGo forgets the packet whose attachments are to come.
func (c *Client) letGo() {
	if p := c.partial.Swap(nil); p != nil {
		c.server.deadlines.remove(p.timeout)
		c.server.arriving.Add(-p.held.Swap(0))
	}
}

// early is what a client has at first.
type early struct {
	timeout   *deadline // until a first namespace is joined
	undecided bool      // the root's connect, for protocol 4
	waiting   []func()  // sockets to be run when that is decided
}

// serverLeft stands for a socket that the server has ended: what the client
// sent before it knew is ignored, where it would otherwise cost it the
// connection.
var serverLeft = &Socket{}

func newClient(s *Server, conn Conn) *Client {
	return &Client{server: s, conn: conn, revision3: conn.Revision() == 3}
}

func (c *Client) protocol() int {
	if c.revision3 {
		return 4
	}
	return 5
}

// open begins: a client of protocol 4 is connected to the root unasked
// (socket.io-protocol v4, "Connection to the default namespace"), one of
// protocol 5 has to ask within the timeout.
func (c *Client) open() {
	c.mu.Lock()
	c.early = &early{timeout: c.connectTimeout(), undecided: c.revision3 && c.server.known("/")}
	c.mu.Unlock()
	if c.revision3 {
		c.connect("/", nil)
	}
}

// connectTimeout begins the time that a client has until it is in a namespace.
func (c *Client) connectTimeout() *deadline {
	return c.server.deadlines.add(c.server.options.ConnectTimeout, func() {
		c.conn.Close(string(ReasonForcedServerClose))
	})
}

// endTimeout ends it.
func (c *Client) endTimeout() {
	var timeout *deadline
	c.mu.Lock()
	if e := c.early; e != nil {
		timeout, e.timeout = e.timeout, nil
		c.laterLocked()
	}
	c.mu.Unlock()
	c.server.deadlines.remove(timeout)
}

// laterLocked lets go of early with nothing in it.
func (c *Client) laterLocked() {
	if e := c.early; e != nil && e.timeout == nil && !e.undecided {
		c.early = nil
	}
}

// Text takes one text message. An error closes the session. It blocks while
// the inbox of the socket concerned is full.
func (c *Client) Text(data []byte) error {
	if c.deaf || c.msgpack {
		return c.unfit("text from a msgpack client")
	}
	c.texts = true
	if begun := c.partial.Load(); begun != nil {
		return c.take(begun.decoder.Text(data)) // which it does not take
	}
	d := c.decoder()
	p, err := d.Text(data)
	if p == nil && err == nil {
		begun := &partial{decoder: d, timeout: c.server.deadlines.add(c.server.options.AttachmentWait, func() {
			c.conn.Close(string(ReasonForcedServerClose))
		})}
		c.partial.Store(begun)
		c.hold(begun, len(data))
		return nil
	}
	return c.take(p, err)
}

// Binary takes one binary message: an attachment, or from a client with the
// msgpack parser a packet. Which of the two is told by the first message.
func (c *Client) Binary(data []byte) error {
	if c.deaf {
		return nil
	}
	if !c.texts && !c.revision3 {
		c.msgpack = true
	}
	if c.msgpack {
		return c.take(packet.DecodeMsgpack(data, c.server.options.Limits))
	}
	c.texts = true
	if begun := c.partial.Load(); begun != nil {
		if !c.hold(begun, len(data)) {
			return nil
		}
		return c.take(begun.decoder.Binary(data))
	}
	d := c.decoder()
	return c.take(d.Binary(data)) // which it does not take
}

// decoder is one for the next packet.
func (c *Client) decoder() packet.Decoder { return c.server.decoders[c.protocol()-4].Again() }

// Finish calls done when all events that have come are handled and answered, or
// when within has passed.
func (c *Client) Finish(within time.Duration, done func()) {
	if !slices.ContainsFunc(c.sockets(), (*Socket).working) {
		done()
		return
	}
	c.server.tasks.begin()
	go func() {
		defer c.server.tasks.end()
		defer done()
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		for _, s := range c.sockets() {
			s.awaitIdle(ctx)
		}
	}()
}

// Closed ends the client's sockets. It is the last call.
func (c *Client) Closed(reason string) {
	for _, s := range c.sockets() {
		s.mu.Lock()
		s.moving = false // if it was, that came to nothing
		s.mu.Unlock()
	}
	c.closeAs(DisconnectReason(reason))
}

func (c *Client) closeAs(reason DisconnectReason) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	c.mu.Unlock()
	c.letGo()
	c.endTimeout()
	for _, s := range c.sockets() {
		s.end(reason, false)
	}
	if reason != ReasonTakenOver {
		c.beginAll() // a move here that came to nothing
	}
	c.server.mu.Lock()
	c.server.removeLocked(c)
	c.server.mu.Unlock()
	c.server.tasks.end()
}

func (c *Client) unfit(what string) error {
	if c.deaf {
		return nil
	}
	c.violation(what)
	return fmt.Errorf("socketio: %s", what)
}

// take handles what a decoder returned.
func (c *Client) take(p *packet.Packet, err error) error {
	if c.deaf {
		return nil
	}
	if err != nil {
		c.letGo()
		c.violation("malformed packet")
		return err
	}
	if p == nil {
		return nil // more attachments are to come
	}
	c.letGo()
	c.handle(p)
	return nil
}

// violation closes a connection whose client broke the protocol.
func (c *Client) violation(what string) {
	c.deaf = true
	if h := c.server.options.Hooks.Violation; h != nil {
		h(what)
	}
	c.server.options.Logger.Debug("socketio: connection closed", "violation", what)
}

// close is violation with a close of our own, where the packet was well formed
// and so is no parse error.
func (c *Client) close(what string) {
	c.violation(what)
	c.conn.Close(string(ReasonForcedServerClose))
}

// handle routes a packet to its socket.
func (c *Client) handle(p *packet.Packet) {
	if p.Type == packet.Connect {
		c.asked(p)
		return
	}
	s := c.find(p.Namespace)
	switch s.standing() {
	case standingServerLeft:
		return
	case standingOver:
		c.close("packet for a namespace the client is not in")
		return
	case standingReplaced:
		c.handle(p) // a client's sockets are replaced once at most
		return
	}
	switch p.Type {
	case packet.Disconnect:
		if s.end(ReasonClientLeft, false) {
			c.handle(p)
		}
	case packet.Event:
		switch s.push(p) {
		case pushStalled:
			c.close("events not handled in time")
		case pushElsewhere:
			c.handle(p)
		}
	case packet.Ack:
		s.acked(p)
	default:
		c.close("packet that only servers send")
	}
}

// asked handles a CONNECT.
func (c *Client) asked(p *packet.Packet) {
	o := &c.server.options
	if now := uint32(time.Since(c.conn.Opened()) / time.Minute); now != c.minute {
		c.minute, c.connects = now, 0
	}
	if c.connects++; int(c.connects) > o.MaxConnects {
		c.close("too many CONNECT packets")
		return
	}
	name, auth := p.Namespace, p.Data
	if c.revision3 {
		name, auth = namespaceQuery(name)
	}
	if len(auth) > o.MaxAuth {
		c.refuse(name, &ConnectError{Message: "Auth payload too large"})
		return
	}
	c.connect(name, auth)
}

// connect makes a socket and has it connected.
func (c *Client) connect(name string, auth []byte) {
	if !c.server.known(name) {
		c.refuse(name, errInvalidNamespace)
		return
	}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	old := c.findLocked(name)
	if old == serverLeft {
		old = nil
	}
	if old != nil && !old.over() {
		c.mu.Unlock()
		c.close("second CONNECT")
		return
	}
	if n := c.countLocked(); old == nil && n >= c.server.options.MaxNamespaces {
		c.mu.Unlock()
		c.refuse(name, &ConnectError{Message: "Too many namespaces"})
		return
	}
	s := &Socket{client: c, running: true, holds: 1}
	request := &connectRequest{name: name, auth: auth, previous: old}
	c.storeLocked(name, s)
	c.server.tasks.begin()
	if e := c.early; e != nil && e.undecided && name != "/" {
		e.waiting = append(e.waiting, func() { s.run(request) })
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.conn.Go(func() { s.run(request) })
}

// rootDecided connects what waited for the root's decision.
func (c *Client) rootDecided() {
	var waiting []func()
	c.mu.Lock()
	if e := c.early; e != nil {
		waiting, e.waiting, e.undecided = e.waiting, nil, false
		c.laterLocked()
	}
	c.mu.Unlock()
	for _, run := range waiting {
		c.conn.Go(run)
	}
}

// forget takes a socket that is torn down out of the client.
func (c *Client) forget(s *Socket, byServer bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next *Socket
	if byServer && !c.closed {
		next = serverLeft
	}
	if c.root == s {
		c.root = next
		return
	}
	for name, other := range c.others {
		if other != s {
			continue
		}
		if next == nil {
			delete(c.others, name)
			break
		}
		c.others[name] = next
		c.dropOneLeftLocked(name)
		break
	}
}

// dropOneLeftLocked forgets one of many namespaces that the server has ended, but
// not the latest.
func (c *Client) dropOneLeftLocked(latest string) {
	if len(c.others) <= c.server.options.MaxNamespaces {
		return
	}
	for name, s := range c.others {
		if s == serverLeft && name != latest {
			delete(c.others, name)
			return
		}
	}
}

func (c *Client) find(name string) *Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.findLocked(name)
}

func (c *Client) findLocked(name string) *Socket {
	if name == "/" {
		return c.root
	}
	return c.others[name]
}

func (c *Client) storeLocked(name string, s *Socket) {
	if name == "/" {
		c.root = s
		return
	}
	if c.others == nil {
		c.others = make(map[string]*Socket, 1)
	}
	c.others[name] = s
}

func (c *Client) countLocked() int {
	n := 0
	for _, s := range c.others {
		if s != serverLeft {
			n++
		}
	}
	if c.root != nil && c.root != serverLeft {
		n++
	}
	return n
}

// sockets lists the client's sockets.
func (c *Client) sockets() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]*Socket, 0, 1+len(c.others))
	if c.root != nil && c.root != serverLeft {
		list = append(list, c.root)
	}
	for _, s := range c.others {
		if s != serverLeft {
			list = append(list, s)
		}
	}
	return list
}

// disconnect ends all sockets and closes the connection.
func (c *Client) disconnect() {
	for _, s := range c.sockets() {
		s.leave()
	}
	c.conn.Close(string(ReasonForcedServerClose))
}

// replace puts a fresh socket in the place of one that could not be recovered.
// It gives nil when the client is going.
func (c *Client) replace(old *Socket, name string) *Socket {
	next := &Socket{client: c, running: true, holds: 1}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.findLocked(name) != old {
		return nil
	}
	old.mu.Lock()
	if old.state == socketEnded {
		old.mu.Unlock()
		return nil
	}
	old.state = socketEnded
	old.replaced = true
	if w := old.workLocked(); len(w.inbox) > 0 {
		theirs := next.changeWorkLocked()
		theirs.inbox, theirs.waiting = w.inbox, w.waiting
		w.inbox, w.waiting = nil, 0
	}
	old.signalLocked()
	old.mu.Unlock()
	c.storeLocked(name, next)
	(*socketContext)(old).cancel()
	if old.added {
		c.server.adapter.Remove(old.ns.name, (*member)(old))
	}
	return next
}
