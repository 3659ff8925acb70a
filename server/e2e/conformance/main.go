// Command conformance serves what the published Engine.IO and Socket.IO test
// suites expect, built from our packages: an Engine.IO echo at /engine.io/, and
// at /socket.io/ an application that emits "auth" on connect, answers "message"
// with "message-back" and acknowledges "message-with-ack". The interoperability
// tests use it too, with ordinary heartbeats.
//
// The suites are part of github.com/socketio/socket.io, in docs/: the
// v3-test-suite and v4-test-suite of engine.io-protocol and the v5-test-suite of
// socket.io-protocol. Fetch them to a scratch place, npm install and npm test
// there while this runs with its defaults; they want http://localhost:3000.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/adapter/redis"
	"github.com/antchat/antchat/server/endpoint"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
	"github.com/antchat/antchat/server/socketio/packet"
	"github.com/rs/cors"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := serve(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	addr := flag.String("addr", "localhost:3000", "address to listen on")
	pingInterval := flag.Duration("ping-interval", 300*time.Millisecond, "time between heartbeats; the suites want the default")
	pingTimeout := flag.Duration("ping-timeout", 200*time.Millisecond, "time to answer one; the suites want the default")
	redisURL := flag.String("redis", "", "a Redis that makes this one node of a fleet")
	flag.Parse()

	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	engine := engineio.Options{
		PingInterval: *pingInterval, PingTimeout: *pingTimeout,
		MaxHTTPBufferSize: 1_000_000, StrictRevision: true,
		CheckOrigin: func(*http.Request) bool { return true },
		Logger:      logger,
	}
	store, err := open(*redisURL, logger)
	if err != nil {
		return err
	}
	sockets := socketio.NewServer(store, socketio.Options{ConnectTimeout: time.Second, Logger: logger})
	application(sockets)
	echoes := engineio.NewServer(newEcho, engine)
	apps := endpoint.New(sockets, store, engine)

	mux := http.NewServeMux()
	mux.Handle("/engine.io/", echoes)
	mux.Handle("/socket.io/", apps)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprintln(w, "ok") })
	server := &http.Server{Addr: *addr, Handler: cors.AllowAll().Handler(mux), ReadHeaderTimeout: 10 * time.Second}

	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }() // ends with Shutdown, below
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return errors.Join(err, apps.Close(ending), echoes.Close(ending), sockets.Close(ending), server.Shutdown(ending), store.Close(ending))
}

// open opens a store: this process alone, or a place in a fleet.
func open(redisURL string, logger *slog.Logger) (adapter.Adapter, error) {
	if redisURL == "" {
		return local.Open(local.Options{})
	}
	return redis.Open(redis.Options{URL: redisURL, Logger: logger})
}

// application is the Socket.IO side of the suites.
func application(sockets *socketio.Server) {
	auth := func(_ context.Context, s *socketio.Socket) error {
		given := s.Handshake().Auth
		if len(given) == 0 {
			given = []byte("{}")
		}
		return s.Emit("auth", given)
	}
	root := sockets.Of("/")
	root.OnConnect(auth)
	root.Handle("message", func(_ context.Context, s *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
		return socketio.Reply{}, s.EmitEvent(adapter.Event{
			Name: "message-back", Data: array(e.Args, "message-back"), Attachments: e.Args.Attachments(),
		})
	})
	root.Handle("message-with-ack", func(_ context.Context, _ *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
		return socketio.AnswerRaw(array(e.Args), e.Args.Attachments()), nil
	})
	sockets.Of("/custom").OnConnect(auth)
}

// array is a JSON array of the words and the arguments, as they came.
func array(args socketio.Args, words ...string) []byte {
	data := []byte{'['}
	for _, w := range words {
		data = append(packet.AppendString(data, w), ',')
	}
	for i := range args.Len() {
		data = append(append(data, args.Raw(i)...), ',')
	}
	if len(data) == 1 {
		return append(data, ']')
	}
	data[len(data)-1] = ']'
	return data
}

// echo sends every Engine.IO message back as it came.
type echo struct{ session *engineio.Session }

// openDelay parts the open packet from the 101 answer. One test of the revision
// 3 suite waits for its WebSocket to be open before it listens for messages: when
// both arrive in one segment its client library drops the open packet, whatever
// the server.
const openDelay = 5 * time.Millisecond

func newEcho(s *engineio.Session) engineio.Handler {
	if s.Transport() == engineio.TransportWebSocket {
		time.Sleep(openDelay)
	}
	return &echo{session: s}
}

func (e *echo) Text(data []byte) error { return e.session.Send(e.session.Prepare(data, nil)) }

func (e *echo) Binary(data []byte) error {
	return e.session.Send(e.session.Prepare(nil, [][]byte{data}))
}

func (e *echo) Closed(string) {}
