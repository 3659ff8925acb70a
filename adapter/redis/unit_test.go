package redis

import (
	"bytes"
	"reflect"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/antchat/antchat/adapter"
)

func TestReconcile(t *testing.T) {
	entries := func(epoch string, from, to uint64) (out []logEntry) {
		for seq := from; seq <= to; seq++ {
			out = append(out, logEntry{epoch: epoch, seq: seq, pos: 1000 + seq})
		}
		return out
	}
	for _, c := range []struct {
		name    string
		was     stand
		head    stand
		cut     uint64
		at      string
		entries []logEntry
		lost    []lostRange
		now     stand
	}{
		{"nothing", begin("E", 5), begin("E", 5), 5, "E", nil, nil, begin("E", 5)},
		{"missed", begin("E", 5), begin("E", 8), 5, "E", entries("E", 6, 8), nil, begin("E", 8)},
		{"never written", stand{}, stand{}, 0, "", nil, nil, stand{}},
		{"first ones missed", stand{}, begin("E", 2), 0, "", entries("E", 1, 2), nil, begin("E", 2)},
		{"trimmed", begin("E", 5), begin("E", 12), 5, "E", entries("E", 10, 12), []lostRange{{"E", 6, 9}}, begin("E", 12)},
		{"head went back", begin("E", 7), begin("E", 5), 5, "E", nil, []lostRange{{"E", 6, 7}}, begin("E", 5)},
		{"fork", begin("E", 7), begin("F", 6), 5, "E", entries("F", 6, 6), []lostRange{{"E", 6, 7}}, begin("F", 6)},
		{"lossless restart", begin("E", 5), begin("F", 6), 5, "E", entries("F", 6, 6), nil, begin("F", 6)},
		{"flushed", begin("E", 5), stand{}, 0, "", nil, []lostRange{{"E", 1, 5}}, stand{}},
		{"flushed and written", begin("E", 5), begin("F", 1), 0, "", entries("F", 1, 1), []lostRange{{"E", 1, 5}}, begin("F", 1)},
	} {
		lost, trimmed, now := reconcile(c.was, c.head.epoch, c.cut, c.at, c.entries)
		lost = append(lost, trimmed...)
		if !reflect.DeepEqual(lost, c.lost) || now.epoch != c.now.epoch || now.seq != c.now.seq {
			t.Errorf("%s: %v %v, wanted %v %v", c.name, lost, now, c.lost, c.now)
		}
	}
}

// TestReconcileAnyHistory: whatever the store has lost and the members have
// missed, each entry of the log is shown once, in order, and what was shown
// but is not there any more is told, no more and no less.
func TestReconcileAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var log []logEntry // the log as it stands; seq is index+1
		shown := []logEntry{}
		told := map[string]bool{}
		at := stand{}
		pos, epochs := uint64(0), 0
		epoch := ""
		key := func(epoch string, seq uint64) string { return epoch + strconv.FormatUint(seq, 10) }
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "step") {
			case 0, 1, 2:
				if epoch == "" {
					epochs++
					epoch = "E" + strconv.Itoa(epochs) + "-"
				}
				pos++
				log = append(log, logEntry{epoch: epoch, seq: uint64(len(log) + 1), pos: pos})
				if rapid.Bool().Draw(t, "live") && at.seq+1 == uint64(len(log)) && (at.seq == 0 || at.epoch == log[at.seq-1].epoch) {
					shown = append(shown, log[len(log)-1])
					at.show(epoch, uint64(len(log)))
				}
			case 3: // the store loses its tail, and with it the epoch
				log = log[:rapid.IntRange(0, len(log)).Draw(t, "kept")]
				epoch = ""
			case 4:
				// What the script finds: the last seq shown that is still there.
				cut, cutEpoch := uint64(0), ""
				for seq := min(at.seq, uint64(len(log))); seq > 0; seq-- {
					was := log[seq-1].epoch // of before the marks
					for _, m := range at.marks {
						if seq >= m.from {
							was = m.epoch
						}
					}
					if log[seq-1].epoch == was {
						cut, cutEpoch = seq, was
						break
					}
				}
				head := stand{}
				if len(log) > 0 {
					head = begin(log[len(log)-1].epoch, uint64(len(log)))
				}
				entries := append([]logEntry(nil), log[cut:]...)
				lost, _, now := reconcile(at, head.epoch, cut, cutEpoch, entries)
				for _, r := range lost {
					for seq := r.from; seq <= r.to; seq++ {
						for i := len(shown) - 1; i >= 0; i-- {
							if shown[i].seq == seq {
								told[key(shown[i].epoch, seq)] = true
								break
							}
						}
					}
				}
				shown = append(shown, entries...)
				at = now
				if at.epoch != head.epoch || at.seq != head.seq {
					t.Fatalf("stands at %v, the head is %v", at, head)
				}
				there := map[string]bool{}
				for _, e := range log {
					there[key(e.epoch, e.seq)] = true
				}
				seen := map[string]bool{}
				for _, e := range shown {
					k := key(e.epoch, e.seq)
					if seen[k] {
						t.Fatalf("%s was shown twice", k)
					}
					seen[k] = true
					if !there[k] && !told[k] {
						t.Fatalf("%s is gone and nobody was told", k)
					}
				}
				for k := range there {
					if !seen[k] {
						t.Fatalf("%s was never shown", k)
					}
					if told[k] {
						t.Fatalf("%s is there and was told lost", k)
					}
				}
			}
		}
	})
}

