//go:build unix

package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
)

// TestDiskFullChild fills its disk, as a limit on file sizes plays it, and
// finds room again.
func TestDiskFullChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	ctx := context.Background()
	a := open(t, local.Options{Dir: dir})
	a.Open("/", &counting{})
	limit := func(n uint64) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: 1 << 40}); err != nil {
			t.Fatal(err)
		}
	}
	limit(1 << 20)
	var err error
	var last adapter.Appended
	n := 0
	for ; n < 5000 && err == nil; n++ {
		m := message("a", fmt.Sprint(n))
		m.Event.Data = make([]byte, 1000)
		var got adapter.Appended
		if got, err = a.Append(ctx, m); err == nil {
			last = got
		}
	}
	fmt.Printf("FULL %v %v\n", errors.Is(err, adapter.ErrFull), a.Status().Ready)
	fmt.Println(err)
	limit(1 << 40)
	for end := time.Now().Add(20 * time.Second); !a.Status().Ready && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
	}
	got, err := a.Append(ctx, message("a", "again"))
	fmt.Printf("AGAIN %v %v %v\n", a.Status().Ready, err, got.Seq == last.Seq+1)
	if err := a.Close(ctx); err != nil {
		t.Fatal(err)
	}
	a = open(t, local.Options{Dir: dir})
	h, err := a.Head(ctx, "/", "a")
	fmt.Printf("REOPENED %v %v\n", err, h.Seq == got.Seq)
}

func TestDiskFull(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=^TestDiskFullChild$", "-test.v")
	cmd.Env = append(os.Environ(), childDir+"="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	said := map[string]bool{}
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	for lines.Scan() {
		said[lines.Text()] = true
	}
	for _, want := range []string{"FULL true false", "AGAIN true <nil> true", "REOPENED <nil> true"} {
		if !said[want] {
			t.Errorf("the child did not say %q:\n%s", want, out)
		}
	}
}
