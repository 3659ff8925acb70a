package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// hostileSettings make the waits of the tests short.
var hostileSettings = map[string]string{
	"ENGINE_CONNECT_TIMEOUT": "2s", "HTTP_HEADER_TIMEOUT": "1s", "HTTP_BODY_TIMEOUT": "1s",
}

// TestHostilePackets: what breaks the protocol above the frames closes that
// connection, over WebSocket and polling and in both revisions, and no other.
func TestHostilePackets(t *testing.T) {
	p := startServer(t, hostileSettings)
	c := startControl(t, p)

	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	eleven := make([]string, 11)
	for i := range eleven {
		eleven[i] = fmt.Sprintf(`{"_placeholder":true,"num":%d}`, i)
	}
	// Each is one text packet after a good CONNECT.
	for name, packet := range map[string]string{
		"a ping from a client":               "2",
		"an unknown engine packet":           "9x",
		"an empty packet":                    "",
		"bad JSON":                           `42["a",}`,
		"an event that is no array":          `42{"a":1}`,
		"an event without a name":            `42[]`,
		"an event whose name is an object":   `42[{}]`,
		"an event without data":              `42`,
		"text after the array":               `42["a"]x`,
		"an unknown packet type":             `47["a"]`,
		"no packet type":                     `4`,
		"a reserved name, connect":           `42["connect"]`,
		"a reserved name, connect_error":     `42["connect_error",{}]`,
		"a reserved name, disconnect":        `42["disconnect"]`,
		"a reserved name, disconnecting":     `42["disconnecting"]`,
		"a reserved name, newListener":       `42["newListener"]`,
		"a reserved name, removeListener":    `42["removeListener"]`,
		"a second CONNECT":                   `40`,
		"an id over 2^53-1":                  `429007199254740992["a"]`,
		"an id of 400 digits":                `42` + strings.Repeat("9", 400) + `["a"]`,
		"an ack that is no array":            `431{"a":1}`,
		"deep nesting":                       `42["a",` + deep + `]`,
		"an unterminated string":             `42["a","b`,
		"a bad escape":                       `42["a","\u12"]`,
		"a control character in a string":    "42[\"a\",\"\x01\"]",
		"eleven attachments":                 `4511-["a",` + strings.Join(eleven, ",") + `]`,
		"no attachments in a binary event":   `450-["a"]`,
		"an attachment count of 17 digits":   `45999999999999999-["msg","x"]`,
		"a negative attachment count":        `45-1-["msg","x"]`,
		"no attachment count":                `45["msg",{"_placeholder":true,"num":0}]`,
		"a placeholder out of range":         `451-["a",{"_placeholder":true,"num":1}]`,
		"a negative placeholder":             `451-["a",{"_placeholder":true,"num":-1}]`,
		"a placeholder that is no number":    `451-["a",{"_placeholder":true,"num":"x"}]`,
		"a placeholder twice":                `451-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]`,
		"fewer placeholders than announced":  `452-["a",{"_placeholder":true,"num":0}]`,
		"text where an attachment belongs":   `451-["a",{"_placeholder":true,"num":0}]` + "\x1e" + `42["b"]`,
		"an attachment that nobody awaits":   "bAQID",
		"a namespace without end":            `42/` + strings.Repeat("n", 100_000),
		"an event to another namespace":      `42/other,["a"]`,
		"an ack that nobody awaits, endless": `43` + strings.Repeat("1", 1000) + `["a"]`,
	} {
		t.Run("websocket/"+name, func(t *testing.T) {
			ws := connectWS(t, p.addr)
			for part := range strings.SplitSeq(packet, "\x1e") {
				if part == "bAQID" {
					ws.bytes(frame(fin|opBinary, []byte{1, 2, 3}))
				} else {
					ws.text(part)
				}
			}
			// Some wait for an attachment: give one, it must not be delivered.
			if strings.HasPrefix(packet, "45") {
				ws.bytes(frame(fin|opBinary, []byte{1}))
			}
			ws.closed()
		})
		t.Run("polling/"+name, func(t *testing.T) {
			s := openPolling(t, p.url, 4)
			s.connect()
			s.post(plain, packet)
			s.closed()
		})
	}
	c.advance()

	t.Run("harmless", func(t *testing.T) {
		ws := connectWS(t, p.addr)
		// Nobody awaits this ack; a client may be late.
		ws.text(`437["late"]`)
		ws.text(`40/?a=1,`)
		if got := ws.expect("44/"); got != `44/?a=1,{"message":"Invalid namespace"}` {
			t.Errorf("unknown namespace: %s", got)
		}
		ws.text(`40/nope,{"token":1}`)
		ws.expect(`44/nope,{"message":"Invalid namespace"}`)
		ws.text(`429007199254740991["no such event"]`)
		if got := ws.expect(`439007199254740991[{`); !strings.Contains(got, `"code":"unknown_event"`) {
			t.Errorf("unknown event: %s", got)
		}
		ws.mustCall(nil, "join room", map[string]any{"room": "harmless"})
	})

	t.Run("before and after the namespace", func(t *testing.T) {
		ws := openWS(t, p.addr)
		ws.text(`42["new message","too early"]`)
		ws.closed()

		ws = connectWS(t, p.addr)
		ws.text("41")
		ws.text(`42["new message","too late"]`)
		ws.closed()

		ws = openWS(t, p.addr)
		ws.text(`40"a string"`)
		ws.closed()

		ws = openWS(t, p.addr) // and never a CONNECT
		ws.closed()

		s := openPolling(t, p.url, 4)
		s.closed()
	})

	t.Run("revision 3", func(t *testing.T) {
		for name, packet := range map[string]string{
			"bad JSON": `42["a",}`, "a reserved name": `42["disconnect"]`, "deep nesting": `42["a",` + deep + `]`,
			"an attachment count": `45999999999999999-["msg","x"]`, "an event elsewhere": `42/other,["a"]`,
			"an id of 400 digits": `42` + strings.Repeat("9", 400) + `["a"]`,
		} {
			t.Run(name, func(t *testing.T) {
				ws := dialWS(t, p.addr, "EIO=3&transport=websocket")
				ws.expect("40")
				ws.text(packet)
				ws.closed()
			})
		}
	})
	c.advance()
}

// TestFloodOfConnects: a client that asks for namespaces without end is closed
// or refused, and costs nobody else anything.
func TestFloodOfConnects(t *testing.T) {
	p := startServer(t, hostileSettings)
	c := startControl(t, p)
	for range 4 {
		ws := connectWS(t, p.addr)
		var flood []byte
		for i := range 5000 {
			flood = append(flood, frame(fin|opText, fmt.Appendf(nil, "40/flood-%d,", i))...)
		}
		go ws.bytes(flood) // ends with the connection, or when all is written
		ws.closed()
	}
	ws := connectWS(t, p.addr)
	for range 20 { // coming and going, within reason, is allowed
		ws.text("41")
		ws.text("40")
		ws.expect("40{")
	}
	c.advance()
}
