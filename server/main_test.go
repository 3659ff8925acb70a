package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// runAsMain makes the test's binary the program itself. The server passes over
// variables with this prefix.
const runAsMain = "ANTCHAT_TEST_RUN_MAIN"

// deadline ends a wait that has failed; it is no measure of speed.
const deadline = 30 * time.Second

func TestMain(m *testing.M) {
	if os.Getenv(runAsMain) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// process is the program as a process of its own.
func process(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Dir = t.TempDir() // ./data goes there
	cmd.WaitDelay = deadline
	cmd.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "ANTCHAT_") || strings.HasPrefix(pair, "PORT=") || strings.HasPrefix(pair, "REDIS_URL=")
	})
	cmd.Env = append(append(cmd.Env, runAsMain+"=1"), env...)
	return cmd
}

func exitCode(t *testing.T, err error) int {
	t.Helper()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.Fatal(err)
	return -1
}

// TestWrongStarts holds the exit code and the one line of every kind of start
// that cannot be.
func TestWrongStarts(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	wrong := file("wrong.yaml", "http:\n  prot: 80\n")
	plain := file("plain", "")
	cert, key := certificate(t, dir)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }()
	_, port, _ := net.SplitHostPort(taken.Addr().String())

	tests := []struct {
		name string
		env  []string
		args []string
		code int
		line string // … is anything
	}{
		{"value", nil, []string{"--http.port", "x"}, 2, `antchat: http.port: "x" (flag --http.port) is not allowed: allowed is a whole number from 0 to 65535`},
		{"flag", nil, []string{"--port", "80"}, 2, `antchat: --port: unknown flag; …--help lists all that are allowed`},
		{"variable", []string{"ANTCHAT_HTTP_PROT=80"}, nil, 2, `antchat: ANTCHAT_HTTP_PROT: unknown environment variable; did you mean ANTCHAT_HTTP_PORT? --help lists all that are allowed`},
		{"PORT", []string{"PORT=eighty"}, nil, 2, `antchat: http.port: "eighty" (environment PORT) is not allowed: allowed is a whole number from 0 to 65535`},
		{"file", nil, []string{"--config", wrong}, 2, `antchat: config: file ` + wrong + `: http.prot: unknown setting; did you mean http.port? --help lists all that are allowed`},
		{"Redis", []string{"REDIS_URL=redis://:hunter2@10.0.0.1:x"}, nil, 2, `antchat: redis.url: redis: malformed host in URL (environment REDIS_URL)`},
		{"page", nil, []string{"--web.dir", plain}, 2, `antchat: web.dir: "` + plain + `" is no directory that can be read (flag --web.dir)`},
		{"certificate", nil, []string{"--http.tls_cert", "none.pem", "--http.tls_key", key}, 2, `antchat: http.tls_cert: open none.pem: no such file or directory (flag --http.tls_cert)`},
		{"key", nil, []string{"--http.tls_cert", cert, "--http.tls_key", "none.pem"}, 2, `antchat: http.tls_key: open none.pem: no such file or directory (flag --http.tls_key)`},
		{"no certificate", nil, []string{"--http.tls_cert", plain, "--http.tls_key", key}, 2, `antchat: http.tls_cert: no certificate that fits http.tls_key: … (flag --http.tls_cert)`},
		{"relay of the chat's own", nil, []string{"--relay.events", "new message", "--data.dir", ""}, 2, `antchat: relay.events: relay event "new message": … (flag --relay.events)`},
		{"port taken", nil, []string{"--http.addr", "127.0.0.1", "--http.port", port, "--data.dir", ""}, 1, `antchat: http.addr, http.port: listen tcp 127.0.0.1:` + port + `: bind: address already in use`},
		{"store", nil, []string{"--data.dir", plain}, 1, `antchat: data.dir: local: open ` + plain + `: …`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cmd := process(t, append(tt.env, "ANTCHAT_LOGGING_LEVEL=error"), tt.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if code := exitCode(t, cmd.Run()); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			line, more := strings.CutSuffix(stderr.String(), "\n")
			head, tail, any := strings.Cut(tt.line, "…")
			if !more || strings.Contains(line, "\n") || any && !(strings.HasPrefix(line, head) && strings.HasSuffix(line, tail)) || !any && line != tt.line {
				t.Errorf("got  %s\nwant %s", stderr.String(), tt.line)
			}
			if stdout.Len() > 0 || strings.Contains(line, "hunter2") {
				t.Errorf("said too much: %s %s", stdout.String(), line)
			}
		})
	}
}

