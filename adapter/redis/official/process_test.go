package official

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/antchat/antchat/server/e2e/child"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startRedis starts a redis-server for one test and returns its address. The port
// of a cluster's bus, 10,000 above its own, may be taken: it tries again.
func startRedis(t *testing.T, args ...string) string {
	t.Helper()
	var err error
	for range 4 {
		var redis *child.Redis
		if redis, err = child.NewRedis(t.TempDir(), args...); err != nil {
			break
		}
		t.Cleanup(func() { _ = redis.End(syscall.SIGKILL, 0) })
		if err = redis.Begin(t.Context(), patience); err == nil {
			return redis.Addr
		}
	}
	t.Fatal(err)
	return ""
}

func connect(t *testing.T, addr string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: addr, MaxRetries: -1, Protocol: 2, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// open starts a bridge for / and /chat and waits until it hears everything.
func open(t *testing.T, addr string, o Options, back Backend) *Bridge {
	t.Helper()
	b, err := Open(connect(t, addr), o, back)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	for _, ns := range []string{"/", "/chat"} {
		b.Add(ns)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := b.Wait(ctx, ns); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// node is a real Node server: see testdata/server.mjs.
type node struct {
	t     *testing.T
	in    io.Writer
	ended chan struct{}

	mu      sync.Mutex
	next    int
	replies map[int]json.RawMessage
	said    []string
	fault   string
	changed chan struct{}
}

func startNode(t *testing.T, addr, mode string, more ...string) *node {
	t.Helper()
	program := os.Getenv("ANTCHAT_TEST_NODE")
	if program == "" {
		program = "node"
	}
	modules, err := filepath.Abs("../../../server/e2e/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "@socket.io/redis-adapter")); err != nil {
		t.Fatalf("the npm packages are needed: %v (make setup, or npm ci in server/e2e)", err)
	}
	cmd := exec.Command(program, append([]string{"testdata/server.mjs", modules, "redis://" + addr, mode, "socket.io"}, more...)...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaint strings.Builder
	cmd.Stderr = &complaint
	if err := cmd.Start(); err != nil {
		t.Fatalf("node is needed: %v (make setup, or set ANTCHAT_TEST_NODE)", err)
	}
	n := &node{t: t, in: in, ended: make(chan struct{}), replies: make(map[int]json.RawMessage), changed: make(chan struct{})}
	go func() {
		defer close(n.ended)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			n.take(lines.Bytes())
		}
		_ = cmd.Wait()
		n.mu.Lock()
		n.fault = "the Node server ended: " + complaint.String()
		n.changeLocked()
		n.mu.Unlock()
	}()
	t.Cleanup(func() {
		_ = in.Close()
		select {
		case <-n.ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-n.ended
		}
		if t.Failed() && complaint.Len() > 0 {
			t.Log(complaint.String())
		}
	})
	n.hears(`{"ready":true}`)
	return n
}

func (n *node) changeLocked() {
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *node) take(line []byte) {
	var r struct {
		Reply *int            `json:"reply"`
		Value json.RawMessage `json:"value"`
		Error string          `json:"error"`
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	defer n.changeLocked()
	_ = json.Unmarshal(line, &r)
	switch {
	case r.Error != "":
		n.fault = r.Error
	case r.Reply != nil:
		if r.Value == nil {
			r.Value = json.RawMessage("null")
		}
		n.replies[*r.Reply] = r.Value
	default:
		n.said = append(n.said, string(line))
	}
}

// until waits for what f finds in what the server said and replied.
func (n *node) until(what string, f func() bool) {
	n.t.Helper()
	deadline := time.After(patience)
	for {
		n.mu.Lock()
		done, changed, fault := f(), n.changed, n.fault
		n.mu.Unlock()
		switch {
		case done:
			return
		case fault != "":
			n.t.Fatalf("%s: %s", what, fault)
		}
		select {
		case <-changed:
		case <-deadline:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.t.Fatalf("%s: not within %v; the server said\n%s", what, patience, strings.Join(n.said, "\n"))
		}
	}
}

// hears waits for a line, and takes it and all before it.
func (n *node) hears(line string) {
	n.t.Helper()
	n.until("node says "+line, func() bool {
		i := slices.Index(n.said, line)
		if i >= 0 {
			n.said = n.said[i+1:]
		}
		return i >= 0
	})
}

// silent fails if the server said something since, once it has done what came
// before.
func (n *node) silent() {
	n.t.Helper()
	n.do("sync", "")
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.said) > 0 {
		n.t.Errorf("unasked:\n%s", strings.Join(n.said, "\n"))
	}
}

// begin starts an operation; fields are more of the JSON object, and the result
// waits for its value.
func (n *node) begin(op, fields string) func() string {
	n.t.Helper()
	n.mu.Lock()
	n.next++
	id := n.next
	n.mu.Unlock()
	if fields != "" {
		fields = "," + fields
	}
	if _, err := fmt.Fprintf(n.in, "{\"op\":%q,\"id\":%d%s}\n", op, id, fields); err != nil {
		n.t.Fatal(err)
	}
	return func() (value string) {
		n.t.Helper()
		n.until(op+" "+fields, func() bool {
			v, ok := n.replies[id]
			value = string(v)
			return ok
		})
		return value
	}
}

func (n *node) do(op, fields string) string {
	n.t.Helper()
	return n.begin(op, fields)()
}

// client makes a client of the Node server and returns its socket's id.
func (n *node) client(name string, rooms ...string) string {
	n.t.Helper()
	list, _ := json.Marshal(append([]string{}, rooms...))
	var id string
	if err := json.Unmarshal([]byte(n.do("client", fmt.Sprintf(`"name":%q,"rooms":%s`, name, list))), &id); err != nil {
		n.t.Fatal(err)
	}
	return id
}
