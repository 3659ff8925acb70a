// Command antchat is our server under the benchmark: the packages with the
// two handlers of the peer, and with what a user runs: recovery on, limits
// on, a logger, the store in memory or, with -redis, shared with other nodes.
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
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/adapter/redis"
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
	profile := flag.String("profile", "", "on SIGTERM write a CPU profile to this file and a heap profile beside it")
	url := flag.String("redis", "", "be one of several nodes that share this Redis (a URL)")
	flag.Parse()
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	store, err := open(*url, logger)
	if err != nil {
		return err
	}
	sockets := socketio.NewServer(store, socketio.Options{Recovery: true, Logger: logger})
	root := sockets.Of("/")
	socketio.On(root, "join", func(ctx context.Context, s *socketio.Socket, room string) (struct{}, error) {
		return struct{}{}, s.Join(ctx, room)
	})
	socketio.OnArgs(root, "msg", func(ctx context.Context, _ *socketio.Socket, args socketio.Args) (struct{}, error) {
		var room, payload string
		if err := args.Scan(&room, &payload); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, root.To(room).Emit(ctx, "msg", payload)
	})
	socketio.OnArgs(root, "tell", func(ctx context.Context, s *socketio.Socket, args socketio.Args) (struct{}, error) {
		var room, payload string
		if err := args.Scan(&room, &payload); err != nil {
			return struct{}{}, err
		}
		return struct{}{}, s.To(room).Emit(ctx, "msg", payload)
	})
	engine := engineio.NewServer(func(s *engineio.Session) engineio.Handler { return sockets.Accept(s) }, engineio.Options{Logger: logger})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", engine)
	// Both as package main does.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(65)
	}
	lc := net.ListenConfig{KeepAlive: -1}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if *profile != "" {
		if err := startProfile(*profile); err != nil {
			return err
		}
	}
	fmt.Println("listening", l.Addr().(*net.TCPAddr).Port)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}

// open opens the store; a shared one is ready when it returns.
func open(url string, logger *slog.Logger) (adapter.Adapter, error) {
	if url == "" {
		return local.Open(local.Options{Logger: logger})
	}
	a, err := redis.Open(redis.Options{URL: url, Logger: logger})
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(10 * time.Second); !a.Status().Ready; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			return nil, fmt.Errorf("not ready: %s", a.Status().Reason)
		}
	}
	return a, nil
}

// startProfile begins a CPU profile, and on SIGTERM writes what the memory is
// used for and ends the program.
func startProfile(path string) error {
	cpu, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return err
	}
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() { // ends the program
		<-end
		pprof.StopCPUProfile()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		runtime.GC()
		runtime.ReadMemStats(&after)
		fmt.Fprintf(os.Stderr, "heap %d kB (%d kB live), stacks %d kB, %d goroutines, %d kB from the system\n",
			before.HeapInuse>>10, after.HeapAlloc>>10, before.StackInuse>>10, runtime.NumGoroutine(), before.Sys>>10)
		if heap, err := os.Create(path + ".heap"); err == nil {
			_ = pprof.Lookup("heap").WriteTo(heap, 0)
			_ = heap.Close()
		}
		os.Exit(0)
	}()
	return nil
}
