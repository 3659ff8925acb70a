package swarm

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Refused is an answer in HTTP other than the one that was hoped for.
type Refused struct {
	Status int
	// RetryAfter is what the server asked to wait; 0 when it did not say.
	RetryAfter time.Duration
	Body       string // its beginning
}

func (r *Refused) Error() string { return fmt.Sprintf("answered %d: %.100s", r.Status, r.Body) }

// response is an answer in HTTP/1.1 (RFC 9112).
type response struct {
	status int
	after  time.Duration // Retry-After, in seconds
	close  bool          // Connection: close
	body   []byte
}

func (r *response) refused() error {
	return &Refused{r.status, r.after, string(r.body[:min(len(r.body), 100)])}
}

var errResponse = errors.New("an answer that is no HTTP/1.1")

// nextResponse cuts the first answer off b. n is 0 when b holds less than one.
func nextResponse(b []byte) (r response, n int, err error) {
	head, body, whole := bytes.Cut(b, []byte("\r\n\r\n"))
	if !whole {
		if len(b) > 64<<10 {
			return r, 0, errResponse
		}
		return r, 0, nil
	}
	n = len(head) + 4
	line, fields, _ := strings.Cut(string(head), "\r\n")
	if len(line) < 12 || !strings.HasPrefix(line, "HTTP/1.") {
		return r, 0, errResponse
	}
	if r.status, err = strconv.Atoi(line[9:12]); err != nil {
		return r, 0, errResponse
	}
	length, chunked := 0, false
	for field := range strings.SplitSeq(fields, "\r\n") {
		name, value, _ := strings.Cut(field, ":")
		value = strings.TrimSpace(value)
		switch strings.ToLower(name) {
		case "content-length":
			if length, err = strconv.Atoi(value); err != nil || length < 0 || length > maxPiece {
				return r, 0, errResponse
			}
		case "transfer-encoding":
			chunked = strings.EqualFold(value, "chunked")
		case "connection":
			r.close = strings.EqualFold(value, "close")
		case "retry-after":
			if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 && seconds < 3600 {
				r.after = time.Duration(seconds) * time.Second
			}
		}
	}
	if r.status == 101 || r.status == 204 || r.status == 304 {
		return r, n, nil
	}
	if chunked {
		var took int
		if r.body, took, err = unchunk(body); took == 0 || err != nil {
			return r, 0, err
		}
		return r, n + took, nil
	}
	if len(body) < length {
		return r, 0, nil
	}
	r.body = body[:length]
	return r, n + length, nil
}

// unchunk reads a chunked body (RFC 9112, 7.1) without trailers. n is 0 when it
// is not whole.
func unchunk(b []byte) (body []byte, n int, err error) {
	for {
		line, rest, ok := bytes.Cut(b[n:], []byte("\r\n"))
		if !ok {
			return nil, 0, nil
		}
		size, _, _ := strings.Cut(string(line), ";")
		length, err := strconv.ParseUint(strings.TrimSpace(size), 16, 32)
		if err != nil || length > maxPiece || len(body)+int(length) > maxPiece {
			return nil, 0, errResponse
		}
		if len(rest) < int(length)+2 {
			return nil, 0, nil
		}
		body = append(body, rest[:length]...)
		n += len(line) + 2 + int(length) + 2
		if length == 0 {
			return body, n, nil
		}
	}
}
