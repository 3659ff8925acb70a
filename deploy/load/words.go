package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
)

// vocabulary is what clients say to a kind of server. Each returns the array of
// an event in JSON, "" when the server has no such event.
type vocabulary interface {
	join(room string, since uint64, epoch string) string
	leave(room string) string
	say(room, text, id string) string
	typing(room string) string
	history(room string, before uint64) string
	// heard cuts the text out of a delivery, and the number that the server gave
	// it (0: none). ok is false for other events.
	heard(array []byte) (text []byte, n uint64, ok bool)
	// acked says whether messages are acknowledged, with their numbers.
	acked() bool
}

// plain is a server with two handlers: join(room) joins and acknowledges,
// msg(room, text) emits msg(text) to the room.
type plain struct{}

func (plain) join(room string, _ uint64, _ string) string { return `["join","` + room + `"]` }
func (plain) leave(string) string                         { return "" }
func (plain) say(room, text, _ string) string             { return `["msg","` + room + `","` + text + `"]` }
func (plain) typing(string) string                        { return "" }
func (plain) history(string, uint64) string               { return "" }
func (plain) acked() bool                                 { return false }

func (plain) heard(array []byte) ([]byte, uint64, bool) {
	const head = `["msg","`
	if len(array) < len(head)+headSize || string(array[:len(head)]) != head {
		return nil, 0, false
	}
	return array[len(head):], 0, true
}

// antchat is the vocabulary of docs/protocol.md.
type antchat struct{}

func (antchat) join(room string, since uint64, epoch string) string {
	if epoch == "" {
		return `["join room",{"room":"` + room + `","limit":1}]`
	}
	return fmt.Sprintf(`["join room",{"room":%q,"since":%d,"epoch":%q,"limit":200}]`, room, since, epoch)
}
func (antchat) leave(room string) string { return `["leave room",{"room":"` + room + `"}]` }
func (antchat) say(room, text, id string) string {
	return `["new message",{"room":"` + room + `","message":"` + text + `","id":"` + id + `"}]`
}
func (antchat) typing(room string) string { return `["typing",{"room":"` + room + `"}]` }
func (antchat) history(room string, before uint64) string {
	return fmt.Sprintf(`["history",{"room":%q,"before":%d,"limit":20}]`, room, before)
}
func (antchat) acked() bool { return true }

func (antchat) heard(array []byte) ([]byte, uint64, bool) {
	if !bytes.HasPrefix(array, []byte(`["new message",{`)) {
		return nil, 0, false
	}
	_, text, ok := bytes.Cut(array, []byte(`"message":"`))
	if !ok {
		return nil, 0, false
	}
	_, number, ok := bytes.Cut(array, []byte(`"seq":`))
	return text, digits(number), ok
}

// digits reads the number that b begins with.
func digits(b []byte) (n uint64) {
	for _, c := range b {
		if c < '0' || c > '9' {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return n
}

// joined is the answer to a join, and to history.
type joined struct {
	Seq      uint64 `json:"seq"`
	Epoch    string `json:"epoch"`
	Messages []struct {
		Seq uint64 `json:"seq"`
	} `json:"messages"`
	More  bool            `json:"more"`
	Gap   json.RawMessage `json:"gap"`
	Error *struct {
		Code      string `json:"code"`
		Retryable bool   `json:"retryable"`
	} `json:"error"`
}

// answer reads an acknowledgement's first argument; nothing is an empty one.
func answer(array []byte) (a joined, err error) {
	args := []*joined{&a}
	if err := json.Unmarshal(array, &args); err != nil {
		return a, fmt.Errorf("acknowledgement %.100s: %w", array, err)
	}
	return a, nil
}

// headSize is what a text begins with: room, number in it, microseconds since
// the run began.
const (
	roomDigits, numberDigits, timeDigits = 5, 9, 12
	headSize                             = roomDigits + numberDigits + timeDigits
)

// text is a message of size bytes.
func text(room int, n uint64, at int64, size int) string {
	b := make([]byte, 0, size)
	for _, part := range []struct {
		value uint64
		width int
	}{{uint64(room), roomDigits}, {n, numberDigits}, {uint64(at), timeDigits}} {
		s := strconv.FormatUint(part.value, 10)
		for range part.width - len(s) {
			b = append(b, '0')
		}
		b = append(b, s...)
	}
	for len(b) < size {
		b = append(b, 'x')
	}
	return string(b)
}

// readText is what text wrote; ok is false for another's message.
func readText(b []byte) (room int, n uint64, at int64, ok bool) {
	if len(b) < headSize {
		return 0, 0, 0, false
	}
	for _, c := range b[:headSize] {
		if c < '0' || c > '9' {
			return 0, 0, 0, false
		}
	}
	return int(digits(b[:roomDigits])), digits(b[roomDigits : roomDigits+numberDigits]), int64(digits(b[roomDigits+numberDigits : headSize])), true
}
