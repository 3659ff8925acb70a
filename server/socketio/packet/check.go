package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"unicode/utf8"
)

// Check reports whether b is one JSON value that may be passed on: RFC 8259
// grammar, UTF-8, at most maxDepth arrays and objects inside each other, and,
// when attachments is not 0, a placeholder for each attachment exactly once.
//
// A placeholder is an object with exactly the keys _placeholder (true) and num
// (an integer). Clients disagree about anything else that has a key
// _placeholder, so that it is refused; without attachments such objects are
// data like any other.
//
// It does not allocate when b is valid, except one bit per attachment beyond
// 64. Errors wrap [ErrMalformed] or [ErrLimit].
func Check(b []byte, maxDepth, attachments int) error {
	c := checker{b: b, maxDepth: maxDepth, attachments: attachments}
	return c.check()
}

// fault says what is wrong with a JSON text.
type fault uint8

const (
	faultSyntax fault = iota + 1
	faultUTF8
	faultDepth
	faultPlaceholder
	faultCount
)

// checker is one pass over a JSON text.
type checker struct {
	b           []byte
	i           int // next byte to look at
	maxDepth    int
	attachments int

	elements int // of the outermost array
	found    int // placeholders so far
	low      uint64
	high     []uint64 // seen placeholders from 64 on
	fault    fault
}

// check checks the whole text.
func (c *checker) check() error {
	c.space()
	if c.value(0) {
		c.space()
		switch {
		case c.i < len(c.b):
			c.fault = faultSyntax
		case c.found != c.attachments:
			c.fault = faultCount
		}
	}
	switch c.fault {
	case 0:
		return nil
	case faultUTF8:
		return fmt.Errorf("%w: JSON that is not UTF-8 before byte %d", ErrMalformed, c.i)
	case faultDepth:
		return fmt.Errorf("%w: JSON deeper than %d at byte %d", ErrLimit, c.maxDepth, c.i)
	case faultPlaceholder:
		return fmt.Errorf("%w: bad placeholder before byte %d", ErrMalformed, c.i)
	case faultCount:
		return fmt.Errorf("%w: %d placeholders for %d attachments", ErrMalformed, c.found, c.attachments)
	default:
		return fmt.Errorf("%w: bad JSON at byte %d", ErrMalformed, c.i)
	}
}

// fail notes what is wrong and is always false.
func (c *checker) fail(f fault) bool {
	if c.fault == 0 {
		c.fault = f
	}
	return false
}

// space skips white space.
func (c *checker) space() {
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case ' ', '\t', '\n', '\r':
			c.i++
		default:
			return
		}
	}
}

// value checks the value that starts at the next byte, which is inside depth
// arrays and objects.
func (c *checker) value(depth int) bool {
	if c.i >= len(c.b) {
		return c.fail(faultSyntax)
	}
	switch c.b[c.i] {
	case '"':
		return c.str()
	case '{':
		return c.object(depth)
	case '[':
		return c.array(depth)
	case 't':
		return c.literal("true")
	case 'f':
		return c.literal("false")
	case 'n':
		return c.literal("null")
	}
	return c.number()
}

func (c *checker) literal(s string) bool {
	if len(c.b)-c.i < len(s) || string(c.b[c.i:c.i+len(s)]) != s {
		return c.fail(faultSyntax)
	}
	c.i += len(s)
	return true
}

func (c *checker) number() bool {
	if c.b[c.i] == '-' {
		c.i++
	}
	if c.i < len(c.b) && c.b[c.i] == '0' {
		c.i++
	} else if !c.digits() {
		return false
	}
	if c.i < len(c.b) && c.b[c.i] == '.' {
		c.i++
		if !c.digits() {
			return false
		}
	}
	if c.i < len(c.b) && c.b[c.i]|0x20 == 'e' {
		c.i++
		if c.i < len(c.b) && (c.b[c.i] == '+' || c.b[c.i] == '-') {
			c.i++
		}
		return c.digits()
	}
	return true
}

// digits skips one digit or more.
func (c *checker) digits() bool {
	start := c.i
	for c.i < len(c.b) && c.b[c.i]-'0' <= 9 {
		c.i++
	}
	return c.i > start || c.fail(faultSyntax)
}

// Words of eight equal bytes.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// special finds the next byte of b from i on that ends plain text in a JSON
// string: a quote, a backslash or a control character; len(b) when there is
// none. other is not 0 when a byte on the way is not ASCII.
func special(b []byte, i int) (at int, other uint64) {
	for len(b)-i >= 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote := w ^ '"'*ones
		slash := w ^ '\\'*ones
		// The lowest bit set is exact; those above it need not be.
		hit := ((w - 0x20*ones) &^ w) | ((quote - ones) &^ quote) | ((slash - ones) &^ slash)
		if hit &= highs; hit != 0 {
			n := bits.TrailingZeros64(hit) &^ 7
			return i + n/8, other | w&highs&(1<<n-1)
		}
		other |= w & highs
		i += 8
	}
	for ; i < len(b); i++ {
		c := b[i]
		if c == '"' || c == '\\' || c < 0x20 {
			break
		}
		other |= uint64(c & 0x80)
	}
	return i, other
}

// str checks the string that starts at the next byte, a quote.
func (c *checker) str() bool {
	start := c.i + 1
	var other uint64
	for i := start; ; {
		at, o := special(c.b, i)
		other |= o
		c.i = at
		if at >= len(c.b) {
			return c.fail(faultSyntax)
		}
		switch c.b[at] {
		case '"':
			c.i++
			if other != 0 && !utf8.Valid(c.b[start:at]) {
				return c.fail(faultUTF8)
			}
			return true
		case '\\':
			n := escapeLen(c.b[at:])
			if n == 0 {
				return c.fail(faultSyntax)
			}
			i = at + n
		default:
			return c.fail(faultSyntax)
		}
	}
}

