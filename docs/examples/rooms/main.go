// Rooms is a whole Socket.IO server: clients join rooms and say something there.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/endpoint"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/gateway"
	"github.com/antchat/antchat/server/socketio"
	"github.com/antchat/antchat/web"
)

// saying is a payload: what encoding/json makes of it travels.
type saying struct {
	Room string `json:"room"`
	Text string `json:"text"`
}

// room keeps the rooms that clients name apart from all others: a socket's id is a
// room as well.
func room(name string) string { return "room:" + name }

func main() {
	addr := flag.String("addr", "localhost:3000", "where to listen")
	flag.Parse()
	handler, err := newHandler()
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(*addr, handler))
}

func newHandler() (http.Handler, error) {
	store, err := local.Open(local.Options{}) // or redis.Open: many nodes
	if err != nil {
		return nil, err
	}
	sockets := socketio.NewServer(store, socketio.Options{Recovery: true})

	ns := sockets.Of("/")
	socketio.On(ns, "join", func(ctx context.Context, s *socketio.Socket, name string) (struct{}, error) {
		return struct{}{}, s.Join(ctx, room(name)) // acknowledged without arguments
	})
	socketio.On(ns, "say", func(ctx context.Context, s *socketio.Socket, said saying) (int, error) {
		err := s.To(room(said.Room)).Emit(ctx, "say", said)
		return len(said.Text), err // acknowledged with a number
	})

	return gateway.New(gateway.Options{
		Endpoint: endpoint.New(sockets, store, engineio.Options{}),
		Client:   web.Client(), // /socket.io/socket.io.js
		Origins:  gateway.NewOrigins([]string{"localhost"}, false),
	})
}
