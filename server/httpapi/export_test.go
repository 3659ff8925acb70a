package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/antchat/antchat/server/chatapi"
)

func exported(f *fixture, w *httptest.ResponseRecorder) (lines []ExportLine) {
	f.t.Helper()
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/x-ndjson" {
		f.t.Fatalf("%d %s", w.Code, w.Body)
	}
	for s := bufio.NewScanner(w.Body); s.Scan(); {
		var line ExportLine
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			f.t.Fatalf("%s: %v", s.Bytes(), err)
		}
		lines = append(lines, line)
	}
	return lines
}

// From any cursor on, an export has the rest, once and in order.
func TestExport(t *testing.T) {
	f := newFixture(t, nil)
	const n = 450
	for i := range n {
		answer[Stored](f, 201, f.do("POST", "/rooms/r/messages", fmt.Sprintf(`{"message":"m%d"}`, i+1)))
	}
	answer[chatapi.Entry](f, 200, f.do("DELETE", "/rooms/r/messages/1", ""))
	lines := exported(f, f.do("GET", "/rooms/r/export", ""))
	seen, removed := 0, 0
	for i, line := range lines {
		switch {
		case line.Message != nil:
			if seen++; line.Message.Seq != uint64(seen) || line.Message.Removed != (seen == 1) {
				t.Fatalf("%+v after %d", line.Message, seen-1)
			}
		case line.Removed != nil:
			removed++
		case line.End != (i == len(lines)-1) || line.Cursor == "":
			t.Errorf("line %d: %+v", i, line)
		case !line.End:
			rest := exported(f, f.do("GET", "/rooms/r/export?cursor="+line.Cursor, ""))
			if rest[0].Message == nil || rest[0].Message.Seq != uint64(seen+1) || len(rest) != len(lines)-i-1 {
				t.Errorf("from %s: %+v, %d lines", line.Cursor, rest[0], len(rest))
			}
		}
	}
	if seen != n || removed != 1 {
		t.Errorf("%d messages, %d lines of removals", seen, removed)
	}
	// A room without anything, and its cursor.
	empty := exported(f, f.do("GET", "/rooms/none/export", ""))
	if len(empty) != 1 || !empty[0].End {
		t.Fatalf("%+v", empty)
	}
	answer[Stored](f, 201, f.do("POST", "/rooms/none/messages", `{"message":"x"}`))
	if lines := exported(f, f.do("GET", "/rooms/none/export?cursor="+empty[0].Cursor, "")); len(lines) != 2 || lines[0].Message == nil {
		t.Errorf("%+v", lines)
	}
}

// An export goes on for longer than a body may take, and ends with its client.
func TestLongExport(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.BodyTimeout, o.Rate, o.Burst, o.Hooks = 100*time.Millisecond, 4, 1, Hooks{} })
	for i := range 450 {
		if _, err := f.api.keys[4].caller.backend.Send(t.Context(), "r", fmt.Sprint(i), ""); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(f.api)
	defer server.Close()
	get := func(ctx context.Context) *http.Response {
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+Prefix+"/rooms/r/export", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+f.keys["worker"])
		answer, err := server.Client().Do(r)
		if err != nil || answer.StatusCode != 200 {
			t.Fatal(answer, err)
		}
		return answer
	}
	whole := get(t.Context())
	defer func() { _ = whole.Body.Close() }()
	all, err := io.ReadAll(whole.Body)
	if err != nil || bytes.Count(all, []byte(`{"message":{`)) != 450 || !bytes.Contains(all, []byte(`"end":true`)) {
		t.Errorf("%d bytes, %v: …%s", len(all), err, all[max(0, len(all)-200):])
	}
	time.Sleep(300 * time.Millisecond) // for the bucket
	ctx, leave := context.WithCancel(t.Context())
	left := get(ctx)
	leave()
	_ = left.Body.Close()
	for end := time.Now().Add(patience); len(f.api.exports) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the export goes on without its client")
		}
	}
}

// lingering is a client that takes its first page when its token has ended.
type lingering struct {
	*httptest.ResponseRecorder
	until time.Time
}

func (l *lingering) Write(p []byte) (int, error) {
	time.Sleep(time.Until(l.until))
	return l.ResponseRecorder.Write(p)
}

// A token that ends takes its export with it, which says so and goes on with
// another one.
func TestExportOutlivesNoToken(t *testing.T) {
	f := newFixture(t, nil)
	for i := range 250 {
		if _, err := f.api.keys[4].caller.backend.Send(t.Context(), "r", fmt.Sprint(i), ""); err != nil {
			t.Fatal(err)
		}
	}
	for life := 200 * time.Millisecond; ; life *= 2 {
		w := &lingering{httptest.NewRecorder(), time.Now().Add(life + 50*time.Millisecond)}
		f.api.ServeHTTP(w, f.request("GET", "/rooms/r/export", "", "Authorization", "Bearer "+life.String()+":read"))
		if w.Code == 401 && life < patience { // it took longer to read the first page
			continue
		}
		lines := exported(f, w.ResponseRecorder)
		last, cursor := lines[len(lines)-1], lines[len(lines)-2].Cursor
		if last.Error == nil || last.Error.Code != CodeTokenExpired || cursor == "" || f.codes[len(f.codes)-1] != "exportRoom token_expired" {
			t.Fatalf("%+v after %q, %q", last, cursor, f.codes)
		}
		rest := exported(f, f.do("GET", "/rooms/r/export?cursor="+cursor, "", "Authorization", "Bearer ann:read"))
		if len(lines)+len(rest) != 250+3 || !rest[len(rest)-1].End {
			t.Errorf("%d and %d lines", len(lines), len(rest))
		}
		return
	}
}

// blocked is a client that reads nothing.
type blocked struct {
	http.ResponseWriter
	writes  chan struct{}
	release chan struct{}
}

func (b *blocked) Write(p []byte) (int, error) {
	select {
	case b.writes <- struct{}{}:
	default:
	}
	<-b.release
	return 0, errors.New("gone")
}

// Exports are bounded, and their client's end is theirs.
func TestExportsBounded(t *testing.T) {
	f := newFixture(t, func(o *Options) { o.MaxExports = 1; o.Hooks = Hooks{} })
	answer[Stored](f, 201, f.do("POST", "/rooms/r/messages", `{"message":"x"}`))
	b := &blocked{httptest.NewRecorder(), make(chan struct{}, 1), make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f.api.ServeHTTP(b, f.request("GET", "/rooms/r/export", ""))
	}()
	<-b.writes
	f.refused(f.do("GET", "/rooms/r/export", ""), CodeOverloaded)
	close(b.release)
	<-done
	if lines := exported(f, f.do("GET", "/rooms/r/export", "")); len(lines) != 2 {
		t.Errorf("%+v", lines)
	}
}
