package official

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/antchat/antchat/adapter"
)

// peers are two servers that are strangers to each other, so that the one does
// for the other what a Node server does.
func peers(t *testing.T, mode Mode, client func() goredis.UniversalClient) (a, b *Bridge, backA, backB *backend) {
	t.Helper()
	backA, backB = newBackend(t), newBackend(t)
	start := func(fleet string, back *backend) *Bridge {
		bridge, err := Open(client(), Options{Mode: mode, Fleet: fleet}, back)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(bridge.Close)
		bridge.Add("/")
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := bridge.Wait(ctx, "/"); err != nil {
			t.Fatal(err)
		}
		return bridge
	}
	return start("a", backA), start("b", backB), backA, backB
}

func emitTo(t *testing.T, b *Bridge, data string, rooms ...string) {
	t.Helper()
	if err := b.Emit(adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: rooms}, Event: event(data)}); err != nil {
		t.Fatal(err)
	}
}

// A lost connection is replaced, with all that it was subscribed to.
func TestLinkLost(t *testing.T) {
	for _, mode := range []Mode{Classic, DynamicPrivate} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			addr := startRedis(t)
			a, b, _, back := peers(t, mode, func() goredis.UniversalClient { return connect(t, addr) })
			f := back.add("/", sid1, "r1", "r2")
			for _, r := range []string{sid1, "r1", "r2", "r3"} {
				b.OpenRoom("/", r)
				b.OpenRoom("/", r)
			}
			b.CloseRoom("/", "r3")
			eventually(t, "whole", b.Whole)
			emitTo(t, a, `["before"]`, "r1")
			back.got(f, `["before"]`)
			c := connect(t, addr)
			for range 3 {
				if err := c.Do(t.Context(), "CLIENT", "KILL", "TYPE", "pubsub").Err(); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "loss noticed", func() bool { return a.Whole() && b.Whole() && heard(t, a, b, back, f) })
			back.set(func() { f.got = nil })
			for i := range 20 {
				emitTo(t, a, fmt.Sprintf(`["after",%d]`, i), fmt.Sprint("r", i%2+1))
			}
			back.until("all of them", func() bool { return len(f.got) == 20 })
			if list, missing, err := a.FetchSockets(t.Context(), adapter.Target{Namespace: "/"}); err != nil || len(list) != 1 || len(missing) > 0 {
				t.Error(list, missing, err)
			}
			// What a room's channel carried is not heard any more once it is
			// closed, nor anything once the namespace is.
			b.CloseRoom("/", "r2")
			b.Remove("/")
			b.Remove("/")
			eventually(t, "unsubscribed", func() bool {
				n, err := c.PubSubNumSub(t.Context(), "socket.io-request#/#").Result()
				m, err2 := c.PubSubShardNumSub(t.Context(), "socket.io#/#", "socket.io#/#r1#", "socket.io#/#r3#").Result()
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				return n["socket.io-request#/#"] <= 1 && m["socket.io#/#"] <= 1 && m["socket.io#/#r1#"]+m["socket.io#/#r3#"] == 0
			})
		})
	}
}

// heard tries whether the way from a to both of b's rooms stands.
func heard(t *testing.T, a, b *Bridge, back *backend, f *fake) bool {
	t.Helper()
	back.set(func() { f.got = nil })
	emitTo(t, a, `["try"]`, "r1")
	emitTo(t, a, `["try"]`, "r2")
	for range 20 {
		time.Sleep(5 * time.Millisecond)
		back.mu.Lock()
		n := len(f.got)
		back.mu.Unlock()
		if n == 2 {
			return true
		}
	}
	return false
}

// Redis may be away when a bridge opens, and whenever it publishes.
func TestRedisAway(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	dropped := make(chan string, 100)
	b, err := Open(connect(t, addr), Options{Mode: Classic, Emitters: true, Logged: []string{"m"}, Append: func(context.Context, Message) error { return nil },
		Hooks: Hooks{Dropped: func(what string) { dropped <- what }}}, newBackend(t))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.Add("/")
	emitTo(t, b, `["x"]`)
	if what := <-dropped; what != "publish" {
		t.Error(what)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := b.Wait(ctx, "/"); err == nil || b.Whole() {
		t.Error("subscribed to nobody")
	}
	if _, _, err := b.FetchSockets(t.Context(), adapter.Target{Namespace: "/"}); err == nil {
		t.Error("fetched from nobody")
	}
}

// On a Cluster a room's channel is on the node of its slot, servers are counted
// over all nodes, and a slot that moves takes its subscriptions along.
func TestCluster(t *testing.T) {
	t.Parallel()
	var addrs []string
	for range 3 {
		addrs = append(addrs, startRedis(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "5000"))
	}
	out, err := exec.Command("redis-cli", append([]string{"--cluster-yes", "--cluster", "create"}, addrs...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	client := func() goredis.UniversalClient {
		c := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: addrs, MaxRetries: -1, Protocol: 2})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	cluster := client().(*goredis.ClusterClient)
	eventually(t, "cluster", func() bool {
		for _, addr := range addrs {
			info, err := connect(t, addr).ClusterInfo(t.Context()).Result()
			if err != nil || !strings.Contains(info, "cluster_state:ok") {
				return false
			}
		}
		cluster.ReloadState(t.Context())
		return cluster.Ping(t.Context()).Err() == nil
	})
	for _, mode := range []Mode{Classic, Dynamic} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			a, b, _, back := peers(t, mode, client)
			var rooms []string
			for i := range 30 {
				rooms = append(rooms, fmt.Sprint("room ", i))
			}
			f := back.add("/", sid1, rooms...)
			for _, r := range rooms {
				b.OpenRoom("/", r)
			}
			eventually(t, "whole", b.Whole)
			var want []string
			for i, r := range rooms {
				want = append(want, fmt.Sprintf(`["e",%d]`, i))
				emitTo(t, a, want[i], r)
			}
			slices.Sort(want)
			all := func() bool { return slices.Equal(slices.Sorted(slices.Values(f.got)), want) }
			back.until("a message in each room", all)
			if list, missing, err := a.FetchSockets(t.Context(), adapter.Target{Namespace: "/"}); err != nil || len(list) != 1 || len(missing) > 0 {
				t.Error(list, missing, err)
			}
			if mode == Classic {
				return
			}
			// Move the slot of a room to another node.
			slot, err := cluster.ClusterKeySlot(t.Context(), "socket.io#/#room 7#").Result()
			if err != nil {
				t.Fatal(err)
			}
			from, err := cluster.MasterForKey(t.Context(), "socket.io#/#room 7#")
			if err != nil {
				t.Fatal(err)
			}
			var to *goredis.Client
			for _, addr := range addrs {
				if addr != from.Options().Addr {
					to = connect(t, addr)
				}
			}
			id, err := to.ClusterMyID(t.Context()).Result()
			if err != nil {
				t.Fatal(err)
			}
			if err := to.Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", id).Err(); err != nil {
				t.Fatal(err)
			}
			for _, addr := range addrs {
				if err := connect(t, addr).Do(t.Context(), "CLUSTER", "SETSLOT", slot, "NODE", id).Err(); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "heard again", func() bool {
				cluster.ReloadState(t.Context())
				back.set(func() { f.got = nil })
				emitTo(t, a, `["moved"]`, "room 7")
				time.Sleep(20 * time.Millisecond)
				back.mu.Lock()
				defer back.mu.Unlock()
				return slices.Contains(f.got, `["moved"]`)
			})
		})
	}
}
