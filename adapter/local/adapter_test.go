package local_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

type nobody struct{ got chan *adapter.Delivery }

func (n nobody) Deliver(d *adapter.Delivery, to []adapter.Socket) { n.got <- d }
func (nobody) Gap(adapter.Gap, []adapter.Socket)                  {}
func (nobody) Presence(adapter.PresenceChange, []adapter.Socket)  {}
func (nobody) ServerEvent(adapter.Event, func([]byte))            {}

type sock string

func (s sock) ID() string               { return string(s) }
func (s sock) Hold()                    {}
func (s sock) Fence()                   {}
func (s sock) Disconnect(bool)          {}
func (s sock) Info() adapter.SocketInfo { return adapter.SocketInfo{} }

func TestOneMessage(t *testing.T) {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n := nobody{got: make(chan *adapter.Delivery, 10)}
	a.Open("/", n)
	ctx := t.Context()
	if err := a.Add(ctx, "/", sock("s1"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Join(ctx, "/", sock("s1"), []string{"r"}, true, nil); err != nil {
		t.Fatal(err)
	}
	got, err := a.Append(ctx, adapter.Append{Namespace: "/", Room: "r", Event: adapter.Event{Name: "e", Data: []byte(`["e"]`)}})
	if err != nil || got.Seq != 1 {
		t.Fatal(got, err)
	}
	if d := <-n.got; d.Seq != 1 || d.Position[0] != got.Pos {
		t.Fatal(d)
	}
	if err := a.Close(ctx); err != nil {
		t.Fatal(err)
	}
}
