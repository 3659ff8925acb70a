package chat

import "time"

// Limits bound what a client may make. Zero fields mean the default that is
// named beside them. Characters are counted as [Characters] does, bytes in
// UTF-8 after normalisation; both limits hold.
type Limits struct {
	NameCharacters int // 32
	NameBytes      int // 128
	RoomCharacters int // 64
	RoomBytes      int // 256
	TextCharacters int // 4,000
	TextBytes      int // 16,384
	IDBytes        int // 128: a client's own message id
	// HistoryDefault and HistoryMax bound the messages of one answer: what is
	// given when the client names no limit (50), and the most it can have
	// (200; a larger wish is cut, not refused).
	HistoryDefault int
	HistoryMax     int
	// AnswerBytes bounds the messages of one answer in bytes (256 KiB). One
	// message is always given, however long. It must stay well below what a
	// connection may have queued.
	AnswerBytes int
	// PeopleListed bounds the names in one answer (100), RoomsListed the rooms
	// of one page (100, and 50 when the client names no limit).
	PeopleListed int
	RoomsListed  int
	// RoomsPerSocket bounds the rooms one socket is in (50).
	RoomsPerSocket int
	// RoomsPerUser bounds the rooms that all sockets of a user are in together (200),
	// the lobby aside.
	RoomsPerUser int
	// LogAge is how long the log keeps messages (7 days): removed ones are
	// remembered as such for longer.
	LogAge time.Duration
	// AnnounceMax is the size of a room, in people, beyond which joins and
	// leaves are no longer told one by one (200).
	AnnounceMax int
}

// withDefaults fills the zero fields.
func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{
		{&l.NameCharacters, 32}, {&l.NameBytes, 128},
		{&l.RoomCharacters, 64}, {&l.RoomBytes, 256},
		{&l.TextCharacters, 4000}, {&l.TextBytes, 16 << 10},
		{&l.IDBytes, 128},
		{&l.HistoryDefault, 50}, {&l.HistoryMax, 200}, {&l.AnswerBytes, 256 << 10},
		{&l.PeopleListed, 100}, {&l.RoomsListed, 100},
		{&l.RoomsPerSocket, 50}, {&l.RoomsPerUser, 200}, {&l.AnnounceMax, 200},
	} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	if l.LogAge <= 0 {
		l.LogAge = 7 * 24 * time.Hour
	}
	l.HistoryDefault = min(l.HistoryDefault, l.HistoryMax)
	return l
}

// roomsDefault is the page of the list of rooms when the client names none.
const roomsDefault = 50

// MinSecret and MaxSecret bound a client-made session secret, in bytes.
const (
	MinSecret = 16
	MaxSecret = 128
)
