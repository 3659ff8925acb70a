// Command googollee is github.com/googollee/go-socket.io with the two handlers of
// the benchmark, with its default options. It speaks revision 3 only.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	socketio "github.com/googollee/go-socket.io"
)

func main() {
	io := socketio.NewServer(nil)
	io.OnConnect("/", func(socketio.Conn) error { return nil })
	io.OnEvent("/", "join", func(c socketio.Conn, room string) string {
		c.Join(room)
		return "" // the acknowledgement
	})
	io.OnEvent("/", "msg", func(_ socketio.Conn, room, payload string) {
		io.BroadcastToRoom("/", room, "msg", payload)
	})
	go func() { log.Fatal(io.Serve()) }()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	fmt.Println("listening", l.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(l))
}
