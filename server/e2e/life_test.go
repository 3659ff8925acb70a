package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// killedAfter is the time that Cloud Run gives an instance between SIGTERM and
// SIGKILL (container runtime contract, "Instance shutdown").
const killedAfter = 10 * time.Second

// newCloudRun is the server with the environment that Cloud Run gives to a
// container, and further variables. It is not started yet.
func newCloudRun(t *testing.T, more ...string) *process {
	t.Helper()
	p := newProcess(t, antchatBin)
	_, port, _ := net.SplitHostPort(p.addr)
	p.Env = append([]string{
		"PORT=" + port, "K_SERVICE=chat", "K_REVISION=chat-00007-abc", "K_CONFIGURATION=chat", "HOME=/root",
		"ANTCHAT_DATA_DIR=", // an image has no place to write
	}, more...)
	return p
}

// TestCloudRunStart: the platform's variables are all that is needed.
func TestCloudRunStart(t *testing.T) {
	p := newCloudRun(t, "ANTCHAT_ENGINE_MAX_SESSIONS_PER_ADDRESS=1")
	began := time.Now()
	p.start("/readyz")
	t.Logf("ready %v after the process was started", time.Since(began).Round(time.Millisecond))

	// The log is JSON in Cloud Logging's words, and says who speaks.
	var serving struct{ Severity, Message, Service, Revision string }
	lines := bufio.NewScanner(strings.NewReader(p.log.String()))
	for lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &serving); err != nil {
			t.Errorf("a line of the log is no JSON: %s", lines.Text())
		}
		if serving.Message == "serving" {
			break
		}
	}
	if serving.Severity != "INFO" || serving.Service != "chat" || serving.Revision != "chat-00007-abc" {
		t.Errorf("the log does not name service and revision:\n%s", p.log)
	}

	// The platform's proxy is believed: its clients have addresses of their own.
	open := func(client string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/socket.io/?EIO=4&transport=polling", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "198.51.100.66, "+client) // what stands to the left anybody may have written
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, tt := range []struct {
		client string
		want   int
	}{{"192.0.2.1", 200}, {"192.0.2.2", 200}, {"192.0.2.1", 503}} {
		if got := open(tt.client); got != tt.want {
			t.Errorf("a session of %s: %d, want %d", tt.client, got, tt.want)
		}
	}

	// End-to-end HTTP/2 would exclude WebSockets: it is not spoken, not even to
	// who asks for it.
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(deadline))
	_, _ = io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 200") {
		t.Errorf("an offer of HTTP/2 was answered with %q, %v", line, err)
	}
	p.stop()
}

// TestCloudRunConfig: --print-config says what the platform changed.
func TestCloudRunConfig(t *testing.T) {
	p := newCloudRun(t)
	cmd := exec.Command(p.bin, "--print-config")
	cmd.Env = p.Env
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(strings.Fields(string(out)), " ")
	for _, want := range []string{
		"# environment PORT", "trusted_proxies: 1 # default on Cloud Run", "max_age: 59m # default on Cloud Run",
		"max_age_jitter: 4m # default", "format: 'cloud' # default on Cloud Run",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("--print-config does not say %q:\n%s", want, out)
		}
	}
}

