package engineio

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

type alarm struct {
	entry
	fired chan time.Time
}

func newAlarm() *alarm {
	a := &alarm{fired: make(chan time.Time, 100)}
	a.owner = a
	return a
}

func (a *alarm) expired() { a.fired <- time.Now() }

func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWheel(200 * time.Millisecond)
		defer w.close()
		begin := time.Now()
		alarms := map[time.Duration]*alarm{}
		for range 2000 {
			d := time.Duration(rand.Int64N(int64(3 * time.Minute))) // several rounds
			if alarms[d] == nil {
				alarms[d] = newAlarm()
				w.set(&alarms[d].entry, d)
			}
		}
		gone := newAlarm()
		w.set(&gone.entry, time.Second)
		moved := newAlarm()
		w.set(&moved.entry, time.Second)
		time.Sleep(500 * time.Millisecond)
		w.remove(&gone.entry)
		w.remove(&gone.entry) // twice is no harm
		w.set(&moved.entry, 2*time.Second)
		time.Sleep(4 * time.Minute)
		synctest.Wait()

		check := func(a *alarm, d time.Duration) {
			t.Helper()
			if len(a.fired) != 1 {
				t.Fatalf("%v: fired %d times", d, len(a.fired))
			}
			if late := (<-a.fired).Sub(begin) - d; late > w.tick || late < -w.tick {
				t.Errorf("%v: fired %v late", d, late)
			}
		}
		for d, a := range alarms {
			check(a, d)
		}
		check(moved, 2500*time.Millisecond)
		if len(gone.fired) != 0 {
			t.Error("fired after it was removed")
		}
		if w.count != 0 {
			t.Errorf("%d entries left", w.count)
		}

		// The wheel slept while it was empty, and wakes up.
		begin = time.Now()
		again := newAlarm()
		w.set(&again.entry, 3*time.Second)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		check(again, 3*time.Second)
	})
}
