package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// pollSession is a session over HTTP by hand.
type pollSession struct {
	t   *testing.T
	url string // with sid
}

// openPolling opens a session of the given revision.
func openPolling(t *testing.T, base string, revision int) *pollSession {
	t.Helper()
	url := fmt.Sprintf("%s/socket.io/?EIO=%d&transport=polling", base, revision)
	status, body := (&pollSession{t: t, url: url}).get()
	_, open, ok := strings.Cut(body, "0{") // revision 3 has a length before it
	if status != http.StatusOK || !ok {
		t.Fatalf("handshake: %d %q", status, body)
	}
	var hello struct{ SID string }
	if err := json.NewDecoder(strings.NewReader("{" + open)).Decode(&hello); err != nil || len(hello.SID) != 20 {
		t.Fatalf("handshake: %q, %v", body, err)
	}
	return &pollSession{t: t, url: url + "&sid=" + hello.SID}
}

func (p *pollSession) sid() string { _, sid, _ := strings.Cut(p.url, "&sid="); return sid }

func (p *pollSession) get() (status int, body string) {
	p.t.Helper()
	return p.do(http.MethodGet, "", "")
}

func (p *pollSession) post(contentType, body string) (status int, answer string) {
	p.t.Helper()
	return p.do(http.MethodPost, contentType, body)
}

func (p *pollSession) do(method, contentType, body string) (int, string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.url, strings.NewReader(body))
	if err != nil {
		p.t.Error(err)
		return 0, ""
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error() // closed on us: for the caller to judge
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

const plain = "text/plain;charset=UTF-8"

// connect joins the root namespace, revision 4.
func (p *pollSession) connect() {
	p.t.Helper()
	if status, _ := p.post(plain, "40"); status != http.StatusOK {
		p.t.Fatalf("CONNECT: %d", status)
	}
	if status, body := p.get(); status != http.StatusOK || !strings.HasPrefix(body, "40{") {
		p.t.Fatalf("after CONNECT: %d %q", status, body)
	}
}

// closed expects the session to be gone, or to go with the next polls.
func (p *pollSession) closed() {
	p.t.Helper()
	waitFor(p.t, "the session to be closed", func() bool {
		status, body := p.get()
		return status == http.StatusBadRequest || status == 0 || body == "1" || strings.HasSuffix(body, "\x1e1")
	})
}
