package main

import (
	"bytes"
	"strconv"
)

const (
	payloadSize   = 128
	messageDigits = 8
	// deliveryHead is how a delivery starts; the message's number follows.
	deliveryHead = `["msg","`
)

// message is the payload of message number n: the number, then padding up to
// size bytes.
func message(n, size int) string {
	digits := strconv.Itoa(n)
	b := make([]byte, size)
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
	return leadingNumber(array[len(deliveryHead):])
}

// chatNumber is messageNumber of the program's vocabulary.
func chatNumber(array []byte) int {
	if !bytes.HasPrefix(array, []byte(`["new message",{`)) {
		return -1
	}
	_, text, _ := bytes.Cut(array, []byte(`"message":"`))
	return leadingNumber(text)
}

func leadingNumber(text []byte) int {
	if len(text) < messageDigits {
		return -1
	}
	n := 0
	for _, c := range text[:messageDigits] {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}
