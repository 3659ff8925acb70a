package chatapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/socketio"
)

// fragile is a store that fails when told to.
type fragile struct {
	*local.Adapter
	fail atomic.Pointer[error]
	late atomic.Bool // an append happens, and only its answer is lost
	hang atomic.Bool // People waits for its context's end
}

func (s *fragile) err() error {
	if e := s.fail.Load(); e != nil {
		return fmt.Errorf("store: secret detail: %w", *e)
	}
	return nil
}

func (s *fragile) Append(ctx context.Context, a adapter.Append) (adapter.Appended, error) {
	if s.late.Load() {
		_, _ = s.Adapter.Append(ctx, a)
	}
	if err := s.err(); err != nil {
		return adapter.Appended{}, err
	}
	return s.Adapter.Append(ctx, a)
}

func (s *fragile) Enter(ctx context.Context, namespace, room, socketID string, p adapter.Person) (int, error) {
	if err := s.err(); err != nil {
		return 0, err
	}
	return s.Adapter.Enter(ctx, namespace, room, socketID, p)
}

func (s *fragile) People(ctx context.Context, namespace, room, after string, limit int) ([]adapter.Person, int, error) {
	if s.hang.Load() {
		<-ctx.Done()
		return nil, 0, fmt.Errorf("store: %w", ctx.Err())
	}
	if err := s.err(); err != nil {
		return nil, 0, err
	}
	return s.Adapter.People(ctx, namespace, room, after, limit)
}

func TestStoreFails(t *testing.T) {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &fragile{Adapter: a}
	f := newChatOver(t, store, a, Options{})
	c, watcher := f.dial(hello{}), f.dial(hello{})
	say := map[string]any{"message": "once", "id": "m1"}
	for _, tt := range []struct {
		err  error
		code Code
	}{
		{adapter.ErrUnavailable, CodeUnavailable}, {adapter.ErrFull, CodeStoreFull}, {adapter.ErrFenced, CodeMoved},
		{adapter.ErrConflict, CodeIDConflict}, {errors.New("anything"), CodeInternal}, {adapter.ErrClosed, CodeUnavailable},
	} {
		store.fail.Store(&tt.err)
		if p := c.refusal("new message", say); p.Code != tt.code || p.Retryable != tt.code.Retryable() {
			t.Errorf("%v: %+v", tt.err, p)
		}
		// A name that could not be announced is not taken, and a room that
		// could not be entered is not joined.
		for _, request := range [][]any{{"add user", "Ann"}, {"join room", "tea"}, {"who"}} {
			if p := c.refusal(request[0].(string), request[1:]...); p.Code != tt.code {
				t.Errorf("%s, %v: %+v", request, tt.err, p)
			}
		}
	}
	store.late.Store(true)
	unavailable := error(adapter.ErrUnavailable)
	store.fail.Store(&unavailable)
	c.refusal("new message", say) // it was stored all the same
	store.late.Store(false)
	store.fail.Store(nil)
	if s := call[Stored](c, "new message", say); s.Seq != 1 {
		t.Errorf("the retry: %+v", s)
	}
	if p := c.refusal("new message", map[string]any{"room": "tea", "message": "x"}); p.Code != CodeNotMember {
		t.Errorf("after a join that failed: %+v", p)
	}
	if a := call[AddedUser](c, "add user", "Ann"); a.Username != "Ann" || a.NumUsers != 1 || !slices.Equal(a.Rooms, []string{"lobby"}) {
		t.Errorf("add user %+v", a)
	}
	nextAs[UserChange](watcher, "user joined")
	nextAs[chat.Message](watcher, "new message")
	f.barrier(watcher)
	watcher.nothing("new message", "user joined", "user left")
}

// A join whose time has run out is no join, although taking it back needs time
// too.
func TestJoinRunsOutOfTime(t *testing.T) {
	a, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := &fragile{Adapter: a}
	f := newChatOver(t, store, a, Options{StoreTimeout: 100 * time.Millisecond})
	c := f.dial(hello{})
	store.hang.Store(true)
	if p := c.refusal("join room", "tea"); p.Code != CodeUnavailable {
		t.Errorf("refused with %+v", p)
	}
	store.hang.Store(false)
	if p := c.refusal("new message", map[string]any{"room": "tea", "message": "x"}); p.Code != CodeNotMember {
		t.Errorf("after the join: %+v", p)
	}
}

// Every error that a handler can meet has a code of the closed list, and never
// shows its own text.
func TestErrorPayload(t *testing.T) {
	for _, tt := range []struct {
		err  error
		code Code
	}{
		{&chat.Invalid{Field: chat.FieldName, Reason: "x"}, CodeInvalidName},
		{&chat.Invalid{Field: chat.FieldRoom}, CodeInvalidRoom},
		{&chat.Invalid{Field: chat.FieldText}, CodeInvalidMessage},
		{&chat.Invalid{Field: chat.FieldID}, CodeInvalidID},
		{&chat.Invalid{Field: chat.FieldSecret}, CodeInvalidSession},
		{&chat.Invalid{Field: chat.FieldEpoch}, CodeBadRequest},
		{&socketio.PayloadError{Err: errors.New("detail")}, CodeBadRequest},
		{chat.ErrNotMember, CodeNotMember},
		{chat.ErrTooManyRooms, CodeTooManyRooms},
		{socketio.ErrTooManyRooms, CodeTooManyRooms},
		{socketio.ErrUnknownEvent, CodeUnknownEvent},
		{socketio.ErrPanic, CodeInternal},
		{socketio.ErrDisconnected, CodeMoved},
		{adapter.ErrUnknownSocket, CodeMoved},
		{context.DeadlineExceeded, CodeUnavailable},
		{context.Canceled, CodeUnavailable},
		{socketio.ErrClosed, CodeUnavailable},
		{errOverloaded{time.Second}, CodeOverloaded},
	} {
		r, ok := ErrorPayload("e", fmt.Errorf("handler: secret detail: %w", tt.err)).(Refusal)
		if !ok || r.Event != "e" || r.Error.Code != tt.code || r.Error.Message == "" || r.Error.Retryable != tt.code.Retryable() || !slices.Contains(Codes, r.Error.Code) {
			t.Errorf("%v: %+v", tt.err, r)
		}
		for _, hidden := range []string{"secret", "detail"} {
			if strings.Contains(r.Error.Message, hidden) {
				t.Errorf("%v shows %q", tt.err, r.Error.Message)
			}
		}
	}
}
