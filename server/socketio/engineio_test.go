package socketio_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/socketio"
)

// serve puts the real layers together.
func serve(t *testing.T) (*socketio.Server, string) {
	t.Helper()
	store, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sio := socketio.NewServer(store, socketio.Options{Recovery: true})
	eio := engineio.NewServer(func(s *engineio.Session) engineio.Handler { return sio.Accept(s) }, engineio.Options{})
	web := httptest.NewServer(eio)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		for what, err := range map[string]error{"socketio": sio.Close(ctx), "engineio": eio.Close(ctx), "adapter": store.Close(ctx)} {
			if err != nil {
				t.Errorf("close %s: %v", what, err)
			}
		}
		web.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return sio, web.URL
}

// wire is a raw WebSocket.
type wire struct {
	t *testing.T
	c io.ReadWriter
}

func dial(t *testing.T, url, query string) *wire {
	t.Helper()
	c, early, _, err := ws.Dial(t.Context(), strings.Replace(url, "http", "ws", 1)+"/socket.io/?transport=websocket&"+query)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w := &wire{t: t, c: c}
	if early != nil { // frames that came with the handshake's answer
		w.c = struct {
			io.Reader
			io.Writer
		}{early, c}
	}
	return w
}

func (w *wire) say(text string) {
	w.t.Helper()
	if err := wsutil.WriteClientText(w.c, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *wire) want(prefix string) string {
	w.t.Helper()
	b, _, err := wsutil.ReadServerData(w.c)
	if err != nil {
		w.t.Fatalf("want %q: %v", prefix, err)
	}
	if !strings.HasPrefix(string(b), prefix) {
		w.t.Fatalf("got %q, want %q", b, prefix)
	}
	return string(b)
}

func TestOverEngineIO(t *testing.T) {
	sio, url := serve(t)
	ns := sio.Of("/")
	ns.OnConnect(func(ctx context.Context, s *socketio.Socket) error { return s.Join(ctx, "room") })
	socketio.OnArgs(ns, "say", func(ctx context.Context, s *socketio.Socket, args socketio.Args) (int, error) {
		return args.Len(), s.To("room").Emit(ctx, "said", args.Values()...)
	})
	socketio.On(ns, "where", func(_ context.Context, s *socketio.Socket, _ struct{}) (string, error) {
		return s.Transport(), nil
	})
	v5, v4 := dial(t, url, "EIO=4"), dial(t, url, "EIO=3")
	v5.want(`0{"sid":"`)
	v4.want(`0{"sid":"`)
	v4.want("40")
	v5.say("40")
	accept := v5.want(`40{"sid":"`)
	if !strings.Contains(accept, `"pid":"`) {
		t.Errorf("no pid in %s", accept)
	}
	v4.say(`420["where"]`)
	v4.want(`430["websocket"]`)
	v5.say(`421["where"]`)
	v5.want(`431["websocket"]`)
	v4.say(`421["say","hé",{"a":1}]`)
	v4.want("431[2]")
	v5.want(`42["said","hé",{"a":1}]`)
	v5.say(`451-2["say",{"_placeholder":true,"num":0}]`)
	if err := wsutil.WriteClientBinary(v5.c, []byte{1, 2}); err != nil {
		t.Fatal(err)
	}
	v5.want("432[1]")
	v4.want(`451-["said",{"_placeholder":true,"num":0}]`)
	v4.want("\x04\x01\x02") // revision 3 has a type byte
	v5.say("41")
	v5.say(`40`)
	v5.want(`40{"sid":"`)
	v5.say(`42["disconnect"]`)
	if _, _, err := wsutil.ReadServerData(v5.c); err == nil {
		t.Error("a reserved name did not close the connection")
	}
	v4.say(`423["where"]`)
	v4.want(`433["websocket"]`)
}
