package local_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/antchat/antchat/adapter/local"
)

// BenchmarkSegment is what a log in plain segment files could reach at best:
// the same group commit with nothing but one write and one fdatasync per
// batch, no index, no dedupe, no trimming. It is there to judge
// BenchmarkAppend by; see docs/decisions/2026-11-23-local-log-store.md.
func BenchmarkSegment(b *testing.B) {
	for _, appenders := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("appenders=%d", appenders), func(b *testing.B) {
			f, err := os.OpenFile(filepath.Join(b.TempDir(), "segment"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			requests := make(chan chan struct{}, 4096)
			var writer sync.WaitGroup
			writer.Go(func() {
				entry := make([]byte, 320)
				for first := range requests {
					batch := []chan struct{}{first}
					buf := append([]byte(nil), entry...)
				collect:
					for {
						select {
						case r, ok := <-requests:
							if !ok {
								break collect
							}
							batch = append(batch, r)
							buf = append(buf, entry...)
						default:
							break collect
						}
					}
					if _, err := f.Write(buf); err != nil {
						b.Error(err)
					}
					if err := syscall.Fdatasync(int(f.Fd())); err != nil {
						b.Error(err)
					}
					for _, r := range batch {
						close(r)
					}
				}
			})
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			began := time.Now()
			var wg sync.WaitGroup
			for range appenders {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						done := make(chan struct{})
						requests <- done
						<-done
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "appends/s")
			close(requests)
			writer.Wait()
		})
	}
}

// BenchmarkCommit shows where an append's time goes: commits a second, and how
// many appends each holds.
func BenchmarkCommit(b *testing.B) {
	var commits, entries, took, longest atomic.Int64
	a := open(b, local.Options{Dir: b.TempDir(), Hooks: local.Hooks{Commit: func(n int, d time.Duration, _ error) {
		commits.Add(1)
		entries.Add(int64(n))
		took.Add(int64(d))
		longest.Store(max(longest.Load(), int64(d)))
	}}})
	a.Open("/", &counting{})
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			for i := left.Add(-1); i >= 0; i = left.Add(-1) {
				if _, err := a.Append(b.Context(), message(fmt.Sprint("room", i%20), fmt.Sprint(i))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(entries.Load())/float64(commits.Load()), "appends/commit")
	b.ReportMetric(float64(took.Load())/float64(commits.Load())/1e6, "ms/commit")
	b.ReportMetric(float64(longest.Load())/1e6, "longest-ms")
}
