// Command antchat is our server under the benchmark: the packages with the
// two handlers of the peer, and with what a user runs: recovery on, limits
// on, a logger, the store in memory.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

func main() {
	if err := serve(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve() error {
	cpuProfile := flag.String("cpuprofile", "", "write a CPU profile there on SIGTERM")
	flag.Parse()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	store, err := local.Open(local.Options{Logger: logger})
	if err != nil {
		return err
	}
	sockets := socketio.NewServer(store, socketio.Options{Recovery: true, Logger: logger})
	root := sockets.Of("/")
	socketio.OnArgs(root, "join", func(ctx context.Context, s *socketio.Socket, args socketio.Args) (struct{}, error) {
		var room string
		if err := args.Decode(0, &room); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.Join(ctx, room)
	})
	socketio.OnArgs(root, "msg", func(ctx context.Context, _ *socketio.Socket, args socketio.Args) (struct{}, error) {
		var room, payload string
		if err := args.Decode(0, &room); err != nil {
			return struct{}{}, err
		}
		if err := args.Decode(1, &payload); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, root.To(room).Emit(ctx, "msg", payload)
	})
	engine := engineio.NewServer(func(s *engineio.Session) engineio.Handler { return sockets.Accept(s) }, engineio.Options{Logger: logger})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", engine)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if *cpuProfile != "" {
		f, err := os.Create(*cpuProfile)
		if err != nil {
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		end := make(chan os.Signal, 1)
		signal.Notify(end, syscall.SIGTERM)
		go func() { // ends the program
			<-end
			pprof.StopCPUProfile()
			os.Exit(0)
		}()
	}
	fmt.Println("listening", l.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}
