package local

import bolt "go.etcd.io/bbolt"

// Stats are an adapter's present figures, beside those of its limits.
type Stats struct {
	Queued   int // items that wait for the sequencer
	Appends  int // that wait for the committer
	Rooms    int // that have sockets
	Presence int // people in rooms: somebody in two rooms counts twice

	LogRooms, MaxLogRooms int
	Keys, MaxKeys         int
	Sessions, MaxSessions int
	// Bytes of the file, or of the messages in memory; MaxBytes is 0 when there
	// is no limit.
	Bytes, MaxBytes int64
}

// Stats gathers them. It takes locks for a moment each, and looks at each room
// that has people.
func (a *Adapter) Stats() Stats {
	s := Stats{
		Queued: a.seq.Len(), Rooms: a.seq.Rooms(),
		LogRooms: a.stream.countLogs(), MaxLogRooms: a.o.MaxLogRooms,
		Keys: int(a.committer.keyCount.Load()), MaxKeys: a.o.MaxKeys,
		MaxSessions: a.o.MaxSessions,
		Bytes:       a.store.size(), MaxBytes: a.o.MaxBytes,
	}
	a.committer.mu.Lock()
	s.Appends = len(a.committer.pending)
	a.committer.mu.Unlock()
	a.sessions.mu.Lock()
	s.Sessions = a.sessions.byPID.Len()
	a.sessions.mu.Unlock()
	a.presence.mu.Lock()
	for _, r := range a.presence.rooms {
		s.Presence += len(r.people)
	}
	a.presence.mu.Unlock()
	return s
}

func (m *memory) size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// size is that of the file; 0 when it is closed.
func (d *disk) size() (n int64) {
	_ = d.look(func(tx *bolt.Tx) error { // after Close there is nothing to tell
		n = tx.Size()
		return nil
	})
	return n
}
