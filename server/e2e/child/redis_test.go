package child

import (
	"strings"
	"syscall"
	"testing"
)

// TestRedis: what it keeps is there again after a kill, at the same address.
func TestRedis(t *testing.T) {
	r, err := NewRedis(t.TempDir(), "--appendonly", "yes", "--appendfsync", "always")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.End(syscall.SIGKILL, 0) })
	if _, err := r.Do("PING"); err == nil {
		t.Error("it answers before it is started")
	}
	if err := r.Begin(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ command, want string }{
		{"SET key two words", "OK"}, {"STRLEN key", "9"}, {"GET nothing", ""}, {"GET key", "two words"},
	} {
		if got, err := r.Do(strings.SplitN(x.command, " ", 3)...); err != nil || got != x.want {
			t.Errorf("%s: %q, %v", x.command, got, err)
		}
	}
	if _, err := r.Do("NONSENSE"); err == nil {
		t.Error("nonsense was answered")
	}
	if err := r.End(syscall.SIGKILL, 0); err != nil {
		t.Fatal(err)
	}
	if err := r.Begin(t.Context(), long); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Do("GET", "key"); err != nil || got != "two words" {
		t.Errorf("after a kill: %q, %v", got, err)
	}
	if !strings.HasPrefix(r.URL(), "redis://127.0.0.1:") {
		t.Error(r.URL())
	}
}
