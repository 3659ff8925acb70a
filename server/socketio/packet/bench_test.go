package packet

import (
	"encoding/json"
	"strings"
	"testing"
)

const (
	benchEvent  = `["new message",{"username":"ann","message":"hello there, how are you today?","room":"lobby","id":"3f2a","seq":1234,"ts":1700000000000}]`
	benchKorean = `["new message",{"username":"안나","message":"안녕하세요 여러분, 오늘은 어떻게 지내세요?","room":"lobby","id":"3f2a","seq":1234,"ts":1700000000000}]`
)

func benchPacket() *Packet {
	return &Packet{Type: Event, Namespace: "/chat", Data: []byte(benchEvent)}
}

// Encoding is on the way of every broadcast.
func TestEncodeDoesNotAllocate(t *testing.T) {
	p := benchPacket()
	withID := &Packet{Type: Ack, Namespace: "/", ID: 123, HasID: true, Data: []byte(`["a\n",-5,1.5e3,{"b":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]},{"_placeholder":true,"num":0}]`), Attachments: [][]byte{make([]byte, 300)}}
	dst := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() {
		AppendText(dst, p)
		AppendText(dst, withID)
		AppendString(dst, "hello \"there\" 안녕")
		AppendConnectError(dst, 5, "nope", p.Data)
		if _, err := AppendMsgpack(dst, p); err != nil {
			t.Fatal(err)
		}
		if _, err := AppendMsgpack(dst, withID); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCheck(b *testing.B) {
	long := `["m","` + strings.Repeat("some longer text without anything special ", 50) + `"]`
	nested := `["m",` + strings.Repeat(`{"a":[1,2,{"b":null}]},`, 50) + `1]`
	for _, c := range []struct{ name, data string }{{"event", benchEvent}, {"korean", benchKorean}, {"long", long}, {"nested", nested}} {
		data := []byte(c.data)
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if Check(data, 64, 0) != nil {
					b.Fatal("refused")
				}
			}
		})
		b.Run(c.name+"/encoding-json", func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if !json.Valid(data) {
					b.Fatal("refused")
				}
			}
		})
	}
}

func BenchmarkDecoderText(b *testing.B) {
	d := NewDecoder(5, Limits{})
	text := AppendText(nil, benchPacket())
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Text(text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkArgs(b *testing.B) {
	data := []byte(benchEvent)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Args(data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEventName(b *testing.B) {
	p := benchPacket()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.EventName(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendText(b *testing.B) {
	p := benchPacket()
	dst := AppendText(nil, p)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendText(dst[:0], p)
	}
}

func BenchmarkAppendMsgpack(b *testing.B) {
	p := benchPacket()
	dst, err := AppendMsgpack(nil, p)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(p.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if dst, err = AppendMsgpack(dst[:0], p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeMsgpack(b *testing.B) {
	in, err := AppendMsgpack(nil, benchPacket())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeMsgpack(in, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
