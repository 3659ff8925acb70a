package socketio

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/antchat/antchat/adapter"
)

// maxServerEvents bounds what may wait for a namespace's ServerHandlers; what
// comes beyond it is dropped, and its sender told by no answer.
const maxServerEvents = 1024

// serverEventTimeout bounds the context of one ServerHandler.
const serverEventTimeout = 10 * time.Second

// serverEventQueue keeps other nodes' events in order, off the sequencer. Its
// goroutine lives only while there is something to do.
type serverEventQueue struct {
	mu      sync.Mutex
	waiting []serverEvent // guarded by mu
	running bool          // guarded by mu
}

type serverEvent struct {
	event  adapter.Event
	answer func([]byte) // nil when none is wanted
}

// ServerSideEmit sends an event to the other nodes' namespaces of this name.
func (ns *Namespace) ServerSideEmit(ctx context.Context, event string, args ...any) error {
	e, err := NewEvent(event, args...)
	if err != nil {
		return err
	}
	return ns.server.adapter.ServerSideEmit(ctx, ns.name, e)
}

// ServerSideRequest is ServerSideEmit that waits for one answer of each node.
// missing names those that gave none before the context ended.
func (ns *Namespace) ServerSideRequest(ctx context.Context, event string, args ...any) (answers []adapter.NodeAnswer, missing []string, err error) {
	e, err := NewEvent(event, args...)
	if err != nil {
		return nil, nil, err
	}
	return ns.server.adapter.ServerSideRequest(ctx, ns.name, e)
}

// ServerEvent queues an event of another node.
func (r *receiver) ServerEvent(e adapter.Event, answer func([]byte)) {
	ns := (*Namespace)(r)
	if ns.server.tasks.closing.Load() {
		return
	}
	q := &ns.serverEvents
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) >= maxServerEvents {
		ns.server.options.Logger.Warn("socketio: server event dropped", "namespace", ns.name, "event", e.Name)
		return
	}
	q.waiting = append(q.waiting, serverEvent{e, answer})
	if !q.running {
		q.running = true
		ns.server.tasks.begin()
		go ns.runServerEvents()
	}
}

func (ns *Namespace) runServerEvents() {
	defer ns.server.tasks.end()
	q := &ns.serverEvents
	for {
		q.mu.Lock()
		if len(q.waiting) == 0 {
			q.waiting, q.running = nil, false
			q.mu.Unlock()
			return
		}
		e := q.waiting[0]
		q.waiting[0] = serverEvent{}
		q.waiting = q.waiting[1:]
		q.mu.Unlock()
		ns.server.protect("server event", func() { ns.serverEvent(e) })
	}
}

func (ns *Namespace) serverEvent(e serverEvent) {
	h := ns.answerer(e.event.Name)
	if h == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), serverEventTimeout)
	defer cancel()
	value, err := ns.callServerHandler(ctx, h, e.event)
	if err != nil {
		// The asker sees that this node has not answered.
		ns.server.options.Logger.Warn("socketio: server event", "event", e.event.Name, "error", err)
		return
	}
	if e.answer != nil {
		e.answer(value)
	}
}

func (ns *Namespace) callServerHandler(ctx context.Context, h ServerHandler, e adapter.Event) ([]byte, error) {
	args, err := parseArgs(e.Data, e.Attachments, 1)
	if err != nil {
		return nil, err
	}
	v, err := h(ctx, args)
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return value, nil
}
