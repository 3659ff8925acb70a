package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"

	"github.com/antchat/antchat/server/e2e/child"
)

// impatience makes servers call themselves overloaded at delays that a busy
// machine has, so that the flood need not starve the harness as well. Messages are
// taken whatever the delay.
var impatience = map[string]string{
	"OVERLOAD_CONNECTIONS_DELAY": "2ms", "OVERLOAD_EPHEMERAL_DELAY": "3ms", "OVERLOAD_READS_DELAY": "4ms", "OVERLOAD_WRITES_DELAY": "0",
}

const (
	flooders = 100
	// fewestRefused are the refusals that a flood is not over without.
	fewestRefused = 100
)

// flood opens connections as fast as they are accepted, and closes them again,
// until enough were refused for the servers' own sake, and a while longer.
func flood(ctx context.Context, w *world) error {
	var opened, refused atomic.Int64
	flooding, stop := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	for range flooders {
		tasks.Go(func() {
			for flooding.Err() == nil {
				switch err := knock(flooding, w.front.addr()); {
				case err == nil:
					opened.Add(1)
				case errors.Is(err, ws.StatusError(http.StatusServiceUnavailable)):
					refused.Add(1)
					_ = pause(flooding, 20*time.Millisecond)
				}
			}
		})
	}
	err := child.Await(ctx, deadline, func() bool { return refused.Load() >= fewestRefused })
	if err == nil {
		err = pause(ctx, 3*time.Second)
	}
	stop()
	tasks.Wait()
	w.healed()
	w.note("%d connections were opened beside the members', %d were refused with 503", opened.Load(), refused.Load())
	if errors.Is(err, child.ErrInVain) {
		return errors.New("the flood made no server call itself overloaded")
	}
	return err
}

// knock opens a session and leaves again.
func knock(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	conn, _, _, err := ws.Dialer{NetDial: (&net.Dialer{}).DialContext}.Dial(ctx, "ws://"+addr+"/socket.io/?EIO=4&transport=websocket")
	if err != nil {
		return err
	}
	return conn.Close()
}
