//go:build interop && unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/antchat/antchat/server/e2e/child"
)

// TestRealPythonManagersStore lets the real managers of python-socketio say
// something to two nodes, twice each: it is stored once. ANTCHAT_TEST_PYTHONS is
// as in adapter/redis/official; see interop/run.sh.
func TestRealPythonManagersStore(t *testing.T) {
	redis := "redis://" + startRedis(t)
	settings := map[string]string{"REDIS_URL": redis, "OFFICIAL_EMITTERS": "true"}
	first, second := startServer(t, settings), startServer(t, settings)
	versions := []string{"5.13.0", "5.14.0", "5.14.2", "5.15.1", "5.16.3"} // the first pickles
	var want []string
	for _, version := range versions {
		python := filepath.Join(os.Getenv("ANTCHAT_TEST_PYTHONS"), version, "bin", "python")
		if out, err := exec.Command(python, "interop/python/manager.py", redis, "by "+version).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", python, err, out)
		}
		if version != versions[0] {
			want = append(want, `["python","by `+version+`"]`)
		}
		if len(want) == 0 {
			continue
		}
		for _, node := range []*process{first, second} {
			out, err := exec.Command(nodeBin(), "interop/lobby.mjs", node.url, string(rune('0'+len(want)))).CombinedOutput()
			if got := strings.TrimSpace(string(out)); err != nil || got != "["+strings.Join(want, ",")+"]" {
				t.Fatalf("%s: %v: %s", version, err, got)
			}
		}
	}
	for _, node := range []*process{first, second} {
		if !strings.Contains(node.log.String(), "refused pickle") {
			t.Errorf("the pickles were not told of:\n%s", node.log)
		}
	}
}

// TestRealCelery runs the documented task in a real Celery worker: what it does
// again is stored once, and what it cannot mend fails. ANTCHAT_TEST_CELERY is the
// environment that has Celery; see interop/run.sh.
func TestRealCelery(t *testing.T) {
	key, setting := apiKey(t)
	server := startServer(t, map[string]string{"API_KEYS": setting})
	env := append(child.Env(), "CHAT_URL="+server.url, "CHAT_KEY="+key, "BROKER=redis://"+startRedis(t)+"/0", "PYTHONDONTWRITEBYTECODE=1")
	python := filepath.Join(os.Getenv("ANTCHAT_TEST_CELERY"), "bin", "python")
	worker := exec.Command(python, "-m", "celery", "--workdir", "interop/python", "-A", "celery_app", "worker", "--concurrency", "2", "--loglevel", "info")
	log := &logBuffer{}
	worker.Env, worker.Stdout, worker.Stderr = env, log, log
	worker.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its children
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-worker.Process.Pid, syscall.SIGKILL)
		_ = worker.Wait()
	})
	waitFor(t, "the worker to be ready", func() bool { return strings.Contains(log.String(), "ready.") })
	do := func(what, want string) {
		t.Helper()
		cmd := exec.Command(python, "interop/python/celery_app.py", what)
		cmd.Env = env
		if out, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != want {
			t.Fatalf("%s: %s (%v), not %s\n%s", what, out, err, want, log)
		}
	}
	do("many", "1 to 100")
	do("refused", "Refused invalid_message")
	server.stop()
	do("begin", "begun")
	waitFor(t, "a retry", func() bool { return strings.Contains(log.String(), "retry: Retry in") })
	server.restart()
	do("end", "101")
	// A child is killed while the server has its request.
	server.Signal(syscall.SIGSTOP)
	do("begin", "begun")
	waitFor(t, "the task in a child", func() bool { return strings.Count(log.String(), "received") == 104 })
	children, err := exec.Command("pgrep", "-P", strconv.Itoa(worker.Process.Pid)).Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range strings.Fields(string(children)) {
		pid, _ := strconv.Atoi(child)
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	waitFor(t, "the child to be missed", func() bool { return strings.Contains(log.String(), "SIGKILL") })
	server.Signal(syscall.SIGCONT)
	do("end", "102")
	do("read", "102 of 102")
}
