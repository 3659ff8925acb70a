package chatapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/identity"
	"github.com/antchat/antchat/server/socketio"
)

var (
	errTokenMissing = errors.New("chatapi: no token")
	errOtherUser    = errors.New("chatapi: token of another user")
	errNoTokens     = errors.New("chatapi: no tokens in open mode")
)

// bearer is what a member keeps of its token. The token itself is forgotten.
type bearer struct {
	subject string
	name    string      // by the chat's rules; "" when the token has none
	claims  chat.Claims // what the rules ask for
	expires time.Time
}

// authenticate is the user whose token a client shows.
func (a *API) authenticate(ctx context.Context, m *member) (user string, err error) {
	token, err := tokenOf(m.socket)
	if err == nil {
		user, err = a.bear(ctx, m, token)
	}
	switch {
	case errors.Is(err, identity.ErrUnavailable):
		// No refusal, which the client would take as final.
		return "", fmt.Errorf("%w: %w", adapter.ErrUnavailable, err)
	case err != nil:
		a.options.Logger.Debug("token refused", "err", err)
		return "", a.refuseConnect(err)
	}
	return user, nil
}

// tokenOf is the token in what came with the CONNECT, else in the header, else in
// the query.
func tokenOf(s *socketio.Socket) (token string, err error) {
	says := statementsOf(s)
	for _, name := range []string{secretToken, secretAuthorization, secretAccessToken} {
		given, err := decodeText(says.of(name), &token)
		if err != nil {
			return "", fmt.Errorf("%w: no string", identity.ErrInvalid)
		}
		if given && name == secretAuthorization {
			// Another scheme is for a proxy on the way, and not for us.
			scheme, rest, _ := strings.Cut(token, " ")
			given, token = strings.EqualFold(scheme, "Bearer"), rest
		}
		if given && token != "" {
			return token, nil
		}
	}
	return "", errTokenMissing
}

// bear makes a token the member's. On an error it keeps the one that it had.
func (a *API) bear(ctx context.Context, m *member, token string) (user string, err error) {
	ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
	defer cancel()
	id, err := a.options.Authenticator.Authenticate(ctx, token)
	if err != nil {
		return "", err
	}
	user = chat.UserOfSubject(id.Subject)
	if m.token != nil && user != m.socket.User() {
		return "", errOtherUser
	}
	b := &bearer{subject: id.Subject, expires: id.Expires, claims: a.rules.Claims(id.Claims.Find)}
	if name, err := a.chat.Limits().Name(id.Name); err == nil {
		b.name = name
	}
	m.token = b
	return user, nil
}

// refreshToken puts a new token in the place of the old one. The socket leaves
// the rooms that the new one does not open.
func (a *API) refreshToken(ctx context.Context, m *member, in RefreshToken) (TokenExpiry, error) {
	if a.options.Authenticator == nil {
		return TokenExpiry{}, errNoTokens
	}
	if _, err := a.bear(ctx, m, in.Token); err != nil {
		return TokenExpiry{}, err
	}
	a.leases.add(m)
	for _, room := range chat.Rooms(m.socket.Rooms()) {
		if a.may(m, room, chat.Read) {
			continue
		}
		if err := a.leave(ctx, m, room); err != nil {
			return TokenExpiry{}, err
		}
	}
	return TokenExpiry{Expires: chat.Milliseconds(m.token.expires)}, nil
}

// refuseConnect is a connect error with a code. Its texts are made for
// clients.
func (a *API) refuseConnect(err error) error {
	p := problem(err)
	if a.options.Hooks.ConnectRefused != nil {
		a.options.Hooks.ConnectRefused(p.Code)
	}
	return &socketio.ConnectError{Message: p.Message, Data: p}
}

// watchTokens is the goroutine that warns of a token's end, and then ends the
// connection: a client that comes back with a new token goes on where it was.
func (a *API) watchTokens() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-a.stop.Done():
			return
		case <-a.leases.changed:
		case <-timer.C:
		}
		due, next := a.leases.due(time.Now())
		for _, l := range due {
			if l.ended {
				a.endSession(l.socket, identity.ErrExpired)
			} else if err := l.socket.Emit(eventTokenExpiring, TokenExpiry{Expires: chat.Milliseconds(l.expires)}); err != nil {
				a.options.Logger.Debug("token warning not sent", "err", err)
			}
		}
		if !next.IsZero() {
			timer.Reset(time.Until(next))
		}
	}
}

// endSession says why, and closes the connection.
func (a *API) endSession(s *socketio.Socket, why error) {
	p := problem(why)
	if a.options.Hooks.Ended != nil {
		a.options.Hooks.Ended(p.Code)
	}
	if err := s.Emit(eventSessionEnded, SessionEnded{Code: p.Code, Message: p.Message}); err != nil {
		a.options.Logger.Debug("end of session not told", "err", err)
	}
	s.CloseConnection()
}
