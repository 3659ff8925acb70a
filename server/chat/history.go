package chat

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/antchat/antchat/adapter"
)

// Range is a range of messages, both ends included, that is lost for good.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Page is a part of a room's history, ascending.
type Page struct {
	Room  string
	Epoch string
	// Seq is the last message's in the room; for a join, at the cut.
	Seq      uint64
	Messages []json.RawMessage // each an object with the fields of Message
	// More: further messages remain in the direction of reading.
	More bool
	// First and Last are the seqs between which the page is complete, entries that
	// are no messages included: where the next page before or after it goes on. Both
	// are 0 when nothing was read.
	First, Last uint64
	// Removed are seqs of messages that were removed, as entries among those read
	// say: the messages themselves may be further back.
	Removed []uint64
	// Gap is what was asked for and is lost, or nil.
	Gap *Range
	// Lost is what else the store has lost since, of whatever epochs.
	Lost []adapter.Gap
}

// JoinQuery is what a client that joins already has, and how much it wants.
type JoinQuery struct {
	// Since, when not nil, is the last seq that the client has, in Epoch
	// ("" the room's current one).
	Since *uint64
	Epoch string
	Limit int // 0 for the default
}

// HistoryQuery asks for a page: the newest messages; those before a seq; those
// after a seq; or the newest of those between the two.
type HistoryQuery struct {
	Before, After *uint64
	Epoch         string
	Limit         int
}

// limit is what a wish for n messages comes to.
func (l Limits) limit(n int) int {
	if n <= 0 {
		return l.HistoryDefault
	}
	return min(n, l.HistoryMax)
}

// maxEpoch bounds the epoch that a client may name, in bytes.
const maxEpoch = 64

// Epoch checks an epoch that a client sent back.
func (l Limits) Epoch(s string) error {
	if len(s) > maxEpoch {
		return &Invalid{FieldEpoch, fmt.Sprintf("must have at most %d bytes", maxEpoch)}
	}
	return printable(FieldEpoch, s)
}

// JoinRead is the read of the log that belongs into the join's cut; its answer
// goes to [Chat.Joined].
func (c *Chat) JoinRead(q JoinQuery) *adapter.LogRead {
	return &adapter.LogRead{After: q.Since, Epoch: q.Epoch, Limit: c.limits.limit(q.Limit)}
}

// Joined makes the page of a join: the newest messages the client lacks, up to
// the cut. A cut can only read forward from Since; when more is missing than
// the limit, the newest are read again from below the cut, where nothing
// changes any more. A client that is ahead of the room saw numbers that were
// lost and began again: it lacks all that there is.
func (c *Chat) Joined(ctx context.Context, q JoinQuery, cut *adapter.LogSlice) (Page, error) {
	page := c.page(cut)
	ahead := q.Since != nil && *q.Since > cut.Head
	if q.Since == nil || !ahead && (!cut.More || len(cut.Entries) == 0) {
		return page, c.fill(ctx, &page, cut.Entries, cut.More, true)
	}
	newest, err := c.store.Read(ctx, c.namespace, cut.Room, adapter.LogRead{Before: cut.Head + 1, Limit: c.limits.limit(q.Limit)})
	if err != nil {
		return Page{}, fmt.Errorf("read the newest messages: %w", err)
	}
	entries, more := newest.Entries, newest.More
	if !ahead {
		first := cut.Entries[0].Seq
		for len(entries) > 0 && entries[0].Seq < first {
			entries = entries[1:]
		}
		more = len(entries) > 0 && entries[0].Seq > first
	}
	return page, c.fill(ctx, &page, entries, more, true)
}

// History reads a page of a room.
func (c *Chat) History(ctx context.Context, room string, q HistoryQuery) (Page, error) {
	read := adapter.LogRead{Epoch: q.Epoch, Limit: c.limits.limit(q.Limit)}
	newest := q.After == nil || q.Before != nil
	if newest {
		if q.Before != nil {
			// Nothing stands before 0, but to the log 0 means no bound at all.
			read.Before = max(*q.Before, 1)
		}
	} else {
		read.After = q.After
	}
	slice, err := c.store.Read(ctx, c.namespace, AdapterRoom(room), read)
	if err != nil {
		return Page{}, fmt.Errorf("read history: %w", err)
	}
	page := c.page(slice)
	page.Room = room
	entries, more := slice.Entries, slice.More
	if newest && q.After != nil {
		for len(entries) > 0 && entries[0].Seq <= *q.After {
			entries, more = entries[1:], false
		}
		more = more && len(entries) > 0 && entries[0].Seq > *q.After+1
	}
	return page, c.fill(ctx, &page, entries, more, newest)
}

func (c *Chat) page(s *adapter.LogSlice) Page {
	room, _ := RoomName(s.Room)
	page := Page{Room: room, Epoch: s.Epoch, Seq: s.Head, Lost: s.Lost}
	if s.Gap != nil {
		page.Gap = &Range{From: s.Gap.From, To: s.Gap.To}
	}
	return page
}

// fill puts the entries that are messages into a page, as many as its bytes
// allow: the newest when reading the newest, else the oldest.
func (c *Chat) fill(ctx context.Context, page *Page, entries []*adapter.Delivery, more, newest bool) error {
	page.Removed = removals(entries)
	entries, err := c.Redacted(ctx, page.Room, entries)
	if err != nil {
		return err
	}
	size := 0
	fits := func(d *adapter.Delivery) bool {
		n := size
		size += len(d.Event.Data) + 96 // what AppendMessage adds, at most
		return n == 0 || size <= c.limits.AnswerBytes
	}
	if newest {
		i := len(entries)
		for i > 0 && fits(entries[i-1]) {
			i--
		}
		entries, more = entries[i:], more || i > 0
	} else {
		i := 0
		for i < len(entries) && fits(entries[i]) {
			i++
		}
		entries, more = entries[:i], more || i < len(entries)
	}
	page.More = more
	if len(entries) > 0 {
		page.First, page.Last = entries[0].Seq, entries[len(entries)-1].Seq
	}
	page.Messages = make([]json.RawMessage, 0, len(entries))
	for _, d := range entries {
		if IsMessage(d) {
			page.Messages = append(page.Messages, AppendMessage(nil, d))
		}
	}
	return nil
}
