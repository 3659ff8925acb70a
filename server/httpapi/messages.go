package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/chatapi"
)

// NewMessage is a message to be posted. Username is what people see as the sender,
// the key's name without it; ID makes a repetition safe.
type NewMessage struct {
	Message  string `json:"message"`
	Username string `json:"username,omitempty"`
	ID       string `json:"id,omitempty"`
}

// NewMessages are a batch.
type NewMessages struct {
	Messages []NewMessage `json:"messages"`
}

// Stored is where a message stands in its room's log. Duplicate: it had been
// stored before.
type Stored struct {
	ID        string `json:"id"`
	Room      string `json:"room"`
	Seq       uint64 `json:"seq"`
	Epoch     string `json:"epoch"`
	TS        int64  `json:"ts"`
	Duplicate bool   `json:"duplicate"`
}

// StoredList answers a batch, in its order.
type StoredList struct {
	Messages []Stored `json:"messages"`
}

// MessagePage is a page of messages, ascending. First and Last say between which
// seqs it is complete; both are 0 when there is nothing.
type MessagePage struct {
	Room     string      `json:"room"`
	Epoch    string      `json:"epoch"`
	Messages messages    `json:"messages"`
	Removed  []uint64    `json:"removed,omitempty"`
	First    uint64      `json:"first"`
	Last     uint64      `json:"last"`
	More     bool        `json:"more"`
	Gap      *chat.Range `json:"gap,omitempty"`
	Lost     []LostRange `json:"lost,omitempty"`
}

// LostRange are seqs of an epoch that the store gave out and then lost, as was
// noticed only later: whoever reads on from after them may have seen these messages,
// or not, and nobody will any more.
type LostRange struct {
	Epoch string `json:"epoch"`
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
}

func lostRanges(page *chat.Page) (list []LostRange) {
	for _, g := range page.Lost {
		list = append(list, LostRange{g.Epoch, g.From, g.To})
	}
	return list
}

// messages each have the fields of [chat.Message].
type messages []json.RawMessage

// RoomList is a page of rooms. With More, Next is the cursor of the next page.
type RoomList struct {
	Rooms []chat.RoomInfo `json:"rooms"`
	More  bool            `json:"more"`
	Next  string          `json:"next,omitempty"`
}

// Members are a page of a room's people. NumUsers are all that are there, Next is
// the cursor of the next page.
type Members struct {
	Room     string        `json:"room"`
	NumUsers int           `json:"numUsers"`
	Users    []chat.Listed `json:"users"`
	Next     string        `json:"next,omitempty"`
}

// incoming is the body of a post: a message, or a batch.
type incoming struct {
	NewMessage
	Messages *[]NewMessage `json:"messages"`
}

// list is what is to be posted.
func (in *incoming) list(most int) (list []NewMessage, batch bool, err error) {
	switch {
	case in.Messages == nil:
		return []NewMessage{in.NewMessage}, false, nil
	case in.NewMessage != NewMessage{}:
		return nil, true, failure{code: CodeBadRequest, detail: "either message or messages, not both"}
	case len(*in.Messages) == 0:
		return nil, true, failure{code: CodeBadRequest, detail: "messages is empty"}
	case len(*in.Messages) > most:
		return nil, true, failure{code: CodeTooLarge, detail: fmt.Sprintf("messages has more than %d", most)}
	}
	return *in.Messages, true, nil
}

// decode reads a request's body, or one that is not there where none is needed.
func (c *call) decode(v any) error {
	if encoding := c.r.Header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return failure{code: CodeMediaType, detail: "the body must not be compressed"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, c.api.options.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return failure{code: CodeTooLarge, detail: fmt.Sprintf("the body has more than %d bytes", large.Limit)}
	case err != nil:
		return failure{code: CodeBadRequest, detail: "the body did not come in full, or not in time"}
	}
	c.unlimited() // there is nothing left to read
	if len(body) == 0 {
		if _, optional := v.(*Sanction); optional {
			return nil
		}
	}
	media, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || media != "application/json" {
		return failure{code: CodeMediaType, detail: "the body must be application/json"}
	}
	return decodeJSON(body, v)
}

