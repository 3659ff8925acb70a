package main

import (
	"slices"
	"testing"
	"time"
)

func TestNextFrameCutsOneFrameAfterAnother(t *testing.T) {
	packet := deliveryHead + message(4711) + `","1.AAAA"]`
	server := append([]byte{0x81, 126, 0, byte(len(packet))}, packet...)
	both := slices.Concat(server, []byte{0x81, 1, '2'})
	for cut := range len(server) {
		if _, _, n, err := nextFrame(both[:cut]); n != 0 || err != nil {
			t.Fatalf("%d bytes of %d: n = %d, err = %v, want to be told to wait", cut, len(server), n, err)
		}
	}
	op, payload, n, err := nextFrame(both)
	if op != 1 || string(payload) != packet || n != len(server) || err != nil {
		t.Fatalf("first frame: op %d, %q, %d bytes, %v", op, payload, n, err)
	}
	if got := messageNumber(payload); got != 4711 {
		t.Errorf("messageNumber = %d, want 4711", got)
	}
	if _, payload, n, _ = nextFrame(both[n:]); string(payload) != "2" || n != 3 {
		t.Errorf("second frame: %q, %d bytes", payload, n)
	}
	if messageNumber([]byte(`42["other","x"]`)) != -1 {
		t.Error("another event counts as a delivery")
	}
}

func TestNextFrameRefusesWhatServersDoNotSend(t *testing.T) {
	for name, b := range map[string][]byte{
		"a fragment": {0x01, 1, '2'}, "a mask": {0x81, 0x81, 0, 0, 0, 0, '2'}, "a reserved bit": {0xc1, 1, '2'},
	} {
		if _, _, _, err := nextFrame(b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1)*100*time.Microsecond, 1)
	}
	for _, c := range []struct {
		q    float64
		want time.Duration
	}{{0.5, 50 * time.Millisecond}, {0.99, 99 * time.Millisecond}, {0, 100 * time.Microsecond}} {
		got := h.quantile(c.q)
		if got < c.want || got > c.want+c.want/25 {
			t.Errorf("quantile(%v) = %v, want %v to 4 %% above it", c.q, got, c.want)
		}
	}
}

func TestMedian(t *testing.T) {
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median of three = %v", got)
	}
	if got := median([]float64{4, 1, 2, 3}); got != 2.5 {
		t.Errorf("median of four = %v", got)
	}
}
