package engineio

import (
	"encoding/binary"
	"errors"
	"net/http"
)

// What crosses a Relay. Both sides check every length; nodes of one fleet may be
// of different versions, so the first byte is the form's.
const relayVersion = 1

// relayKind says what a relayed request is.
type relayKind byte

const (
	relayGet         relayKind = 'g' // a poll
	relayPost        relayKind = 'p'
	relayOther       relayKind = 'o' // another method: the owner refuses it
	relayRecall      relayKind = 'r' // a poll's answer did not come: what has become of it?
	relayUndelivered relayKind = 'u' // a poll's answer did not reach the client
	relayBroken      relayKind = 'b' // a POST did not arrive whole, or could not be answered

	// The steps of an upgrade at another node; id names the upgrade.
	relayOffer   relayKind = 'U' // a WebSocket has come; answered with the revision
	relayProbed  relayKind = 'P' // its client has sent 2probe
	relayMove    relayKind = 'M' // and 5: answered with the session
	relayMoved   relayKind = 'D' // which has been taken up
	relayAbandon relayKind = 'A' // the WebSocket is gone
	relayWord    relayKind = 'W' // for the Mover of a session that has left
)

func (k relayKind) String() string {
	switch k {
	case relayGet:
		return "get"
	case relayPost:
		return "post"
	case relayRecall:
		return "recall"
	case relayUndelivered:
		return "undelivered"
	case relayBroken:
		return "broken"
	case relayOffer, relayProbed, relayMove, relayMoved, relayAbandon, relayWord:
		return "move"
	}
	return "other"
}

// method is the method that serveSession sees.
func (k relayKind) method() string {
	switch k {
	case relayPost:
		return http.MethodPost
	case relayOther:
		return http.MethodPut
	}
	return http.MethodGet
}

// relayRequest is a request of a polling session:
//
//	version kind id(8) repeat(1) sid(20) query content-type body
//
// with texts as a uvarint and their bytes; the body is what is left.
type relayRequest struct {
	kind        relayKind
	id          uint64 // not 0
	repeat      bool   // of a POST
	sid         string
	query       string
	contentType string // of a POST
	body        []byte
}

var errRelayWire = errors.New("malformed relay message")

func (q *relayRequest) append(b []byte) []byte {
	b = append(b, relayVersion, byte(q.kind))
	b = binary.BigEndian.AppendUint64(b, q.id)
	repeat := byte(0)
	if q.repeat {
		repeat = 1
	}
	b = append(b, repeat)
	b = append(b, q.sid...)
	b = appendText(b, q.query)
	b = appendText(b, q.contentType)
	return append(b, q.body...)
}

func readRelayRequest(b []byte) (q relayRequest, err error) {
	const fixed = 2 + 8 + 1 + idLen
	if len(b) < fixed || b[0] != relayVersion {
		return q, errRelayWire
	}
	q.kind = relayKind(b[1])
	switch q.kind {
	case relayGet, relayPost, relayOther, relayRecall, relayUndelivered, relayBroken,
		relayOffer, relayProbed, relayMove, relayMoved, relayAbandon, relayWord:
	default:
		return q, errRelayWire
	}
	q.id = binary.BigEndian.Uint64(b[2:])
	q.repeat = b[10] == 1
	q.sid = string(b[11:fixed])
	b = b[fixed:]
	var ok1, ok2 bool
	q.query, b, ok1 = cutText(b, maxURI)
	q.contentType, b, ok2 = cutText(b, maxHeaderValue)
	if !ok1 || !ok2 || q.id == 0 {
		return q, errRelayWire
	}
	q.body = b
	return q, nil
}

// relayedHeaders are what the owner's answer may set.
var relayedHeaders = []string{"Content-Type", "Cache-Control", "Connection", "Retry-After", "X-Content-Type-Options"}

// relayReply is an answer, as the client is to get it, but not compressed:
//
//	version status(2) number-of-headers(1) (name value)… body
type relayReply struct {
	status int
	header []string // name, value, …
	body   []byte
}

func (a *relayReply) append(b []byte) []byte {
	b = append(b, relayVersion)
	b = binary.BigEndian.AppendUint16(b, uint16(a.status))
	b = append(b, byte(len(a.header)/2))
	for _, h := range a.header {
		b = appendText(b, h)
	}
	return append(b, a.body...)
}

func readRelayReply(b []byte) (a relayReply, err error) {
	if len(b) < 4 || b[0] != relayVersion {
		return a, errRelayWire
	}
	a.status = int(binary.BigEndian.Uint16(b[1:]))
	n := int(b[3])
	if a.status < 200 || a.status > 599 || n > len(relayedHeaders) {
		return a, errRelayWire
	}
	b = b[4:]
	for range 2 * n {
		var text string
		var ok bool
		if text, b, ok = cutText(b, maxHeaderValue); !ok {
			return a, errRelayWire
		}
		a.header = append(a.header, text)
	}
	a.body = b
	return a, nil
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// cutText takes a text of at most limit bytes off b.
func cutText(b []byte, limit int) (text string, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(limit) || n > uint64(len(b)-size) {
		return "", nil, false
	}
	return string(b[size : size+int(n)]), b[size+int(n):], true
}
