package chatapi

import (
	"context"
	"sync"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// stranger is a user that no session has: who claims one as this does not get it.
const stranger = "-"

// identify is connect middleware: who is it? A secret proves the same person
// over all its sockets and reconnects. Without one, the pid does, also when the
// session that it was of cannot be continued; a client of protocol 4 has
// neither and is new each time.
//
// With tokens, only the token counts.
//
// On recovery the session's record names the user. It is believed on the pid
// alone unless that user has a secret or a token, which must then be shown again.
func (a *API) identify(ctx context.Context, s *socketio.Socket) error {
	c, err := credentialsOf(statementsOf(s))
	if err != nil {
		return a.refuseConnect(err)
	}
	view := viewChat
	if c.tutorial {
		view = viewTutorial
	}
	s.SetView(view)
	if err := a.takeConnect(ctx, ScopeAddress, Network(s.Address())); err != nil {
		return err
	}
	secret := ""
	m := &member{socket: s}
	switch {
	case a.options.Authenticator != nil:
		if secret, err = a.authenticate(ctx, m); err != nil {
			return err
		}
		m.keep()
	case c.hasSecret:
		if secret, err = chat.UserOfSecret(c.secret); err != nil {
			return a.refuseConnect(err)
		}
	}
	if s.Recovered() {
		user := a.claimant(s, c, secret)
		if user != stranger {
			if err := a.unbarred(ctx, m, user); err != nil {
				return err
			}
		}
		if user != stranger && !a.allows(m, user, s.ClaimedRooms()) {
			user = stranger
		}
		s.SetUser(user)
		return nil
	}
	user, known := secret, true
	if user == "" {
		user = a.newcomer(s)
		known = s.ClaimedPID() != ""
	}
	if known { // nothing can hold against somebody who has just come to be
		if err := a.unbarred(ctx, m, user); err != nil {
			return err
		}
	}
	s.SetUser(user)
	return s.SetData(record{User: user})
}

// newcomer is the user of a new session without a secret.
func (a *API) newcomer(s *socketio.Socket) string {
	switch claimed := s.ClaimedPID(); {
	case len(claimed) >= chat.MinSecret:
		return a.heirs.take(claimed)
	case s.PID() != "":
		return chat.UserOfPID(s.PID())
	}
	return chat.UserOfConnection(s.ID())
}

// claimant is the user as whom a session is claimed: anybody else's than the
// session's fails. secret is the user of the secret shown, "" without one.
func (a *API) claimant(s *socketio.Socket, c credentials, secret string) string {
	r, err := dataOf(s)
	if err != nil { // of another version: a new session, then
		return stranger
	}
	user := secret
	if user == "" {
		if chat.Proven(r.User) {
			return stranger
		}
		user = r.User
		a.heirs.put(s.ClaimedPID(), user)
	}
	if c.tutorial && c.serverOffset < r.Backlog {
		// The backlog is sent in direct events, whose offsets lie behind it
		// already. If the connection broke before the client had it all, the
		// adapter cannot know what is missing, but the client's own offset
		// does: then this is no recovery.
		return stranger
	}
	return user
}

// heirs remembers for a moment whose sessions are being claimed. When a claim
// comes to nothing the middleware runs again, for a new session, which must be
// the same person's. Bounded: where one is forgotten, the pid decides, and a
// person whose claims have failed before becomes another one. Safe for
// concurrent use.
type heirs struct {
	mu    sync.Mutex
	users map[string]string // by pid; guarded by mu
	pids  [1024]string      // those that were put last; guarded by mu
	next  int               // guarded by mu
}

// put notes the user of a session.
func (h *heirs) put(pid, user string) {
	if user == chat.UserOfPID(pid) {
		return // take says the same
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users == nil {
		h.users = make(map[string]string)
	}
	delete(h.users, h.pids[h.next])
	h.pids[h.next] = pid
	h.next = (h.next + 1) % len(h.pids)
	h.users[pid] = user
}

// take gives the user of a pid, and forgets it.
func (h *heirs) take(pid string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	user, ok := h.users[pid]
	delete(h.users, pid)
	if !ok {
		return chat.UserOfPID(pid)
	}
	return user
}
