package endpoint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/endpoint"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// fleet hands what nodes ask each other from one to the other.
type fleet struct {
	mu     sync.Mutex
	serves map[string]func(context.Context, *adapter.Question) // by node and kind
}

// peer is one node's view of it.
type peer struct {
	adapter.Peers
	fleet *fleet
}

func (p peer) Serve(kind string, handle func(context.Context, *adapter.Question)) {
	p.fleet.mu.Lock()
	defer p.fleet.mu.Unlock()
	p.fleet.serves[p.NodeID()+kind] = handle
}

func (p peer) Ask(ctx context.Context, node, kind string, body []byte) ([]byte, error) {
	p.fleet.mu.Lock()
	handle := p.fleet.serves[node+kind]
	p.fleet.mu.Unlock()
	if handle == nil {
		return nil, adapter.ErrUnknownNode
	}
	var reply []byte
	err := adapter.ErrNoReply
	handle(ctx, &adapter.Question{From: p.NodeID(), Body: body, Reply: func(b []byte, e error) error {
		reply, err = b, e
		return nil
	}})
	return reply, err
}

type node struct {
	id, url string
}

func newNode(t *testing.T, f *fleet) node {
	store, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sockets := socketio.NewServer(store, socketio.Options{})
	socketio.On(sockets.Of("/"), "echo", func(_ context.Context, _ *socketio.Socket, text string) (string, error) {
		return text, nil
	})
	e := endpoint.New(sockets, peer{store, f}, engineio.Options{NodeID: "ignored", PollHold: 50 * time.Millisecond})
	srv := httptest.NewServer(e)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		err := errors.Join(e.Close(ctx), sockets.Close(ctx), store.Close(ctx))
		if err != nil {
			t.Error(err)
		}
		srv.Close()
	})
	return node{store.NodeID(), srv.URL}
}

func request(t *testing.T, n node, sid, body string) (int, string) {
	t.Helper()
	method, url := http.MethodGet, n.url+"/socket.io/?EIO=4&transport=polling"
	if body != "" {
		method = http.MethodPost
	}
	if sid != "" {
		url += "&sid=" + sid
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// A session whose requests go to the two nodes in turn is one session; one of a node
// that nobody knows is refused at once, so that its client begins anew.
func TestEndpoint(t *testing.T) {
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	f := &fleet{serves: map[string]func(context.Context, *adapter.Question){}}
	a, b := newNode(t, f), newNode(t, f)
	_, open := request(t, a, "", "")
	var handshake struct{ SID string }
	if err := json.Unmarshal([]byte(open[1:]), &handshake); err != nil {
		t.Fatal(err)
	}
	sid := handshake.SID
	if !strings.HasPrefix(sid, a.id) {
		t.Errorf("the session %s is not of the node %s", sid, a.id)
	}
	say := func(n node, body string) {
		t.Helper()
		if status, text := request(t, n, sid, body); status != http.StatusOK || text != "ok" {
			t.Fatalf("%s: %d %s", body, status, text)
		}
	}
	hear := func(n node, want string) {
		t.Helper()
		for range 200 {
			status, text := request(t, n, sid, "")
			if status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			if strings.Contains(text, want) {
				return
			}
		}
		t.Fatalf("never heard %s", want)
	}
	say(b, "40")
	hear(b, `40{"sid"`)
	for i, n := range []node{a, b, b, a} {
		say(n, fmt.Sprintf(`42%d["echo","%d"]`, i, i))
		hear([]node{b, a}[i%2], fmt.Sprintf(`43%d["%d"]`, i, i))
	}
	say(b, "1") // the client leaves

	status, text := request(t, b, strings.Repeat("x", len(sid)), "")
	if status != http.StatusBadRequest || !strings.Contains(text, `"code":1`) {
		t.Errorf("a session of no node: %d %s", status, text)
	}
}
