package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/server/chat"
)

// ExportLine is one line of an export: one of the fields is there, beside End,
// which has the cursor with it.
type ExportLine struct {
	Message *chat.Message `json:"message,omitempty"`
	Removed []uint64      `json:"removed,omitempty"`
	Gap     *chat.Range   `json:"gap,omitempty"`
	Lost    []LostRange   `json:"lost,omitempty"`
	Cursor  string        `json:"cursor,omitempty"`
	End     bool          `json:"end,omitempty"`
	Error   *Problem      `json:"error,omitempty"`
}

// exportPage is how many entries are read at a time; the server's own limits of a
// page hold too.
const exportPage = 200

// parseCursor reads epoch.seq; a room without messages has no epoch yet.
func parseCursor(s string) (epoch string, after uint64, err error) {
	if s == "" {
		return "", 0, nil
	}
	i := strings.LastIndexByte(s, '.')
	if i >= 0 {
		after, err = strconv.ParseUint(s[i+1:], 10, 63)
	}
	if i < 0 || err != nil {
		return "", 0, failure{code: CodeBadRequest, detail: "the cursor is none of an export's"}
	}
	return s[:i], after, nil
}

// exportRoom holds a page at a time, and reads the next one when the client has
// taken it. It ends with the client, with PageTimeout of not reading, or at Close.
func exportRoom(c *call) error {
	select {
	case c.api.exports <- struct{}{}:
		defer func() { <-c.api.exports }()
	default:
		return failure{code: CodeOverloaded, detail: "too many exports are under way", retryAfter: 5 * time.Second}
	}
	epoch, after, err := parseCursor(c.query.Get("cursor"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(c.r.Context())
	defer cancel()
	defer context.AfterFunc(c.api.closing, cancel)()
	room := c.vars["room"]
	page, err := c.exportRead(ctx, room, epoch, after)
	if err != nil {
		return err
	}
	control := http.NewResponseController(c.w)
	c.w.Header().Set("Content-Type", "application/x-ndjson")
	c.w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(c.w, 32<<10)
	timed := func() error {
		if err := control.SetWriteDeadline(time.Now().Add(c.api.options.PageTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return errTold{fmt.Errorf("set deadline: %w", err)}
		}
		return nil
	}
	for {
		if err := timed(); err != nil {
			return err
		}
		if page.Last > after || page.Epoch != epoch {
			epoch, after = page.Epoch, page.Last
		}
		end := !page.More || page.Last == 0
		writePage(out, page, end, epoch+"."+strconv.FormatUint(after, 10))
		if err := errors.Join(out.Flush(), flush(control)); err != nil || end {
			if err != nil {
				c.api.options.Logger.Debug("export left unread", "err", err)
			}
			return nil // whoever left knows
		}
		if page, err = c.exportRead(ctx, room, epoch, after); err != nil {
			if c.r.Context().Err() != nil {
				return nil // nobody is there to be told
			}
			if err := timed(); err != nil { // that of the page before may have passed
				return err
			}
			p := problemOf(err)
			writeLine(out, ExportLine{Error: &p})
			_ = out.Flush() // the client may be gone
			return errTold{err}
		}
	}
}

func flush(c *http.ResponseController) error {
	if err := c.Flush(); !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// exportRead reads the next page, which counts as a request, and which a token must
// still be good for.
func (c *call) exportRead(ctx context.Context, room, epoch string, after uint64) (chat.Page, error) {
	for {
		if end := c.caller.expires; !end.IsZero() && time.Now().After(end) {
			return chat.Page{}, failure{code: CodeTokenExpired, detail: "the token has expired: go on with another one, from the last cursor"}
		}
		wait := c.api.callers.take(c.caller.name, 1, time.Now())
		if wait == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return chat.Page{}, ctx.Err()
		case <-time.After(wait):
		}
	}
	return c.caller.backend.History(ctx, room, chat.HistoryQuery{After: &after, Epoch: epoch, Limit: exportPage})
}

// writePage writes a page's lines. Errors stay in the writer.
func writePage(out *bufio.Writer, page chat.Page, end bool, cursor string) {
	if page.Gap != nil {
		writeLine(out, ExportLine{Gap: page.Gap})
	}
	if lost := lostRanges(&page); lost != nil {
		writeLine(out, ExportLine{Lost: lost})
	}
	for _, m := range page.Messages { // encoded already
		_, _ = out.WriteString(`{"message":`)
		_, _ = out.Write(m)
		_, _ = out.WriteString("}\n")
	}
	if len(page.Removed) > 0 {
		writeLine(out, ExportLine{Removed: page.Removed})
	}
	writeLine(out, ExportLine{Cursor: cursor, End: end})
}

func writeLine(out *bufio.Writer, line ExportLine) {
	b, err := json.Marshal(line)
	if err != nil {
		panic(err) // texts and numbers
	}
	_, _ = out.Write(append(b, '\n'))
}
