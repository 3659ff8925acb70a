package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/antchat/antchat/server/observe"
)

// Limits of the operator's own listener. A profile takes as long as it was asked
// to, so answers have no limit in time; few connections are open at once.
const (
	adminHeaderTimeout  = 10 * time.Second
	adminIdleTimeout    = 2 * time.Minute
	adminMaxHeaderBytes = 16 << 10
)

// admin serves the operator: newAdmin, listen, close, in this order.
type admin struct {
	server   *http.Server
	listener net.Listener  // nil before listen
	served   chan struct{} // closed when serving has ended
}

func newAdmin(h http.Handler, logger *slog.Logger) *admin {
	return &admin{
		served: make(chan struct{}),
		server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: adminHeaderTimeout,
			ReadTimeout:       adminHeaderTimeout,
			IdleTimeout:       adminIdleTimeout,
			MaxHeaderBytes:    adminMaxHeaderBytes,
			ErrorLog:          observe.HTTPErrors(logger),
		},
	}
}

// listen opens the address and serves it.
func (a *admin) listen(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	a.listener = l
	go func() {
		defer close(a.served)
		_ = a.server.Serve(l) // until close
	}()
	return nil
}

// address is where it listens.
func (a *admin) address() string { return a.listener.Addr().String() }

// close ends it: a scrape under way is finished, a longer profile is not waited
// for.
func (a *admin) close(context.Context) error {
	if a.listener == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := a.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = a.server.Close()
	}
	<-a.served
	return err
}
