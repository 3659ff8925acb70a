// Command zishang520 is github.com/zishang520/socket.io with the two handlers of
// the benchmark, with its default options.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/zishang520/socket.io/servers/socket/v3"
)

func main() {
	options := socket.DefaultServerOptions()
	options.SetServeClient(false)
	io := socket.NewServer(nil, nil)
	err := io.On("connection", func(args ...any) {
		client := args[0].(*socket.Socket)
		onJoin := func(args ...any) {
			client.Join(socket.Room(args[0].(string)))
			args[len(args)-1].(socket.Ack)(nil, nil)
		}
		onMsg := func(args ...any) {
			if err := io.To(socket.Room(args[0].(string))).Emit("msg", args[1]); err != nil {
				log.Print(err)
			}
		}
		if err := client.On("join", onJoin); err != nil {
			log.Print(err)
		}
		if err := client.On("msg", onMsg); err != nil {
			log.Print(err)
		}
	})
	if err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io.ServeHandler(options))
	fmt.Println("listening", l.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(l))
}
