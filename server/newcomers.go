package main

import (
	"net"
	"net/http"
	"sync"
)

// newcomers are connections that have not sent anything yet. Browsers open
// some ahead of need, and http.Server.Shutdown would wait seconds for them.
type newcomers struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{} // guarded by mu
	closed bool                  // guarded by mu
}

// watch is an http.Server's ConnState.
func (n *newcomers) watch(c net.Conn, state http.ConnState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if state != http.StateNew {
		delete(n.conns, c)
		return
	}
	if n.closed {
		_ = c.Close() // nobody would serve it any more
		return
	}
	if n.conns == nil {
		n.conns = map[net.Conn]struct{}{}
	}
	n.conns[c] = struct{}{}
}

// close turns all of them away, and those that come later.
func (n *newcomers) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	for c := range n.conns {
		_ = c.Close() // nothing was said on it
	}
}
