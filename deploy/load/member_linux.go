package main

import (
	"time"

	"github.com/antchat/antchat/deploy/load/swarm"
)

// member is one client and the rooms that it is in.
type member struct {
	*swarm.Client
	in      []*membership
	speaker bool // writes in the plain vocabulary, and is not dropped by a storm
	slow    bool
	began   time.Time // of the connection under way
	tries   int
	opening bool // a handshake is under way
	counted bool // among those connected
	ready   bool // and in all its rooms
	queued  bool // waits for its reconnect
	asked   []asked
	// unacked is what it said and has no acknowledgement for: sent again after a
	// loss, with the same id.
	unacked map[spoken]string
}

// spoken names a message.
type spoken struct {
	room *room
	n    uint64
}

// membership is a member's place in a room.
type membership struct {
	room    *room
	track   track
	epoch   string
	joining bool
	in      bool // by the server's word, and while a session may be recovered
}

// room is a room and what was said there.
type room struct {
	index   int
	name    string
	speaker *member
	joined  int    // members that are connected
	sent    uint64 // messages, numbered from 1
	head    uint64 // the last number that the server gave
	under   []int32
}

// asked is an acknowledgement that is awaited.
type asked struct {
	id   int
	what askedFor
	room *room
	n    uint64 // message
	at   time.Time
}

type askedFor uint8

const (
	forJoin askedFor = iota
	forMessage
	forHistory
	forOther
)

func (m *member) place(in *room) *membership {
	for _, at := range m.in {
		if at.room == in {
			return at
		}
	}
	return nil
}
