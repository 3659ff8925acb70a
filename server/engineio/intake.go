package engineio

import "errors"

// Each message and each body has its limit, and its time; but thousands of them
// could come at once and never end. So what has come of them is counted together
// (Options.MaxArriving).

// intake is what is held of one message, or one body, that has begun to arrive.
// Owned by the goroutine that reads it.
type intake struct {
	s    *Server
	held int64
}

// errCrowded: too much has begun to arrive.
var errCrowded = errors.New("too much is arriving")

// hold notes that n bytes are held now; false: that is too much.
func (i *intake) hold(n int) bool {
	more := int64(n) - i.held
	i.held = int64(n)
	return i.s.intake.Add(more) <= i.s.o.MaxArriving || more <= 0
}

// release notes that nothing is held any more.
func (i *intake) release() {
	if i.held != 0 {
		i.hold(0)
	}
}