func TestLostBy(t *testing.T) {
	many := ""
	for i := range 8 {
		many += strconv.Itoa(1000*i+500) + "-" + strconv.Itoa(1000*i+900) + ";"
	}
	for _, c := range []struct {
		forks  string
		offset uint64
		want   bool
	}{
		{"", 5, false}, {"10-20;", 10, false}, {"10-20;", 11, true}, {"10-20;", 20, false}, {"0-20;", 5, true},
		{"10-20;30-40;", 25, false}, {"10-20;30-40;", 35, true}, {many, 100, true}, {many, 950, false}, {"x-y;", 5, true},
	} {
		if got := lostBy(c.forks, c.offset); got != c.want {
			t.Errorf("%q, %d: %v", c.forks, c.offset, got)
		}
	}
}

func FuzzParcel(f *testing.F) {
	e := emission{
		target: adapter.Target{Namespace: "/", Rooms: []string{"a"}, Except: []string{"b"}},
		event:  adapter.Event{Name: "x", Data: []byte(`["x"]`), Attachments: [][]byte{{1}}}, ask: "q", asker: "node01", timeout: 5,
	}
	f.Add(joinParcel(kindEphemeral, "", e.append(nil)))
	a := entry("a", "1")
	f.Add(joinParcel(kindLogged, " E 1 2 - 3 4", entryBody(&a)))
	f.Add([]byte("B 1 2\n"))
	f.Add([]byte("\n0"))
	f.Add([]byte("E\n\x00\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := readParcel(string(b))
		if err != nil {
			return
		}
		if e, err := readEmission(p.body); err == nil {
			again, err := readEmission(e.append(nil))
			if err != nil || !reflect.DeepEqual(e, again) {
				t.Fatalf("%+v, then %+v: %v", e, again, err)
			}
		}
		var d adapter.Delivery
		if readEntry(p.body, &d) == nil {
			x := adapter.Append{Event: d.Event, Sender: d.Sender, User: d.User, ID: d.ID}
			var again adapter.Delivery
			if err := readEntry(entryBody(&x), &again); err != nil || !bytes.Equal(again.Event.Data, d.Event.Data) {
				t.Fatalf("%+v, then %+v: %v", d, again, err)
			}
		}
		_, _, _ = entryID(string(b))
	})
}

// BenchmarkAppend measures appends of many callers at once, as a fleet of
// chatting sockets makes them, and what the script costs inside Redis.
func BenchmarkAppend(b *testing.B) {
	s := shared.get(b)
	a := newFleet(b, s.addr, 1, Options{}).nodes[0]
	c := s.client(b)
	c.ConfigResetStat(b.Context())
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		e := entry("room", "hello")
		i := 0
		id := a.nextID()
		for pb.Next() {
			i++
			e.Key = id + strconv.Itoa(i)
			if _, err := a.Append(b.Context(), e); err != nil {
				b.Error(err)
				return
			}
		}
	})
	info, err := c.Info(b.Context(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range bytes.SplitSeq([]byte(info), []byte("\r\n")) {
		if rest, ok := bytes.CutPrefix(line, []byte("cmdstat_evalsha:")); ok {
			for field := range bytes.SplitSeq(rest, []byte(",")) {
				if v, ok := bytes.CutPrefix(field, []byte("usec_per_call=")); ok {
					if f, err := strconv.ParseFloat(string(v), 64); err == nil {
						b.ReportMetric(f, "redis-µs/script")
					}
				}
			}
		}
	}
}

// A trace is one word more in a head: nodes that do not know it pass over it,
// and what is no traceparent is none.
func TestTraceInHeads(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for head, want := range map[string]string{
		"M e 1 2 - 3 4 " + trace: trace, "M e 1 2 - 3 4": "", "M e 1 2 - 3 4 x": "", "M e 1 2 - 3 4 " + trace + "0": "",
	} {
		p, err := readParcel(head + "\nbody")
		if err != nil {
			t.Fatal(err)
		}
		if got := p.trace(6); got != want {
			t.Errorf("%s: %q", head, got)
		}
		if seq, err := p.number(1); seq != 1 || err != nil || string(p.body) != "body" || p.word(5) != "4" {
			t.Errorf("%s: %+v %v", head, p, err)
		}
	}
	p, err := readParcel(string(joinParcel(kindEphemeral, trace, []byte("body"))))
	if err != nil || p.kind != kindEphemeral || p.trace(0) != trace || string(p.body) != "body" {
		t.Errorf("%+v %v", p, err)
	}
	p, err = readParcel(string(joinParcel(kindEphemeral, "", []byte("body"))))
	if err != nil || p.trace(0) != "" || string(p.body) != "body" {
		t.Errorf("%+v %v", p, err)
	}
}
