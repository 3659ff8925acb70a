package main

import "strconv"

const (
	payloadSize   = 128
	messageDigits = 8
	// deliveryHead is how a delivery starts; the message's number follows.
	deliveryHead = `["msg","`
)

// message is the payload of message number n: the number, then padding.
func message(n int) string {
	digits := strconv.Itoa(n)
	b := make([]byte, payloadSize)
	for i := range b {
		b[i] = 'x'
	}
	for i := range messageDigits {
		b[i] = '0'
	}
	copy(b[messageDigits-len(digits):], digits)
	return string(b)
}

// messageNumber reads the number back from a delivery; -1 when the event is
// not one.
func messageNumber(array []byte) int {
	if len(array) < len(deliveryHead)+payloadSize || string(array[:len(deliveryHead)]) != deliveryHead {
		return -1
	}
	n := 0
	for _, c := range array[len(deliveryHead) : len(deliveryHead)+messageDigits] {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
