// Kitchen serves the chat of docs/protocol.md, and beside it a namespace of its own
// that only those with a key may enter.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log"
	"net/http"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/endpoint"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// order and placed are payloads: what encoding/json makes of them travels.
type order struct {
	Dish  string `json:"dish"`
	Count int    `json:"count"`
}

type placed struct {
	Number int64 `json:"number"`
}

// errTooFew is an error of our own, with a code of our own.
var errTooFew = errors.New("too few")

// explain is what a client is told of a handler's error: in the
// acknowledgement, or in an "error message" event when none was asked for.
func explain(event string, err error) any {
	if errors.Is(err, errTooFew) {
		problem := chatapi.Problem{Code: "too_few", Message: "order at least one"}
		return chatapi.Refusal{Event: event, Error: problem}
	}
	return chatapi.ErrorPayload(event, err) // never the error's own text
}

// newHandler makes the chat with a namespace of our own beside it, and the
// function that ends both.
func newHandler() (http.Handler, func(context.Context) error, error) {
	store, err := local.Open(local.Options{}) // with a Dir, messages survive
	if err != nil {
		return nil, nil, err
	}
	sockets := socketio.NewServer(store, socketio.Options{
		Recovery:     true,
		Views:        chatapi.Views,
		Secrets:      chatapi.Secrets,
		ErrorPayload: explain,
	})
	chat, err := chatapi.New(sockets.Of("/"), store, chatapi.Options{})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close(context.Background()))
	}

	kitchen := sockets.Of("/kitchen")
	kitchen.Use(func(_ context.Context, s *socketio.Socket) error {
		var auth struct {
			Key string `json:"key"`
		}
		if json.Unmarshal(s.Handshake().Auth, &auth) != nil || auth.Key != "salt" {
			return &socketio.ConnectError{Message: "wrong key", Data: map[string]string{"code": "wrong_key"}}
		}
		return nil
	})
	kitchen.OnConnect(func(ctx context.Context, s *socketio.Socket) error {
		return s.Join(ctx, "cooks")
	})
	var orders atomic.Int64
	socketio.On(kitchen, "order", func(ctx context.Context, s *socketio.Socket, o order) (placed, error) {
		if o.Count < 1 {
			return placed{}, errTooFew
		}
		if err := s.To("cooks").Emit(ctx, "order", o); err != nil {
			return placed{}, err
		}
		return placed{Number: orders.Add(1)}, nil // the acknowledgement
	})

	engine := endpoint.New(sockets, store, engineio.Options{})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", engine)
	stop := func(ctx context.Context) error { // from the network inwards
		return errors.Join(engine.Close(ctx), sockets.Close(ctx), chat.Close(ctx), store.Close(ctx))
	}
	return mux, stop, nil
}

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	flag.Parse()
	ctx, done := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer done()
	handler, stop, err := newHandler()
	if err != nil {
		log.Fatal(err)
	}
	srv := &http.Server{Addr: *addr, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := srv.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
			log.Fatal(err)
		}
	}()
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := errors.Join(stop(ctx), srv.Shutdown(ctx)); err != nil {
		log.Fatal(err)
	}
}
