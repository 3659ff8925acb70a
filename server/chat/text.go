package chat

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxMarks bounds the combining marks on one character of a name: enough for
// every living script, too few to draw over the neighbours.
const maxMarks = 8

// Name checks and normalises the name of a person: NFC, no white space at the
// ends, within the limits, one line, nothing invisible. Emoji may join with
// ZWJ; controls that turn the direction of text are refused, because a name
// stands in the middle of other people's lines.
func (l Limits) Name(s string) (string, error) {
	return l.label(FieldName, s, l.NameCharacters, l.NameBytes)
}

// Room checks and normalises the name of a room, by the rules of [Limits.Name].
// What begins with @ must be a direct room.
func (l Limits) Room(s string) (string, error) {
	room, err := l.label(FieldRoom, s, l.RoomCharacters, l.RoomBytes)
	if err == nil && strings.HasPrefix(room, directPrefix) && !IsDirect(room) {
		return "", &Invalid{FieldRoom, "must not begin with @, unless it is between two people"}
	}
	return room, err
}

func (l Limits) label(field Field, s string, characters, bytes int) (string, error) {
	s, err := normal(field, s, bytes)
	if err != nil {
		return "", err
	}
	s = strings.TrimSpace(s)
	if s == "" {
		return "", &Invalid{field, "must not be empty"}
	}
	marks, visible := 0, false
	for _, r := range s {
		if r != ' ' && (unicode.IsControl(r) || unicode.IsSpace(r) || invisible(r)) {
			return "", &Invalid{field, "must be one line without control characters"}
		}
		if unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Me, r) {
			if marks++; marks > maxMarks {
				return "", &Invalid{field, "has too many marks on one character"}
			}
			continue
		}
		marks = 0
		visible = visible || !joins(r)
	}
	if !visible {
		return "", &Invalid{field, "must have a visible character"}
	}
	if Characters(s) > characters {
		return "", &Invalid{field, fmt.Sprintf("must have at most %d characters", characters)}
	}
	return s, nil
}

// Text checks and normalises what a person wrote: NFC, CRLF and CR become LF,
// within the limits, not blank, no control characters but LF and TAB.
func (l Limits) Text(s string) (string, error) {
	s, err := normal(FieldText, s, l.TextBytes)
	if err != nil {
		return "", err
	}
	if strings.IndexByte(s, '\r') >= 0 {
		s = strings.ReplaceAll(s, "\r\n", "\n")
		s = strings.ReplaceAll(s, "\r", "\n")
	}
	blank := true
	for _, r := range s {
		switch {
		case r == '\n' || r == '\t':
		case unicode.IsControl(r):
			return "", &Invalid{FieldText, "must not have control characters"}
		case !unicode.IsSpace(r):
			blank = false
		}
	}
	if blank {
		return "", &Invalid{FieldText, "must not be empty"}
	}
	if Characters(s) > l.TextCharacters {
		return "", &Invalid{FieldText, fmt.Sprintf("must have at most %d characters", l.TextCharacters)}
	}
	return s, nil
}

// ID checks a client's own id for a message. It is compared byte for byte, so
// it is not normalised. Empty means that the client has none.
func (l Limits) ID(s string) error {
	if len(s) > l.IDBytes {
		return &Invalid{FieldID, fmt.Sprintf("must have at most %d bytes", l.IDBytes)}
	}
	return printable(FieldID, s)
}

// printable refuses what is no UTF-8 or has control characters.
func printable(field Field, s string) error {
	if !utf8.ValidString(s) {
		return &Invalid{field, "must be UTF-8"}
	}
	for _, r := range s {
		if unicode.IsControl(r) {
			return &Invalid{field, "must not have control characters"}
		}
	}
	return nil
}

// normal is the common opening: size before work, UTF-8, NFC. Composing can
// lengthen a text (some characters have no composed form), so the size is
// checked again.
func normal(field Field, s string, bytes int) (string, error) {
	tooLong := &Invalid{field, fmt.Sprintf("must have at most %d bytes", bytes)}
	if len(s) > 3*bytes { // NFC makes nothing shorter than a third
		return "", tooLong
	}
	if !utf8.ValidString(s) {
		return "", &Invalid{field, "must be UTF-8"}
	}
	s = norm.NFC.String(s)
	if len(s) > bytes {
		return "", tooLong
	}
	return s, nil
}

// invisible are format characters that a name or room has no use for: marks of
// direction, zero-width spaces, tags outside of flags, byte order marks, and
// noncharacters. ZWNJ and ZWJ are not among them: Persian and emoji need them.
func invisible(r rune) bool {
	switch {
	case r == 0x200C || r == 0x200D:
		return false
	case r >= 0xE0020 && r <= 0xE007F: // tags: the flags of Scotland, Wales, ...
		return false
	case r&0xFFFE == 0xFFFE || r >= 0xFDD0 && r <= 0xFDEF:
		return true
	case r == 0x115F || r == 0x1160 || r == 0x3164 || r == 0xFFA0: // Hangul fillers are drawn as nothing
		return true
	case r == 0x2028 || r == 0x2029:
		return true
	}
	return unicode.Is(unicode.Cf, r)
}

// Characters counts what a reader takes for one character each, closely
// enough for a limit and without tables of its own: combining marks, variation
// selectors, skin tones, tags and whatever ZWJ glues on belong to the
// character before them, and two regional indicators are one flag. It follows
// Unicode Standard Annex 29 for these; conjoining jamo are composed by NFC
// beforehand.
func Characters(s string) int {
	n, glued, flag := 0, false, false
	for _, r := range s {
		regional := r >= 0x1F1E6 && r <= 0x1F1FF
		switch {
		case joins(r) && n > 0:
			glued = r == 0x200D
			continue
		case glued:
			glued = false
		case regional && flag:
			flag = false
			continue
		default:
			n++
		}
		flag = regional
	}
	return n
}

// joins: r belongs to the character before it.
func joins(r rune) bool {
	switch {
	case r < 0x300:
		return false
	case r == 0x200C || r == 0x200D,
		r >= 0xFE00 && r <= 0xFE0F, r >= 0xE0100 && r <= 0xE01EF, // variation selectors
		r >= 0x1F3FB && r <= 0x1F3FF, // skin tones
		r >= 0xE0020 && r <= 0xE007F: // tags
		return true
	}
	return unicode.Is(unicode.M, r)
}
