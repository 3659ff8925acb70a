package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"
)

// relay is a TCP proxy that can be a bad network: between the clients and the
// servers it stands for the load balancer and the last mile, between a server
// and Redis for the VPC.
type relay struct {
	// Immutable.
	listener net.Listener
	target   func() (string, error)
	wg       sync.WaitGroup

	mu     sync.Mutex
	pairs  map[*pair]struct{} // guarded by mu, like all below
	order  uint64
	down   bool
	closed bool
	rate   int           // bytes a second and direction for new and old connections; 0: no limit
	frozen chan struct{} // not nil while nothing passes; closed by thaw
}

// pair is one connection through the relay.
type pair struct {
	near, far net.Conn
	number    uint64
	gone      chan struct{} // closed with the pair
	once      sync.Once

	mu     sync.Mutex
	frozen chan struct{} // guarded by mu; as relay.frozen, for this pair alone
	rate   int           // guarded by mu
}

// newRelay listens on loopback; target is asked for each connection.
func newRelay(target func() (string, error)) (*relay, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &relay{listener: l, target: target, pairs: make(map[*pair]struct{})}
	r.wg.Go(r.accept)
	return r, nil
}

func (r *relay) addr() string { return r.listener.Addr().String() }

func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(near) })
	}
}

func (r *relay) serve(near net.Conn) {
	addr, err := r.target()
	if err != nil {
		refuse(near)
		return
	}
	far, err := net.DialTimeout("tcp", addr, 2*time.Second)
	if err != nil {
		refuse(near)
		return
	}
	if tcp, ok := far.(*net.TCPConn); ok {
		// Kernels take megabytes for who does not read; a slow link does not.
		_ = tcp.SetReadBuffer(16 << 10)
	}
	p := &pair{near: near, far: far, gone: make(chan struct{})}
	r.mu.Lock()
	if r.down || r.closed {
		r.mu.Unlock()
		refuse(near)
		refuse(far)
		return
	}
	r.order++
	p.number, p.frozen, p.rate = r.order, r.frozen, r.rate
	r.pairs[p] = struct{}{}
	r.mu.Unlock()

	var pumps sync.WaitGroup
	pumps.Go(func() { p.pump(near, far) })
	pumps.Go(func() { p.pump(far, near) })
	pumps.Wait()
	p.close()
	r.mu.Lock()
	delete(r.pairs, p)
	r.mu.Unlock()
}

// refuse closes with a reset, as a dead host's router would.
func refuse(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func (p *pair) close() {
	p.once.Do(func() {
		close(p.gone)
		_ = p.near.Close()
		_ = p.far.Close()
	})
}

// bury leaves the far side in the belief that the connection lives: nothing is
// read from it and nothing sent, until the relay closes.
func (p *pair) bury() {
	p.mu.Lock()
	if p.frozen == nil {
		p.frozen = make(chan struct{})
	}
	p.mu.Unlock()
	refuse(p.near)
}

func (p *pair) state() (chan struct{}, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.frozen, p.rate
}

// pump moves one direction. What it has read when the pair freezes it still
// holds, and passes on after the thaw: TCP loses nothing either.
func (p *pair) pump(from, to net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		for held := buf[:n]; len(held) > 0; {
			frozen, rate := p.state()
			if frozen != nil {
				select {
				case <-frozen:
					continue
				case <-p.gone:
					return
				}
			}
			part := held
			if rate > 0 {
				part = held[:min(len(held), max(1, rate/20))]
				select {
				case <-time.After(time.Duration(len(part)) * time.Second / time.Duration(rate)):
				case <-p.gone:
					return
				}
			}
			if _, err := to.Write(part); err != nil {
				p.close()
				return
			}
			held = held[len(part):]
		}
		if frozen, _ := p.state(); err != nil && frozen != nil {
			// Who is half-open does not hear that the other has gone.
			select {
			case <-frozen:
			case <-p.gone:
				return
			}
		}
		if err != nil {
			if frozen, _ := p.state(); errors.Is(err, io.EOF) && frozen == nil {
				if t, ok := to.(*net.TCPConn); ok {
					_ = t.CloseWrite()
					return
				}
			}
			p.close()
			return
		}
	}
}

// some picks a share of the present connections, the same ones for the same
// seed and order of connecting.
func (r *relay) some(random *rand.Rand, share float64) []*pair {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]*pair, 0, len(r.pairs))
	for p := range r.pairs {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *pair) int { return int(int64(a.number) - int64(b.number)) })
	var chosen []*pair
	for _, p := range all {
		if random.Float64() < share {
			chosen = append(chosen, p)
		}
	}
	return chosen
}

// cut resets every connection and refuses new ones until mend.
func (r *relay) cut() int {
	r.mu.Lock()
	r.down = true
	n := len(r.pairs)
	all := make([]*pair, 0, n)
	for p := range r.pairs {
		all = append(all, p)
	}
	r.mu.Unlock()
	for _, p := range all {
		refuse(p.near)
		refuse(p.far)
		p.close()
	}
	return n
}

// mend ends cut, stall and slow. What is half-open stays so.
func (r *relay) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down, r.rate = false, 0
	frozen := r.frozen
	r.frozen = nil
	if frozen != nil {
		close(frozen)
	}
	for p := range r.pairs {
		p.mu.Lock()
		if p.frozen == frozen {
			p.frozen = nil
		}
		p.rate = 0
		p.mu.Unlock()
	}
}

// halve makes the given connections half-open: they stay, and nothing passes,
// ever again.
func halve(pairs []*pair) {
	for _, p := range pairs {
		p.mu.Lock()
		if p.frozen == nil {
			p.frozen = make(chan struct{})
		}
		p.mu.Unlock()
	}
}

// stall lets nothing pass until mend; then what was held comes at once.
func (r *relay) stall() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.frozen == nil {
		r.frozen = make(chan struct{})
	}
	for p := range r.pairs {
		p.mu.Lock()
		if p.frozen == nil {
			p.frozen = r.frozen
		}
		p.mu.Unlock()
	}
	return len(r.pairs)
}

// slow gives every connection, new ones too, that many bytes a second and
// direction until mend.
func (r *relay) slow(rate int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rate = rate
	for p := range r.pairs {
		p.mu.Lock()
		p.rate = rate
		p.mu.Unlock()
	}
	return len(r.pairs)
}

// throttle slows the given connections alone, until mend.
func throttle(pairs []*pair, rate int) {
	for _, p := range pairs {
		p.mu.Lock()
		p.rate = rate
		p.mu.Unlock()
	}
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	_ = r.listener.Close()
	r.mu.Lock()
	for p := range r.pairs {
		p.close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
