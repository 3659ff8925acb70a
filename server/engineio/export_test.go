package engineio

// Arriving is how many bytes of begun messages and bodies are held.
func (s *Server) Arriving() int64 { return s.intake.Load() }
