package e2e

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/antchat/antchat/server/e2e/child"
)

// TestProxy: the proxy of docker-compose.yml, with its own configuration, in
// front of three nodes on one Redis: real clients chat through it, one node
// stops, and nothing is lost. Three loopback addresses and one port: Linux only.
func TestProxy(t *testing.T) {
	redis := "redis://" + startRedis(t)
	first := newProcess(t, antchatBin)
	_, port, _ := net.SplitHostPort(first.addr)
	nodes := []*process{first, newProcess(t, antchatBin), newProcess(t, antchatBin)}
	// Containers of one service have one port and different addresses.
	hosts := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3"}
	for i, n := range nodes {
		n.addr = net.JoinHostPort(hosts[i], port)
		n.url = "http://" + n.addr
		n.Env = append(child.Env(), "ANTCHAT_HTTP_ADDR="+hosts[i], "PORT="+port, "REDIS_URL="+redis, "ANTCHAT_HTTP_TRUSTED_PROXIES=1")
		n.start("/readyz")
	}
	proxy := startProxy(t, "antchat.test", port, hosts)
	runNode(t, map[string]string{
		"ANTCHAT_URL": proxy,
		// Whom the test may stop, as a rolling update does.
		"ANTCHAT_VICTIM": strconv.Itoa(nodes[1].PID()), "ANTCHAT_NODES": "3",
	}, "interop/proxy.test.mjs")
}

// startProxy runs HAProxy with deploy/compose/haproxy.cfg in front of hosts,
// which a name server of the test names, and gives its address.
func startProxy(t *testing.T, name, port string, hosts []string) string {
	t.Helper()
	path, err := exec.LookPath("haproxy")
	if err != nil {
		// Debian puts it where only root looks.
		if path, err = exec.LookPath("/usr/sbin/haproxy"); err != nil {
			t.Fatal("haproxy is missing: install it (Debian: apt-get install haproxy)")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	bind := l.Addr().String()
	_ = l.Close()
	said := &logBuffer{}
	proxy := &child.Process{
		Name: "haproxy", Argv: []string{path, "-db", "-f", "../../deploy/compose/haproxy.cfg"}, Stdout: said, Stderr: said,
		Env: append(os.Environ(), "ANTCHAT_PROXY_BIND="+bind, "ANTCHAT_PROXY_NODES="+name+":"+port, "ANTCHAT_PROXY_DNS="+nameServer(t, hosts)),
	}
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.End(syscall.SIGKILL, 0)
		if t.Failed() {
			t.Logf("haproxy said:\n%s", said)
		}
	})
	url := "http://" + bind
	waitFor(t, "all nodes to take part", func() bool {
		seen := map[string]bool{}
		for range 2 * len(hosts) {
			seen[nodeBehind(t, url)] = true
		}
		return len(seen) == len(hosts)
	})
	return url
}

// nodeBehind opens a session and gives the node's name, which begins its id.
func nodeBehind(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url + "/socket.io/?EIO=4&transport=polling")
	if err != nil {
		return "" // while the proxy starts
	}
	defer resp.Body.Close()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	_, sid, ok := strings.Cut(body.String(), `"sid":"`)
	if !ok || len(sid) < 6 {
		return "" // while a node is not ready yet
	}
	return sid[:6]
}

// nameServer answers every question for addresses with those of hosts, as
// Docker's resolver does for a service (RFC 1035, 4.1), and gives its address.
func nameServer(t *testing.T, hosts []string) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := answerTo(buf[:n], hosts); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	return conn.LocalAddr().String()
}

// answerTo is nil for what is no question.
func answerTo(q []byte, hosts []string) []byte {
	const head, typeA = 12, 1
	if len(q) < head {
		return nil
	}
	end := head + bytes.IndexByte(q[head:], 0) + 5 // the name's end, type, class
	if end < head+5 || end > len(q) {
		return nil
	}
	answers := len(hosts)
	if binary.BigEndian.Uint16(q[end-4:]) != typeA {
		answers = 0
	}
	out := append([]byte{q[0], q[1], 0x81, 0x80, 0, 1, 0, byte(answers), 0, 0, 0, 0}, q[head:end]...)
	for _, host := range hosts[:answers] {
		// The question's name, A, IN, for one second, four bytes.
		out = append(out, 0xc0, head, 0, typeA, 0, 1, 0, 0, 0, 1, 0, 4)
		out = append(out, net.ParseIP(host).To4()...)
	}
	return out
}
