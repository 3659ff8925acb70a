package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/antchat/antchat/server/chat"
)

// Sanction says for how many seconds (0: an hour, at most 366 days) and why. A
// request may come without it.
type Sanction struct {
	For    int64  `json:"for,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// NewAnnouncement is what everybody is told. Username is the key's name without it.
type NewAnnouncement struct {
	Message  string `json:"message"`
	Username string `json:"username,omitempty"`
}

// lasts is for how long; 0 when it does not say.
func (s *Sanction) lasts() (time.Duration, error) {
	if s.For < 0 {
		return 0, failure{code: CodeBadRequest, detail: "for must be a number of seconds from 0 on"}
	}
	return time.Duration(min(s.For, int64(chat.MaxSanction/time.Second))) * time.Second, nil
}

func removeMessage(ctx context.Context, c *call) (int, any, error) {
	seq, err := strconv.ParseUint(c.vars["seq"], 10, 63)
	if err != nil {
		return 0, nil, failure{code: CodeBadRequest, detail: "a message is named by its seq"}
	}
	entry, err := c.caller.backend.Remove(ctx, c.vars["room"], c.query.Get("epoch"), seq)
	return http.StatusOK, entry, err
}

func sanction(kind chat.SanctionKind) func(context.Context, *call) (int, any, error) {
	return func(ctx context.Context, c *call) (int, any, error) {
		var in Sanction
		if err := c.decode(&in); err != nil {
			return 0, nil, err
		}
		lasts, err := in.lasts()
		if err != nil {
			return 0, nil, err
		}
		entry, err := c.caller.backend.Sanction(ctx, kind, c.vars["room"], c.user(), in.Reason, lasts)
		return http.StatusOK, entry, err
	}
}

func pardon(kind chat.SanctionKind) func(context.Context, *call) (int, any, error) {
	return func(ctx context.Context, c *call) (int, any, error) {
		entry, err := c.caller.backend.Pardon(ctx, kind, c.vars["room"], c.user())
		return http.StatusOK, entry, err
	}
}

func ban(ctx context.Context, c *call) (int, any, error) {
	var in Sanction
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	lasts, err := in.lasts()
	if err != nil {
		return 0, nil, err
	}
	if lasts == 0 {
		lasts = time.Hour
	}
	return http.StatusNoContent, nil, c.caller.backend.Bar(ctx, c.user(), lasts)
}

func unban(ctx context.Context, c *call) (int, any, error) {
	return http.StatusNoContent, nil, c.caller.backend.Bar(ctx, c.user(), 0)
}

func announce(ctx context.Context, c *call) (int, any, error) {
	var in NewAnnouncement
	if err := c.decode(&in); err != nil {
		return 0, nil, err
	}
	from := c.caller.backend
	if in.Username != "" {
		var err error
		if from, err = from.As(in.Username); err != nil {
			return 0, nil, err
		}
	}
	news, err := from.Announce(ctx, in.Message)
	return http.StatusCreated, news, err
}
