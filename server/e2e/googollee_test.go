package e2e

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/googollee/go-socket.io/engineio"
	"github.com/googollee/go-socket.io/engineio/transport"
	"github.com/googollee/go-socket.io/engineio/transport/polling"
	"github.com/googollee/go-socket.io/engineio/transport/websocket"
	"github.com/googollee/go-socket.io/parser"
)

// goPeer is the Go client of another author, revision 3: its dialer and its
// parser are the independent reading of our packets.
type goPeer struct {
	t      *testing.T
	conn   engineio.Conn
	enc    *parser.Encoder
	events chan goEvent
	acks   chan map[string]any
}

type goEvent struct {
	name string
	data map[string]any
	file *goFile
}

type goFile struct {
	Name  string        `json:"name"`
	Bytes parser.Buffer `json:"bytes"`
	Small parser.Buffer `json:"small"`
}

func dialGo(t *testing.T, url string, over transport.Transport) *goPeer {
	t.Helper()
	dialer := engineio.Dialer{Transports: []transport.Transport{over}}
	conn, err := dialer.Dial(url+"/socket.io/", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &goPeer{t: t, conn: conn, enc: parser.NewEncoder(conn), events: make(chan goEvent, 100), acks: make(chan map[string]any, 100)}
	ready, done := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(done)
		ready <- p.receive(ready)
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	select {
	case err := <-ready:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(deadline):
		t.Fatal("the server did not say 40")
	}
	return p
}

// receive reads until the connection ends. ready gets nil at the CONNECT that
// the server sends unasked in this revision.
func (p *goPeer) receive(ready chan<- error) error {
	dec := parser.NewDecoder(p.conn)
	for {
		var header parser.Header
		var event string
		if err := dec.DecodeHeader(&header, &event); err != nil {
			return fmt.Errorf("decode header: %w", err)
		}
		switch {
		case header.Type == parser.Connect:
			if err := dec.DiscardLast(); err != nil {
				return err
			}
			ready <- nil
		case header.Type == parser.Ack:
			args, err := dec.DecodeArgs([]reflect.Type{reflect.TypeFor[map[string]any]()})
			if err != nil {
				return fmt.Errorf("decode ack: %w", err)
			}
			p.acks <- args[0].Interface().(map[string]any)
		case event == "file":
			args, err := dec.DecodeArgs([]reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[goFile]()})
			if err != nil {
				return fmt.Errorf("decode file: %w", err)
			}
			file := args[1].Interface().(goFile)
			p.events <- goEvent{name: event, file: &file}
		default:
			args, err := dec.DecodeArgs([]reflect.Type{reflect.TypeFor[map[string]any]()})
			if err != nil {
				return fmt.Errorf("decode %s: %w", event, err)
			}
			p.events <- goEvent{name: event, data: args[0].Interface().(map[string]any)}
		}
	}
}

func (p *goPeer) emit(args ...any) {
	p.t.Helper()
	if err := p.enc.Encode(parser.Header{Type: parser.Event}, args); err != nil {
		p.t.Fatal(err)
	}
}

func (p *goPeer) call(event string, payload any) map[string]any {
	p.t.Helper()
	if err := p.enc.Encode(parser.Header{Type: parser.Event, ID: 7, NeedAck: true}, []any{event, payload}); err != nil {
		p.t.Fatal(err)
	}
	select {
	case ack := <-p.acks:
		if ack["error"] != nil {
			p.t.Fatalf("%s: %v", event, ack)
		}
		return ack
	case <-time.After(deadline):
		p.t.Fatalf("no ack of %s", event)
		return nil
	}
}

// next is the next event of that name.
func (p *goPeer) next(name string) goEvent {
	p.t.Helper()
	for late := time.After(deadline); ; {
		select {
		case e := <-p.events:
			if e.name == name {
				return e
			}
		case <-late:
			p.t.Fatalf("no %s", name)
		}
	}
}

// TestGoSocketIOClient: googollee/go-socket.io's client and parser against our
// server, over both transports, with people of revision 4 in the same room.
func TestGoSocketIOClient(t *testing.T) {
	p := startServer(t, map[string]string{"RELAY_EVENTS": "file"})
	texts := []string{"hello", "안녕하세요", "😀 👩‍👩‍👧‍👦 🇰🇷", "𝄞 𠮷", "café ÿ", `"quoted" \ </script>`}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, over := range []transport.Transport{polling.Default, websocket.Default} {
		t.Run(over.Name(), func(t *testing.T) {
			room := "go " + over.Name()
			one, two := dialGo(t, p.url, over), dialGo(t, p.url, over)
			four := connectWS(t, p.addr)
			four.mustCall(nil, "join room", map[string]any{"room": room})
			for i, peer := range []*goPeer{one, two} {
				peer.call("add user", fmt.Sprintf("고 %d", i))
				if joined := peer.call("join room", map[string]any{"room": room}); joined["room"] != room {
					t.Fatalf("joined %v", joined)
				}
			}
			for i, text := range texts {
				ack := one.call("new message", map[string]any{"room": room, "message": text, "id": fmt.Sprint(i)})
				if ack["seq"] != float64(i+1) {
					t.Errorf("ack %v, want seq %d", ack, i+1)
				}
				if got := two.next("new message"); got.data["message"] != text || got.data["username"] != "고 0" {
					t.Errorf("got %v, want %q", got.data, text)
				}
			}
			var page struct{ Messages []message }
			four.mustCall(&page, "history", map[string]any{"room": room})
			if !slices.EqualFunc(page.Messages, texts, func(m message, text string) bool { return m.Message == text }) {
				t.Errorf("history for revision 4: %v", page.Messages)
			}
			one.emit("file", room, &goFile{Name: "파일", Bytes: parser.Buffer{Data: all}, Small: parser.Buffer{Data: []byte{0}}})
			got := two.next("file").file
			if got.Name != "파일" || !bytes.Equal(got.Bytes.Data, all) || !bytes.Equal(got.Small.Data, []byte{0}) {
				t.Errorf("file %q, %x, %x", got.Name, got.Bytes.Data, got.Small.Data)
			}
			four.expect(`452-["file",`)
			for _, want := range [][]byte{all, {0}} {
				if got, err := four.packet(); err != nil || got != string(want) {
					t.Errorf("attachment for revision 4: %x, %v", got, err)
				}
			}
		})
	}
}
