package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/antchat/antchat/server/e2e/child"
)

// nodeHost is one Node process with many unmodified socket.io-client sockets.
type nodeHost struct {
	// Immutable.
	cmd  *exec.Cmd
	in   io.WriteCloser
	said tail
	done chan struct{}

	mu      sync.Mutex
	sockets map[int]*nodeSocket // guarded by mu
	queue   []byte              // guarded by mu
	more    chan struct{}       // one token when queue has grown
}

// nodeSocket is one of them.
type nodeSocket struct {
	host *nodeHost
	id   int
	to   observer

	mu     sync.Mutex
	nextID int                                  // guarded by mu
	acks   map[int]func(json.RawMessage, error) // guarded by mu
}

// startNode starts the host; dir is this package's folder.
func startNode(dir string) (*nodeHost, error) {
	h := &nodeHost{done: make(chan struct{}), sockets: make(map[int]*nodeSocket), more: make(chan struct{}, 1)}
	h.cmd = exec.Command(cmp.Or(os.Getenv("ANTCHAT_TEST_NODE"), "node"), filepath.Join(dir, "clients.mjs"))
	h.cmd.Stderr, h.cmd.SysProcAttr = &h.said, child.DiesWithParent()
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := h.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start node: %w", err)
	}
	go h.read(out)
	go h.write()
	return h, nil
}

// write ends with the process. It is a goroutine of its own since whoever
// tells may hold what read needs, and a pipe takes only so much.
func (h *nodeHost) write() {
	for {
		select {
		case <-h.more:
		case <-h.done:
			return
		}
		h.mu.Lock()
		lines := h.queue
		h.queue = nil
		h.mu.Unlock()
		if _, err := h.in.Write(lines); err != nil {
			return // it shows at the end, as a host that ended
		}
	}
}

type nodeLine struct {
	K         string
	C, N      int
	Recovered bool
	Reason    string
	Name      string
	Payload   json.RawMessage
	Answer    json.RawMessage
	Failed    string
}

// read ends with the process.
func (h *nodeHost) read(out io.Reader) {
	defer close(h.done)
	lines := json.NewDecoder(bufio.NewReaderSize(out, 1<<20))
	for {
		var l nodeLine
		if err := lines.Decode(&l); err != nil {
			return
		}
		h.mu.Lock()
		s := h.sockets[l.C]
		h.mu.Unlock()
		if s == nil {
			continue
		}
		switch l.K {
		case "up":
			s.to.connected(l.Recovered)
		case "down":
			s.to.disconnected(l.Reason)
		case "event":
			s.to.event(l.Name, l.Payload)
		case "ack":
			s.mu.Lock()
			done := s.acks[l.N]
			delete(s.acks, l.N)
			s.mu.Unlock()
			var err error
			if l.Failed != "" {
				err = errors.New(l.Failed)
			}
			if done != nil {
				done(l.Answer, err)
			}
		}
	}
}

func (h *nodeHost) tell(line any) {
	b, err := json.Marshal(line)
	if err != nil {
		panic(err) // every line is made of plain values
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(append(h.queue, b...), '\n')
	select {
	case h.more <- struct{}{}:
	default:
	}
}

func (h *nodeHost) open(url, session string, transports []string, to observer) *nodeSocket {
	h.mu.Lock()
	s := &nodeSocket{host: h, id: len(h.sockets), to: to, acks: make(map[int]func(json.RawMessage, error))}
	h.sockets[s.id] = s
	h.mu.Unlock()
	h.tell(map[string]any{
		"op": "open", "c": s.id, "url": url, "auth": map[string]string{"session": session}, "transports": transports,
	})
	return s
}

// stop ends the process; an error says that it had ended by itself.
func (h *nodeHost) stop() error {
	select {
	case <-h.done:
		_ = h.cmd.Wait()
		return fmt.Errorf("node ended by itself: %s", &h.said)
	default:
	}
	_ = h.in.Close()
	late := time.AfterFunc(5*time.Second, func() { _ = h.cmd.Process.Kill() })
	defer late.Stop()
	<-h.done
	_ = h.cmd.Wait()
	return nil
}

func (s *nodeSocket) emit(event string, payload any, done func(json.RawMessage, error)) {
	s.mu.Lock()
	s.nextID++
	n := s.nextID
	s.acks[n] = done
	s.mu.Unlock()
	s.host.tell(map[string]any{
		"op": "emit", "c": s.id, "n": n, "event": event, "payload": payload, "timeout": ackTimeout.Milliseconds(),
	})
}

// jump: the relay in front of the host does it.
func (s *nodeSocket) jump() bool { return false }

func (s *nodeSocket) close() { s.host.tell(map[string]any{"op": "close", "c": s.id}) }
