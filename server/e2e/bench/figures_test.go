package main

import "testing"

func TestMessageNumber(t *testing.T) {
	if got := messageNumber([]byte(deliveryHead + message(4711, payloadSize) + `","1.AAAA"]`)); got != 4711 {
		t.Errorf("messageNumber = %d, want 4711", got)
	}
	if got := chatNumber([]byte(`["new message",{"username":"guest","message":"` + message(4711, payloadSize) + `","room":"x"}]`)); got != 4711 {
		t.Errorf("chatNumber = %d, want 4711", got)
	}
	for _, other := range []string{`["other","x"]`, deliveryHead, deliveryHead + "x" + message(1, payloadSize)[1:] + `"]`, `["new message",{"message":"1"}]`} {
		if messageNumber([]byte(other)) != -1 || chatNumber([]byte(other)) != -1 {
			t.Errorf("%s counts as a delivery", other)
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
