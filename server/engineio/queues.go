package engineio

// Queues are what waits for the clients of a server.
type Queues struct {
	Sessions int // that something waits for
	Messages int
	Bytes    int
	Longest  int // bytes that wait for the one that most waits for
}

// Queues looks at every session, one after the other.
func (s *Server) Queues() Queues {
	var q Queues
	for _, session := range s.list() {
		session.mu.Lock()
		messages, bytes := session.queue.count(), session.queue.waiting()
		session.mu.Unlock()
		if messages > 0 {
			q.Sessions++
			q.Messages += messages
			q.Bytes += bytes
			q.Longest = max(q.Longest, bytes)
		}
	}
	return q
}
