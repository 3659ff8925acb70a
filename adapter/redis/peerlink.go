package redis

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// peerPing is the time between two pings on the peers' link, which carries no
// beats; a link that is silent for three of them is dead.
const peerPing = 3 * time.Second

// listen keeps the peers' link up until the adapter closes.
func (p *peers) listen() {
	for fails := 0; p.a.ctx.Err() == nil; fails++ {
		heard, err := p.session()
		if p.a.ctx.Err() != nil {
			return
		}
		if heard {
			fails = 0
		}
		p.a.note("link of the peers", err)
		select {
		case <-time.After(time.Duration(10+rand.IntN(40)) * time.Millisecond << min(fails, 5)):
		case <-p.a.ctx.Done():
		}
	}
}

// session is the life of one connection; heard says that it was of use.
func (p *peers) session() (heard bool, err error) {
	ctx, cancel := context.WithCancel(p.a.ctx)
	defer cancel()
	client, err := p.a.conn.dedicated(ctx, 0)
	if err != nil {
		return false, err
	}
	defer func() {
		if faultOf(err) != none {
			p.a.conn.forget(0, client)
		}
		_ = client.Close()
	}()
	var ps *goredis.PubSub
	if p.a.lanes[0].publishCmd == "SPUBLISH" {
		ps = client.SSubscribe(ctx, p.channel(p.a.node))
	} else {
		ps = client.Subscribe(ctx, p.channel(p.a.node))
	}
	defer func() { _ = ps.Close() }()
	// A read does not see the context end.
	defer context.AfterFunc(ctx, func() { _ = ps.Close() })()
	pinging := make(chan struct{})
	defer func() { cancel(); <-pinging }()
	go func() {
		defer close(pinging)
		tick := time.NewTicker(peerPing)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				_ = ps.Ping(ctx) // a failure shows in the reading
			}
		}
	}()
	defer p.lost()
	for {
		msg, err := ps.ReceiveTimeout(ctx, 3*peerPing)
		if err != nil {
			return heard, err
		}
		switch msg := msg.(type) {
		case *goredis.Subscription:
			if strings.HasSuffix(msg.Kind, "unsubscribe") {
				return heard, errors.New("unsubscribed by Redis")
			}
			heard = true
			p.found()
		case *goredis.Message:
			p.take(msg.Payload)
		}
	}
}

// found notes that the link can be heard on.
func (p *peers) found() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.linked {
		select {
		case <-p.up:
			return
		default:
		}
		p.mended = time.Now()
	}
	p.linked = true
	close(p.up)
}

// lost tells everybody who waits for a reply that it may have been lost.
func (p *peers) lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.up:
		p.up = make(chan struct{})
	default:
	}
	for id, ch := range p.asked {
		delete(p.asked, id)
		ch <- peerReply{err: adapter.ErrNoReply}
	}
}