func TestAnswersAndEnds(t *testing.T) {
	for flag, want := range map[string]string{"--help": "--engine.ping_interval", "-h": "ANTCHAT_HTTP_PORT, PORT", "--version": "antchat ", "version": "antchat ", "--print-config": "(hidden)"} {
		cmd := process(t, []string{"REDIS_URL=redis://:hunter2@10.0.0.1:6379"}, flag)
		out, err := cmd.Output()
		if err != nil || !strings.Contains(string(out), want) || strings.Contains(string(out), "hunter2") {
			t.Errorf("%s: %v: %s", flag, err, out)
		}
	}
}

// running is the program as a process that serves.
type running struct {
	cmd *exec.Cmd
	url string
	log *bufio.Reader // what it writes to standard error
}

func startProcess(t *testing.T, args ...string) *running {
	t.Helper()
	p := &running{cmd: process(t, nil, append([]string{"--http.addr", "127.0.0.1", "--http.port", "0"}, args...)...)}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.log = bufio.NewReader(stderr)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // ended already unless the test failed
		_ = p.cmd.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		rest, _ := io.ReadAll(p.log)
		t.Fatalf("%v: %q, %s", err, line, rest)
	}
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "Antchat is ready: open ")
	if !ok {
		t.Fatalf("the first line is %q", line)
	}
	p.url = url
	return p
}

// awaitLog reads the log up to a line that has some text.
func (p *running) awaitLog(t *testing.T, text string) {
	t.Helper()
	for {
		line, err := p.log.ReadString('\n')
		if err != nil {
			t.Fatalf("the log ended before %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return
		}
	}
}

func (p *running) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// end waits and returns the exit code.
func (p *running) end(t *testing.T) int {
	t.Helper()
	if _, err := io.Copy(io.Discard, p.log); err != nil {
		t.Error(err)
	}
	return exitCode(t, p.cmd.Wait())
}

func TestSignalsEndCleanly(t *testing.T) {
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		t.Run(fmt.Sprint(s), func(t *testing.T) {
			p := startProcess(t)
			// A browser's spare connection must not hold the end up, a poll is
			// answered.
			spare, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), "/"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = spare.Close() }()
			sid := open(t, p.url)
			polled := make(chan error, 1)
			go func() {
				_, err := fetch(p.url + "socket.io/?EIO=4&transport=polling&sid=" + sid)
				polled <- err
			}()
			p.signal(t, s)
			if code := p.end(t); code != 0 {
				t.Errorf("exit code %d", code)
			}
			// Answered with a close packet, or too late to be answered at all.
			if err := <-polled; err != nil {
				t.Log("the poll:", err)
			}
		})
	}
}

// TestSecondSignalEndsAtOnce: while an answer that nobody reads holds up the
// clean end.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "large"), nil, 0o600), os.Truncate(filepath.Join(dir, "large"), 256<<20)); err != nil {
		t.Fatal(err)
	}
	p := startProcess(t, "--web.dir", dir, "--http.stop_timeout", "10m")
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(p.url, "http://"), "/"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil { // the answer has begun
		t.Fatal(err)
	}
	p.signal(t, syscall.SIGTERM)
	p.awaitLog(t, "stopping")
	p.signal(t, syscall.SIGTERM)
	if code := p.end(t); code != exitForced {
		t.Errorf("exit code %d", code)
	}
}

func TestTLS(t *testing.T) {
	cert, key := certificate(t, t.TempDir())
	p := startProcess(t, "--http.tls_cert", cert, "--http.tls_key", key)
	if !strings.HasPrefix(p.url, "https://") {
		t.Fatalf("the address is %s", p.url)
	}
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(text)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport, Timeout: deadline}).Get(p.url + "socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != 200 || !bytes.HasPrefix(body, []byte("0{")) || resp.ProtoMajor != 1 {
		t.Errorf("%s: %s: %s, %v", resp.Proto, resp.Status, body, err)
	}
	transport.CloseIdleConnections()
	p.signal(t, syscall.SIGTERM)
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// open makes an Engine.IO session over polling and returns its id.
func open(t *testing.T, url string) string {
	t.Helper()
	body, err := fetch(url + "socket.io/?EIO=4&transport=polling")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(body, `"sid":"`)
	sid, _, ok2 := strings.Cut(rest, `"`)
	if !ok || !ok2 || len(sid) != 20 {
		t.Fatalf("handshake: %s", body)
	}
	return sid
}

func fetch(url string) (string, error) {
	resp, err := (&http.Client{Timeout: deadline}).Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// certificate writes a certificate for 127.0.0.1 and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	if err := errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret}), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return cert, key
}
