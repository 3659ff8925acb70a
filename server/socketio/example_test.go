package socketio_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/endpoint"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// Order is a payload: it is decoded before the handler is called.
type Order struct {
	Dish  string `json:"dish"`
	Photo []byte `json:"photo"` // binary from the client
}

// A namespace with a typed handler: what it returns is the acknowledgement.
func Example() {
	store, err := local.Open(local.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	sio := socketio.NewServer(store, socketio.Options{Recovery: true})
	kitchen := sio.Of("/kitchen")

	kitchen.Use(func(_ context.Context, s *socketio.Socket) error {
		user := s.Handshake().Query["user"]
		if user == "" {
			return &socketio.ConnectError{Message: "who are you?", Data: map[string]bool{"login": true}}
		}
		s.SetUser(user)
		return nil
	})
	kitchen.OnConnect(func(ctx context.Context, s *socketio.Socket) error {
		return s.Join(ctx, "cooks")
	})
	socketio.On(kitchen, "order", func(ctx context.Context, s *socketio.Socket, o Order) (int, error) {
		if o.Dish == "" {
			return 0, errors.New("no dish")
		}
		return len(o.Photo), s.To("cooks").Emit(ctx, "ordered", o.Dish, socketio.Binary(o.Photo))
	})

	eio := endpoint.New(sio, store, engineio.Options{})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", eio)
	// http.ListenAndServe(":3000", mux), and in the end:
	ctx := context.Background()
	fmt.Println(eio.Close(ctx), sio.Close(ctx), store.Close(ctx))
	// Output: <nil> <nil> <nil>
}
