package packet

import (
	"fmt"
	"iter"
)

// Args splits a JSON array in its elements: of an event, the name and the
// arguments. The elements are slices of data, without white space around them.
// data has passed [Check], as the Data of decoded packets has; of anything else
// the result is an error or elements that are not JSON.
//
// It allocates some 24 bytes per element, whose number [Limits.MaxArgs] bounds.
func Args(data []byte) ([][]byte, error) {
	i, more := open(data)
	args := make([][]byte, 0, 4)
	for more {
		var e []byte
		e, i, more = element(data, i)
		args = append(args, e)
	}
	if i != len(data) {
		return nil, fmt.Errorf("%w: not a JSON array", ErrMalformed)
	}
	return args, nil
}

// Elements yields the elements of a JSON array as [Args] does, without
// allocating, and ends early where data is not an array.
func Elements(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		i, more := open(data)
		for more {
			var e []byte
			e, i, more = element(data, i)
			if e == nil || !yield(e) {
				return
			}
		}
	}
}

// firstElement is the first element of an array.
func firstElement(data []byte) ([]byte, bool) {
	i, more := open(data)
	if !more {
		return nil, false
	}
	e, _, _ := element(data, i)
	return e, e != nil
}

// open finds the first element of an array: i is where it starts, and more
// says that there is one. For an empty array i is len(data); for what is no
// array it is -1.
func open(data []byte) (i int, more bool) {
	if len(data) < 2 || data[0] != '[' {
		return -1, false
	}
	c := checker{b: data, i: 1}
	c.space()
	if c.i < len(data) && data[c.i] == ']' {
		return c.i + 1, false
	}
	return c.i, true
}

// element returns the element at i, where the next one starts, and whether
// there is a next one; after the last one next is the byte behind the array. A
// nil element and next -1 mean that data is no array.
func element(data []byte, i int) (e []byte, next int, more bool) {
	c := checker{b: data, i: i}
	if !c.skip() {
		return nil, -1, false
	}
	e = data[i:c.i:c.i]
	c.space()
	if c.i >= len(data) {
		return nil, -1, false
	}
	switch data[c.i] {
	case ',':
		c.i++
		c.space()
		return e, c.i, true
	case ']':
		return e, c.i + 1, false
	}
	return nil, -1, false
}

// skip moves behind the value at the next byte, checking no more than needed
// to find its end.
func (c *checker) skip() bool {
	depth := 0
	start := c.i
	for c.i < len(c.b) {
		switch c.b[c.i] {
		case '"':
			if !c.skipString() {
				return false
			}
		case '{', '[':
			depth++
			c.i++
		case '}', ']':
			if depth == 0 {
				return c.i > start
			}
			depth--
			c.i++
		case ',', ' ', '\t', '\n', '\r':
			if depth == 0 {
				return c.i > start
			}
			c.i++
			continue
		default:
			c.i++
			continue
		}
		// A string, array or object that nothing surrounds has ended.
		if depth == 0 {
			return true
		}
	}
	return false
}

// skipString moves behind the string that starts at the next byte.
func (c *checker) skipString() bool {
	for i := c.i + 1; ; {
		at, _ := special(c.b, i)
		switch {
		case at >= len(c.b):
			return false
		case c.b[at] == '"':
			c.i = at + 1
			return true
		case c.b[at] == '\\':
			i = at + 2
			if i > len(c.b) {
				return false
			}
		default:
			i = at + 1
		}
	}
}