// TestCloudRunStop: SIGTERM to one of two nodes. It takes nobody in any more,
// sends its clients away one after the other, and is gone in time with exit code
// 0; who was sent away goes on at the other node at once, and has lost nothing.
func TestCloudRunStop(t *testing.T) {
	redis := startRedis(t)
	a, b := newCloudRun(t, "REDIS_URL=redis://"+redis), newCloudRun(t, "REDIS_URL=redis://"+redis)
	a.start("/readyz")
	b.start("/readyz")
	const query = "EIO=4&transport=websocket&recovery=1"
	join := func(p *process, auth string) *rawWS {
		ws := dialWS(t, p.addr, query)
		ws.expect("0{")
		ws.text("40" + auth)
		return ws
	}
	writer := join(b, "")
	writer.expect("40{")
	say := func(text string) {
		writer.mustCall(nil, "new message", map[string]any{"room": "lobby", "message": text, "id": text})
	}
	polling := openPolling(t, a.url, 4)

	type member struct {
		ws          *rawWS
		sid, pid    string
		offset      string
		ended, back time.Time
	}
	const members = 60
	all := make([]*member, members)
	for i := range all {
		m := &member{ws: join(a, "")}
		var accept struct{ SID, PID string }
		decode(t, m.ws.expect("40{")[2:], &accept)
		m.sid, m.pid = accept.SID, accept.PID
		all[i] = m
	}
	for i := range all { // in the lobby, all of them, before the first message
		all[i].ws.mustCall(nil, "join room", map[string]any{"room": "lobby"})
	}
	// heard reads messages up to one, and the offset with it.
	heard := func(m *member, text string) error {
		for {
			p, err := m.ws.packet()
			if err != nil {
				return err
			}
			var event []json.RawMessage
			if body, ok := strings.CutPrefix(p, "42"); ok && json.Unmarshal([]byte(body), &event) == nil && len(event) == 3 {
				if err := json.Unmarshal(event[2], &m.offset); err != nil {
					return err
				}
				if strings.Contains(string(event[1]), text) {
					return nil
				}
			}
		}
	}
	say("before")
	for _, m := range all {
		if err := heard(m, "before"); err != nil {
			t.Fatal(err)
		}
	}

	a.Signal(syscall.SIGTERM)
	asked := time.Now()
	refused := make(chan error, 1)
	go func() { refused <- refusesNewSessions(a) }()
	held := make(chan string, 1)
	go func() {
		_, body := polling.get()
		held <- body
	}()
	var returns sync.WaitGroup
	for _, m := range all {
		returns.Go(func() {
			if code := m.ws.closed(); code != 1005 {
				t.Errorf("the connection ended with %d, not with a close frame without a status", code)
			}
			m.ended = time.Now()
			m.ws = join(b, fmt.Sprintf(`{"pid":%q,"offset":%q}`, m.pid, m.offset))
			var accept struct{ SID, PID string }
			decode(t, m.ws.expect("40{")[2:], &accept)
			if accept.SID != m.sid || accept.PID != m.pid {
				t.Errorf("came back as %+v, was %s %s", accept, m.sid, m.pid)
			}
			m.back = time.Now()
		})
	}
	say("meanwhile")
	returns.Wait()
	if err := <-refused; err != nil {
		t.Error(err)
	}
	if body := <-held; body != "1" {
		t.Errorf("the pending poll was answered with %q, not with a close packet", body)
	}
	a.ends(killedAfter - time.Since(asked))
	took := time.Since(asked)
	say("after")
	for _, m := range all {
		for _, text := range []string{"meanwhile", "after"} {
			if err := heard(m, text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
	}
	first, last, gap := all[0].ended, all[0].ended, time.Duration(0)
	for _, m := range all {
		if m.ended.Before(first) {
			first = m.ended
		}
		if m.ended.After(last) {
			last = m.ended
		}
		gap = max(gap, m.back.Sub(m.ended))
	}
	t.Logf("ended after %v; %d connections were closed over %v; the longest way back took %v", took.Round(time.Millisecond), members, last.Sub(first).Round(time.Millisecond), gap.Round(time.Millisecond))
	if last.Sub(first) < 400*time.Millisecond {
		t.Errorf("all connections ended within %v", last.Sub(first))
	}
}

// refusesNewSessions waits until a node refuses: 503 and when to come again, by
// whichever transport, while /readyz says that it is not ready.
func refusesNewSessions(p *process) error {
	client := &http.Client{Timeout: deadline, Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string, header http.Header) (status int, retryAfter string, err error) {
		req, err := http.NewRequest(http.MethodGet, p.url+path, nil)
		if err != nil {
			return 0, "", err
		}
		req.Header = header
		resp, err := client.Do(req)
		if err != nil {
			return 0, "", err
		}
		return resp.StatusCode, resp.Header.Get("Retry-After"), resp.Body.Close()
	}
	for end := time.Now().Add(deadline); ; time.Sleep(5 * time.Millisecond) {
		status, _, err := get("/readyz", http.Header{})
		if err != nil {
			return fmt.Errorf("its listener closed before it said that it was not ready: %w", err)
		}
		if status == http.StatusServiceUnavailable {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("it stays ready")
		}
	}
	upgrade := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}}
	for transport, header := range map[string]http.Header{"polling": {}, "websocket": upgrade} {
		status, retryAfter, err := get("/socket.io/?EIO=4&transport="+transport, header)
		if err != nil {
			return fmt.Errorf("a new session by %s: %w", transport, err)
		}
		if status != http.StatusServiceUnavailable || retryAfter == "" {
			return fmt.Errorf("a new session by %s: %d, Retry-After %q", transport, status, retryAfter)
		}
	}
	return nil
}

func decode(t *testing.T, text string, out any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Errorf("%v in %s", err, text)
	}
}
