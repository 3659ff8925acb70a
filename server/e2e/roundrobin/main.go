// Command roundrobin is a proxy that gives each request to the next node, as a
// load balancer without sticky sessions does; with -sticky, to the node of the
// request's session, to compare with. The tests and the measurements use it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, "roundrobin:", err)
		os.Exit(1)
	}
}

func serve() error {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on")
	nodes := flag.String("nodes", "", "the nodes, as host:port,…")
	sticky := flag.Bool("sticky", false, "keep a session's requests at one node")
	flag.Parse()
	if *nodes == "" {
		return errors.New("-nodes is required")
	}
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	b := &balancer{nodes: strings.Split(*nodes, ","), sticky: *sticky}
	b.transport = &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Transport: b,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme = "http"
			r.Out.URL.Host = "node" // the balancer says which
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		// A client or a node that goes away is what the tests are about.
		ErrorLog:     log.New(io.Discard, "", 0),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: 10 * time.Second, ErrorLog: proxy.ErrorLog}
	fmt.Println("listening on", l.Addr())

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// balancer is the proxy's transport.
type balancer struct {
	nodes     []string
	sticky    bool
	transport *http.Transport
	turn      atomic.Uint64
	homes     sync.Map // session id → node, when sticky
}

// RoundTrip gives the request to the next node that takes connections.
func (b *balancer) RoundTrip(r *http.Request) (*http.Response, error) {
	first := int(b.turn.Add(1))
	if sid := r.URL.Query().Get("sid"); b.sticky && sid != "" {
		// By the node's own name, which the id begins with; the first request
		// tells where that is.
		if home, ok := b.homes.Load(sid[:min(6, len(sid))]); ok {
			first = home.(int)
		} else {
			h := fnv.New32a()
			_, _ = h.Write([]byte(sid))
			first = int(h.Sum32())
		}
	}
	var last error
	for i := range b.nodes {
		n := (first + i) % len(b.nodes)
		r.URL.Host = b.nodes[n]
		resp, err := b.transport.RoundTrip(r)
		if err == nil {
			if b.sticky {
				err = b.learn(resp, r, n)
			}
			return resp, err
		}
		last = err
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "dial" {
			break // the node has, or may have, the request
		}
	}
	return nil, last
}

// learn reads which node made a session: the open packet names it.
func (b *balancer) learn(resp *http.Response, r *http.Request, n int) error {
	if r.URL.Query().Get("sid") != "" || resp.StatusCode != http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(strings.NewReader(string(body)))
	if _, after, ok := strings.Cut(string(body), `"sid":"`); ok && len(after) > 6 {
		b.homes.Store(after[:6], n)
	}
	return nil
}