// escapeLen is the length of the escape that b starts with, 0 when it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := unit(b); ok {
			return 6
		}
	}
	return 0
}

// unit reads the \uXXXX that b starts with.
func unit(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (c *checker) array(depth int) bool {
	if depth >= c.maxDepth {
		return c.fail(faultDepth)
	}
	c.i++
	c.space()
	n := 0
	if c.i < len(c.b) && c.b[c.i] == ']' {
		c.i++
		return true
	}
	for {
		if !c.value(depth + 1) {
			return false
		}
		n++
		c.space()
		if c.i >= len(c.b) {
			return c.fail(faultSyntax)
		}
		switch c.b[c.i] {
		case ',':
			c.i++
			c.space()
		case ']':
			c.i++
			if depth == 0 {
				c.elements = n
			}
			return true
		default:
			return c.fail(faultSyntax)
		}
	}
}

func (c *checker) object(depth int) bool {
	if depth >= c.maxDepth {
		return c.fail(faultDepth)
	}
	start := c.i
	c.i++
	c.space()
	if c.i < len(c.b) && c.b[c.i] == '}' {
		c.i++
		return true
	}
	lookalike := false
	for {
		if c.i >= len(c.b) || c.b[c.i] != '"' {
			return c.fail(faultSyntax)
		}
		key := c.i + 1
		if !c.str() {
			return false
		}
		if c.attachments > 0 && isPlaceholderKey(c.b[key:c.i-1]) {
			lookalike = true
		}
		c.space()
		if c.i >= len(c.b) || c.b[c.i] != ':' {
			return c.fail(faultSyntax)
		}
		c.i++
		c.space()
		if !c.value(depth + 1) {
			return false
		}
		c.space()
		if c.i >= len(c.b) {
			return c.fail(faultSyntax)
		}
		switch c.b[c.i] {
		case ',':
			c.i++
			c.space()
		case '}':
			c.i++
			return !lookalike || c.placeholder(c.b[start:c.i])
		default:
			return c.fail(faultSyntax)
		}
	}
}

// placeholder notes the placeholder that obj is.
func (c *checker) placeholder(obj []byte) bool {
	num, n := placeholder(obj)
	if n != len(obj) || num >= c.attachments {
		return c.fail(faultPlaceholder)
	}
	if !c.mark(num) {
		return c.fail(faultPlaceholder)
	}
	c.found++
	return true
}

// mark notes that num was seen, and reports whether it is the first time.
func (c *checker) mark(num int) bool {
	seen := &c.low
	if num >= 64 {
		if c.high == nil {
			c.high = make([]uint64, c.attachments/64)
		}
		seen = &c.high[num/64-1]
	}
	bit := uint64(1) << (num % 64)
	first := *seen&bit == 0
	*seen |= bit
	return first
}

const placeholderKey = "_placeholder"

// isPlaceholderKey reports whether key, without quotes, is _placeholder, in
// whatever spelling.
func isPlaceholderKey(key []byte) bool {
	if string(key) == placeholderKey {
		return true
	}
	if len(key) <= len(placeholderKey) || len(key) > 6*len(placeholderKey) || bytes.IndexByte(key, '\\') < 0 {
		return false
	}
	var buf [6 * len(placeholderKey)]byte
	return string(appendUnquoted(buf[:0], key)) == placeholderKey
}

// placeholder reads the placeholder that b starts with and returns its number
// and how long it is, 0 when it is none.
func placeholder(b []byte) (num, n int) {
	// As nearly every client writes it.
	const usual = `{"_placeholder":true,"num":`
	if len(b) > len(usual) && string(b[:len(usual)]) == usual {
		num, n = smallInt(b[len(usual):])
		if end := len(usual) + n; n > 0 && end < len(b) && b[end] == '}' {
			return num, end + 1
		}
	}
	c := checker{b: b, i: 1}
	var flagged, numbered bool
	for {
		c.space()
		rest := b[c.i:]
		switch {
		case !flagged && c.literal(`"_placeholder"`):
			flagged = true
		case !numbered && len(rest) >= 5 && string(rest[:5]) == `"num"`:
			c.i += 5
			numbered = true
		default:
			return 0, 0
		}
		isNum := rest[1] == 'n'
		c.space()
		if !c.literal(":") {
			return 0, 0
		}
		c.space()
		if isNum {
			var w int
			if num, w = smallInt(b[c.i:]); w == 0 {
				return 0, 0
			}
			c.i += w
		} else if !c.literal("true") {
			return 0, 0
		}
		c.space()
		if c.i >= len(b) {
			return 0, 0
		}
		switch b[c.i] {
		case '}':
			if flagged && numbered {
				return num, c.i + 1
			}
			return 0, 0
		case ',':
			c.i++
		default:
			return 0, 0
		}
	}
}

// smallInt reads the integer that b starts with: digits without a leading
// zero, below a million. n is 0 when there is none.
func smallInt(b []byte) (v, n int) {
	for n < len(b) && b[n]-'0' <= 9 {
		if n == 6 {
			return 0, 0
		}
		v = 10*v + int(b[n]-'0')
		n++
	}
	if n > 1 && b[0] == '0' {
		return 0, 0
	}
	return v, n
}
