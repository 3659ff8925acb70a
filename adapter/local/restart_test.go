package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

func open(t testing.TB, o local.Options) *local.Adapter {
	t.Helper()
	a, err := local.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

func message(room, id string) adapter.Append {
	return adapter.Append{
		Namespace: "/", Room: room, Sender: "sock", User: "ann", ID: id, Key: "ann/" + id, Digest: [16]byte{1},
		Event: adapter.Event{Name: "m", Data: []byte(`["m","` + id + `",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2, 3}}},
	}
}

func TestRestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	ctx := t.Context()
	a := open(t, local.Options{Dir: dir})
	n := nobody{got: make(chan *adapter.Delivery, 100)}
	a.Open("/", n)
	o, err := a.Create(ctx, adapter.Session{PID: "p", SID: "s1", Namespace: "/", User: "ann", Data: []byte(`{"x":1}`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Add(ctx, "/", sock("s1"), &o); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Join(ctx, "/", sock("s1"), []string{"r"}, false, nil); err != nil {
		t.Fatal(err)
	}
	var first adapter.Appended
	for i := range 5 {
		got, err := a.Append(ctx, message("r", fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first = got
		}
	}
	if err := a.Emit(ctx, adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: []string{"r"}}, Class: adapter.Recoverable, Event: adapter.Event{Name: "x", Data: []byte(`["x"]`)}}); err != nil {
		t.Fatal(err)
	}
	offset := adapter.Position{first.Pos}
	if err := a.Close(ctx); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]os.FileMode{"": 0o700, "antchat.db": 0o600} {
		if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != want {
			t.Errorf("%q: mode %v, %v", name, st.Mode(), err)
		}
	}

	a = open(t, local.Options{Dir: dir})
	a.Open("/", n)
	s, o, err := a.Claim(ctx, "/", "p")
	if err != nil || s.SID != "s1" || s.User != "ann" || string(s.Data) != `{"x":1}` || o.Token != 2 {
		t.Fatal(s, o, err)
	}
	r, err := a.Resume(ctx, "/", sock("s1"), o, &offset)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Missed) != 5 || r.Missed[0].Seq != 2 || r.Missed[4].Class != adapter.Recoverable || string(r.Missed[0].Event.Attachments[0]) != "\x01\x02\x03" {
		t.Fatalf("%+v", r.Missed)
	}
	again, err := a.Append(ctx, message("r", "0"))
	if err != nil || !again.Duplicate || again.Seq != 1 || again.Pos != first.Pos || again.Epoch != first.Epoch || !again.Time.Equal(first.Time) {
		t.Fatal(again, first, err)
	}
	sixth, err := a.Append(ctx, message("r", "new"))
	if err != nil || sixth.Seq != 6 || sixth.Epoch != first.Epoch || sixth.Pos <= r.Position[0] {
		t.Fatal(sixth, err)
	}
}

func TestSecondProcess(t *testing.T) {
	dir := t.TempDir()
	open(t, local.Options{Dir: dir})
	_, err := local.Open(local.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), "another process") || strings.Contains(err.Error(), "\n") {
		t.Fatal(err)
	}
}

const (
	childDir     = "ANTCHAT_LOCAL_TEST_DIR"
	childReopens = "ANTCHAT_LOCAL_TEST_REOPEN"
)

// TestKilledChild is the process that TestKill kills: it appends with many
// goroutines and says what was acknowledged.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return // nothing to do in the parent
	}
	a := open(t, local.Options{Dir: dir})
	a.Open("/", nobody{got: make(chan *adapter.Delivery, 1<<20)})
	ctx := context.Background()
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Printf(format+"\n", args...)
	}
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			sid := sock(fmt.Sprintf("s%d", w))
			o, err := a.Create(ctx, adapter.Session{PID: fmt.Sprintf("p%d", w), SID: sid.ID(), Namespace: "/"})
			if err != nil {
				panic(err)
			}
			if err := a.Add(ctx, "/", sid, &o); err != nil {
				panic(err)
			}
			room := fmt.Sprintf("r%d", w%3)
			if _, err := a.Join(ctx, "/", sid, []string{room}, false, nil); err != nil {
				panic(err)
			}
			for i := 0; ; i++ {
				m := message(room, fmt.Sprintf("%d-%d", w, i))
				m.Owner = &o
				got, err := a.Append(ctx, m)
				if err != nil {
					panic(err)
				}
				say("ACK %s %s %d %d %s", room, got.Epoch, got.Seq, got.Pos, m.ID)
			}
		})
	}
	wg.Wait()
}

func TestKill(t *testing.T) {
	dir := t.TempDir()
	type ack struct {
		room, epoch, id string
		seq, pos        uint64
	}
	acked := map[string]ack{}
	for range 3 { // a life after another
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.v")
		cmd.Env = append(os.Environ(), childDir+"="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		n := 0
		fresh := 0
		for lines.Scan() {
			var k ack
			if _, err := fmt.Sscanf(lines.Text(), "ACK %s %s %d %d %s", &k.room, &k.epoch, &k.seq, &k.pos, &k.id); err != nil {
				if strings.Contains(lines.Text(), "panic") {
					t.Fatal(lines.Text())
				}
				continue
			}
			if old, ok := acked[k.id]; ok && old != k {
				t.Fatalf("retry answered otherwise: %v, %v", old, k)
			} else if !ok {
				fresh++
			}
			acked[k.id] = k
			if n++; fresh == 300 {
				if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait()
		if fresh < 300 {
			t.Fatalf("the child ended after %d acks", n)
		}
		// Each life begins with the same ids, whose sessions are there: end
		// them so that the next one can create them.
		a := open(t, local.Options{Dir: dir})
		a.Open("/", nobody{got: make(chan *adapter.Delivery, 1<<20)})
		for w := range 8 {
			s, o, err := a.Claim(t.Context(), "/", fmt.Sprintf("p%d", w))
			if err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("[r%d]", w%3); s.SID != fmt.Sprintf("s%d", w) || fmt.Sprint(s.Rooms) != want {
				t.Errorf("session %+v, rooms %s wanted", s, want)
			}
			r, err := a.Resume(t.Context(), "/", sock(s.SID), o, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range r.Missed[1:] {
				if d.Pos <= r.Missed[i].Pos {
					t.Fatal("replay is not in order")
				}
			}
			a.End(o)
		}
		found := map[string]ack{}
		for room := range 3 {
			name := fmt.Sprintf("r%d", room)
			after, pos := uint64(0), uint64(0)
			for {
				s, err := a.Read(t.Context(), "/", name, adapter.LogRead{After: &after, Limit: 1000})
				if err != nil || s.Gap != nil {
					t.Fatal(s, err)
				}
				for _, d := range s.Entries {
					if d.Seq != after+1 || d.Pos <= pos || d.Epoch != s.Epoch {
						t.Fatalf("entry %d at %d after %d at %d", d.Seq, d.Pos, after, pos)
					}
					after, pos = d.Seq, d.Pos
					if _, twice := found[d.ID]; twice {
						t.Fatalf("%s is there twice", d.ID)
					}
					found[d.ID] = ack{name, d.Epoch, d.ID, d.Seq, d.Pos}
				}
				if !s.More {
					break
				}
			}
		}
		for id, k := range acked {
			if found[id] != k {
				t.Fatalf("acknowledged %+v, found %+v", k, found[id])
			}
		}
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestAbandoned: a session that may have missed a recoverable emit is not
// recovered after a kill, one of a room without any is.
func TestAbandoned(t *testing.T) {
	t.Run("first life", func(t *testing.T) { testAbandoned(t) })
	t.Run("second life", func(t *testing.T) { testAbandoned(t, childReopens+"=1") })
}

func testAbandoned(t *testing.T, env ...string) {
	dir := t.TempDir()
	ctx := t.Context()
	cmd := exec.Command(os.Args[0], "-test.run=^TestAbandonedChild$", "-test.v")
	cmd.Env = append(append(os.Environ(), childDir+"="+dir), env...)
	out, _ := cmd.StdoutPipe()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var chat, relay, seen uint64
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, err := fmt.Sscanf(lines.Text(), "READY %d %d %d", &chat, &relay, &seen); err == nil {
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait()
	if chat == 0 {
		t.Fatal("the child did not get ready")
	}
	a := open(t, local.Options{Dir: dir})
	a.Open("/", nobody{got: make(chan *adapter.Delivery, 100)})
	for _, c := range []struct {
		who    string
		offset uint64
		ok     bool
	}{{"chat", chat, true}, {"relay", relay, false}, {"both", relay, false}, {"ahead", seen, len(env) > 0}} {
		s, o, err := a.Claim(ctx, "/", c.who)
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.Resume(ctx, "/", sock(s.SID), o, &adapter.Position{c.offset})
		if c.ok && (err != nil || len(r.Missed) != 1 && c.who == "chat") || !c.ok && !errors.Is(err, adapter.ErrUnrecoverable) {
			t.Errorf("%s: %+v, %v", c.who, r, err)
		}
	}
	// No position that anybody may have seen is given out again, though the
	// clock was ahead when the node was killed.
	if got, err := a.Append(ctx, message("c", "3")); err != nil || got.Pos <= seen {
		t.Errorf("append at %d, %d was seen: %v", got.Pos, seen, err)
	}
}

func TestAbandonedChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	ctx := context.Background()
	a := open(t, local.Options{Dir: dir, Clock: func() time.Time { return time.Now().Add(5 * time.Second) }})
	n := nobody{got: make(chan *adapter.Delivery, 100)}
	a.Open("/", n)
	// "ahead" is in the chat's room only, but has an offset that came with an
	// event behind the last one on disk.
	for who, rooms := range map[string][]string{"chat": {"c"}, "relay": {"r"}, "both": {"c", "r"}, "ahead": {"c"}} {
		o, err := a.Create(ctx, adapter.Session{PID: who, SID: "s" + who, Namespace: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Add(ctx, "/", sock("s"+who), &o); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Join(ctx, "/", sock("s"+who), rooms, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	first, err := a.Append(ctx, message("c", "1"))
	if err != nil {
		t.Fatal(err)
	}
	emit := func() {
		err := a.Emit(ctx, adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: []string{"r"}}, Class: adapter.Recoverable, Event: adapter.Event{Name: "x", Data: []byte(`["x"]`)}})
		if err != nil {
			t.Fatal(err)
		}
	}
	emit()
	if _, err := a.Append(ctx, message("c", "2")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // positions follow the clock: far beyond what is on disk
	emit()
	if os.Getenv(childReopens) != "" {
		// What a clean close has written is read back, and then in memory only.
		if err := a.Close(ctx); err != nil {
			t.Fatal(err)
		}
		open(t, local.Options{Dir: dir})
	}
	var seen uint64
	for range 4 {
		seen = (<-n.got).Pos
	}
	fmt.Printf("READY %d %d %d\n", first.Pos, first.Pos, seen)
	time.Sleep(time.Minute) // until killed
}

// TestCleanRestart: after an orderly restart the recoverable emits are there,
// so that the same three sessions are all recovered.
func TestCleanRestart(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	a := open(t, local.Options{Dir: dir})
	a.Open("/", nobody{got: make(chan *adapter.Delivery, 100)})
	rooms := map[string][]string{"chat": {"c"}, "relay": {"r"}, "both": {"c", "r"}}
	for who, rooms := range rooms {
		o, err := a.Create(ctx, adapter.Session{PID: who, SID: "s" + who, Namespace: "/"})
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Add(ctx, "/", sock("s"+who), &o); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Join(ctx, "/", sock("s"+who), rooms, false, nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, target := range [][]string{{"r"}, {"c", "r"}, {"schat"}, nil} {
		err := a.Emit(ctx, adapter.Emit{Target: adapter.Target{Namespace: "/", Rooms: target, Except: []string{"nobody"}}, Class: adapter.Recoverable, Event: adapter.Event{Name: "x", Data: []byte(`["x"]`), Attachments: [][]byte{{7}}}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // twice: what was read back is written again
		if err := a.Close(ctx); err != nil {
			t.Fatal(err)
		}
		a = open(t, local.Options{Dir: dir})
		a.Open("/", nobody{got: make(chan *adapter.Delivery, 100)})
	}
	for who, want := range map[string]int{"chat": 3, "relay": 3, "both": 3} {
		s, o, err := a.Claim(ctx, "/", who)
		if err != nil {
			t.Fatal(err)
		}
		r, err := a.Resume(ctx, "/", sock(s.SID), o, nil)
		if err != nil || len(r.Missed) != want || len(r.Rooms) != len(rooms[who]) || string(r.Missed[0].Event.Attachments[0]) != "\x07" {
			t.Errorf("%s: %+v, %v", who, r, err)
		}
	}
}

// TestCloseUnderLoad: whatever is under way when the adapter closes either
// happened, and is there afterwards, or is refused; nothing hangs, and nothing
// is delivered once Close has returned.
func TestCloseUnderLoad(t *testing.T) {
	dir := t.TempDir()
	ctx := t.Context()
	a, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	n := &counting{}
	a.Open("/", n)
	join(t, a, sock("member"), "r")
	var mu sync.Mutex
	acked := map[string]uint64{}
	var wg, begun sync.WaitGroup
	for w := range 16 {
		begun.Add(1)
		wg.Go(func() {
			for i := 0; ; i++ {
				m := message("r", fmt.Sprintf("%d-%d", w, i))
				got, err := a.Append(ctx, m)
				if err != nil {
					if !errors.Is(err, adapter.ErrClosed) {
						t.Errorf("append: %v", err)
					}
					return
				}
				mu.Lock()
				acked[m.ID] = got.Seq
				mu.Unlock()
				if i == 5 {
					begun.Done()
				}
			}
		})
		wg.Go(func() {
			for {
				s := sock(fmt.Sprint("s", w))
				if err := a.Add(ctx, "/", s, nil); err == nil {
					_, err = a.Join(ctx, "/", s, []string{"r"}, false, &adapter.LogRead{Limit: 3})
					if err != nil && !errors.Is(err, adapter.ErrClosed) {
						t.Errorf("join: %v", err)
					}
					a.Remove("/", s)
				} else if errors.Is(err, adapter.ErrClosed) {
					return
				} else {
					t.Errorf("add: %v", err)
				}
			}
		})
	}
	begun.Wait()
	if err := a.Close(ctx); err != nil {
		t.Fatal(err)
	}
	delivered := n.n // no race: the sequencer has ended
	wg.Wait()
	if n.n != delivered {
		t.Error("something was delivered after Close had returned")
	}
	a = open(t, local.Options{Dir: dir})
	for id, seq := range acked {
		got, err := a.Append(ctx, message("r", id))
		if err != nil || !got.Duplicate || got.Seq != seq {
			t.Fatalf("%s was acknowledged as %d, now %+v, %v", id, seq, got, err)
		}
	}
}
