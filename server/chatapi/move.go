package chatapi

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// movedMember is what a member takes along to another node, beside the session's
// record: what its token said. The name is in the record, and the handle is made
// anew, as for a recovered socket.
type movedMember struct {
	Subject string      `json:"subject"`
	Name    string      `json:"name,omitempty"`
	Claims  chat.Claims `json:"claims,omitempty"`
	Expires time.Time   `json:"expires"`
}

// pack is for a socket that goes on at another node.
func (a *API) pack(s *socketio.Socket) ([]byte, error) {
	m := a.member(s)
	if m.token == nil {
		return nil, nil
	}
	return json.Marshal(movedMember{m.token.subject, m.token.name, m.token.claims, m.token.expires})
}

// unpack is for one that came; connected follows.
func (a *API) unpack(s *socketio.Socket, data []byte) error {
	if len(data) == 0 {
		if a.options.Authenticator != nil {
			return errTokenMissing
		}
		return nil
	}
	var x movedMember
	if err := json.Unmarshal(data, &x); err != nil {
		return fmt.Errorf("decode moved member: %w", err)
	}
	m := a.member(s)
	m.token = &bearer{subject: x.Subject, name: x.Name, claims: x.Claims, expires: x.Expires}
	m.keep()
	return nil
}