// decodeJSON reads one JSON object, which must have no other fields.
func decodeJSON(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		_, err = d.Token()
		if err == nil {
			err = errors.New("more than one value")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil || bytes.TrimSpace(body)[0] != '{' { // null is an object to encoding/json
		return failure{code: CodeBadRequest, detail: "the body has not the documented form"}
	}
	return nil
}

// idempotency is the key of the header, as it is or as a string of structured
// fields (draft-ietf-httpapi-idempotency-key-header).
func (c *call) idempotency() (string, error) {
	values := c.r.Header.Values("Idempotency-Key")
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", failure{code: CodeBadRequest, detail: "Idempotency-Key is there more than once"}
	}
	key := strings.TrimSpace(values[0])
	if len(key) >= 2 && key[0] == '"' && key[len(key)-1] == '"' {
		key = key[1 : len(key)-1]
	}
	if key == "" {
		return "", failure{code: CodeInvalidID, detail: "Idempotency-Key is empty"}
	}
	return key, nil
}

func postMessages(ctx context.Context, c *call) (int, any, error) {
	var in incoming
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	list, batch, err := in.list(c.api.options.MaxBatch)
	if err != nil {
		return 0, nil, err
	}
	stored, err := c.post(ctx, c.vars["room"], list, batch)
	if err != nil {
		return 0, nil, err
	}
	if batch {
		return statusOf(stored), StoredList{stored}, nil
	}
	return statusOf(stored), stored[0], nil
}

func messageUser(ctx context.Context, c *call) (int, any, error) {
	var in NewMessage
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	if !chat.IsPublicID(c.user()) {
		return 0, nil, failure{code: CodeBadRequest, detail: "user must be a user's public id, or sub: and what the tokens' issuer calls the user"}
	}
	stored, err := c.post(ctx, "@"+c.user(), []NewMessage{in}, false)
	if err != nil {
		return 0, nil, err
	}
	return statusOf(stored), stored[0], nil
}

// statusOf is 201, or 200 when nothing was new.
func statusOf(stored []Stored) int {
	for _, s := range stored {
		if !s.Duplicate {
			return http.StatusCreated
		}
	}
	return http.StatusOK
}

// post checks all messages and then stores them in their order.
func (c *call) post(ctx context.Context, room string, list []NewMessage, batch bool) ([]Stored, error) {
	key, err := c.idempotency()
	if err != nil {
		return nil, err
	}
	if err := c.api.charge(c.caller, len(list)-1); err != nil { // one is charged already
		return nil, err
	}
	place := func(err error, i int, stored []Stored) error {
		if batch {
			return atIndex{err, i, stored}
		}
		return err
	}
	senders := make([]*chatapi.Backend, len(list))
	for i := range list {
		m := &list[i]
		if m.ID == "" && key != "" {
			m.ID = key
			if batch {
				m.ID += "." + strconv.Itoa(i)
			}
		}
		senders[i] = c.caller.backend
		if m.Username != "" {
			if senders[i], err = c.caller.backend.As(m.Username); err != nil {
				return nil, place(err, i, nil)
			}
		}
		if err := senders[i].Check(room, m.Message, m.ID); err != nil {
			return nil, place(err, i, nil)
		}
	}
	stored := make([]Stored, 0, len(list))
	for i, m := range list {
		sent, err := senders[i].Send(ctx, room, m.Message, m.ID)
		if err != nil {
			return nil, place(err, i, stored)
		}
		stored = append(stored, Stored{
			ID: sent.ID, Room: sent.Room, Seq: sent.Seq, Epoch: sent.Epoch, TS: chat.Milliseconds(sent.Time), Duplicate: sent.Duplicate,
		})
	}
	return stored, nil
}

func readMessages(ctx context.Context, c *call) (int, any, error) {
	q := chat.HistoryQuery{Epoch: c.query.Get("epoch")}
	var err error
	if q.Before, err = c.number("before"); err != nil {
		return 0, nil, err
	}
	if q.After, err = c.number("after"); err != nil {
		return 0, nil, err
	}
	if q.Limit, err = c.limit(); err != nil {
		return 0, nil, err
	}
	page, err := c.caller.backend.History(ctx, c.vars["room"], q)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, MessagePage{
		Room: page.Room, Epoch: page.Epoch, Messages: page.Messages, Removed: page.Removed,
		First: page.First, Last: page.Last, More: page.More, Gap: page.Gap, Lost: lostRanges(&page),
	}, nil
}

func listRooms(ctx context.Context, c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	page, err := c.caller.backend.Rooms(ctx, chat.RoomsQuery{After: c.query.Get("after"), Cursor: c.query.Get("cursor"), Limit: limit})
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, RoomList{page.Rooms, page.More, page.Next}, nil
}

func listMembers(ctx context.Context, c *call) (int, any, error) {
	limit, err := c.limit()
	if err != nil {
		return 0, nil, err
	}
	roster, err := c.caller.backend.Members(ctx, c.vars["room"], c.query.Get("cursor"), limit)
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, Members{roster.Room, roster.NumUsers, roster.Users, roster.Next}, nil
}
