package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// stopReserve is the part of http.stop_timeout, at most, that is kept for what
// comes after the connections: handlers, the chat, the store.
const stopReserve = time.Second

// askNodes bounds the question whether there are other nodes. Without an answer
// it is taken that there are.
const askNodes = 500 * time.Millisecond

// stop ends what newProgram and listen have started, as far as they came, in
// the order that the package's doc names. It takes at most http.stop_timeout;
// an error says what did not end cleanly.
func (p *program) stop() error {
	whole := p.config.HTTP.StopTimeout
	ctx, cancel := context.WithTimeout(context.Background(), whole)
	defer cancel()
	connections, cancel := context.WithTimeout(ctx, whole-min(stopReserve, whole/5))
	defer cancel()
	if p.engine != nil {
		p.engine.Refuse() // before it says that it is not ready
	}
	p.stopping.Store(true)

	var errs []error
	end := func(ctx context.Context, what string, f func(context.Context) error) {
		if err := f(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", what, err))
		}
	}
	api := make(chan error, 1)
	go func() {
		if p.api == nil {
			api <- nil
			return
		}
		api <- p.api.Close(connections) // no slow request holds up the others' turn
	}()
	if p.http != nil {
		p.drain(connections)
		// Shutdown waits for held polls, which end with their sessions.
		quiet := make(chan struct{})
		go func() {
			defer close(quiet)
			end(connections, "listener", p.http.Shutdown)
		}()
		p.silent.close()
		engine := p.engine.Close(connections)
		<-quiet
		end(ctx, "sessions", func(context.Context) error { return engine })
		_ = p.http.Close() // what Shutdown's time did not suffice for
	} else if p.engine != nil {
		end(ctx, "sessions", p.engine.Close)
	}
	end(ctx, "api", func(context.Context) error { return <-api })
	if p.listener != nil {
		_ = p.listener.Close() // closed already if it was served
	}
	if p.sockets != nil {
		end(ctx, "sockets", p.sockets.Close)
	}
	if p.chat != nil {
		end(ctx, "chat", p.chat.Close)
	}
	if p.webhooks != nil {
		// After the chat, which tells it who has left.
		webhooks, cancel := context.WithTimeout(ctx, stopReserve/2)
		end(webhooks, "webhooks", p.webhooks.Close)
		cancel()
	}
	if p.load != nil {
		p.load.Close() // nobody asks any more
	}
	if p.tokens != nil {
		p.tokens.Close()
	}
	if p.adminUI != nil {
		end(ctx, "admin ui", p.adminUI.Close)
	}
	if p.adapter != nil {
		end(ctx, "store", p.adapter.Close)
	}
	if p.tracer != nil {
		end(ctx, "traces", p.tracer.Close)
	}
	if p.admin != nil {
		// After all others, so that the stop itself can be watched.
		end(ctx, "admin", p.admin.close)
	}
	if p.gateway != nil {
		end(ctx, "page", func(context.Context) error { return p.gateway.Close() })
	}
	return errors.Join(errs...)
}

// drain closes the connections, each at a moment when its client waits for no
// answer: one after the other, over http.drain_window, if there is another node to
// which their clients can go. Until then the listener stays open, to answer "not
// now" to those who are sent here all the same, and to the polls of sessions whose
// turn has not come.
func (p *program) drain(ctx context.Context) {
	if p.listener == nil {
		return
	}
	window := p.config.HTTP.DrainWindow
	if window > 0 && p.alone(ctx) {
		window = 0 // who is sent away early would only wait longer
	}
	if window > 0 {
		p.logger.Info("draining", "sessions", p.engine.Sessions(), "window", window)
	}
	p.engine.Drain(ctx, window)
}

// lastAnswers ends each connection with its answer once the node stops, since a
// balancer's kept connection would bring the next request here. net/http can do
// that too (SetKeepAlivesEnabled), but it closes what it takes for idle, a
// connection whose request is just being read among them: that ends a session
// that polls.
func (p *program) lastAnswers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.stopping.Load() && r.Header.Get("Upgrade") == "" {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// alone says whether there is no other node.
func (p *program) alone(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, askNodes)
	defer cancel()
	nodes, err := p.adapter.Nodes(ctx)
	return err == nil && len(nodes) < 2
}
