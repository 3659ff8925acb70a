package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxElements bounds a list, so that a mistake in a file stays a message.
const maxElements = 1000

// assign reads text into the setting's field, or says what is allowed.
func (s *setting) assign(c *Config, text string) error {
	switch p := s.field(c).(type) {
	case *string:
		if err := s.element(text); err != nil {
			return err
		}
		*p = text
	case *[]string:
		list := split(text)
		if len(list) > maxElements {
			return fmt.Errorf("at most %d elements", maxElements)
		}
		for _, e := range list {
			if err := s.element(e); err != nil {
				return err
			}
		}
		*p = list
	case *Bucket:
		b, err := parseBucket(text)
		if err != nil {
			return err
		}
		*p = b
	case *[]RoomRule:
		rules, err := parseRecords[RoomRule](text, allowedRules, maxElements)
		if err != nil {
			return err
		}
		*p = rules
	case *[]APIKey:
		keys, err := parseRecords[APIKey](text, allowedKeys, maxKeys)
		if err != nil {
			return err
		}
		*p = keys
	case *[]Webhook:
		hooks, err := parseRecords[Webhook](text, allowedHooks, maxHooks)
		if err != nil {
			return err
		}
		*p = hooks
	case *bool:
		switch text {
		case "true", "1":
			*p = true
		case "false", "0":
			*p = false
		default:
			return errors.New(s.allowance())
		}
	case *int:
		n, err := s.number(text)
		if err != nil || int64(int(n)) != n {
			return errors.New(s.allowance())
		}
		*p = int(n)
	case *int64:
		n, err := s.number(text)
		if err != nil {
			return errors.New(s.allowance())
		}
		*p = n
	case *time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < duration(s.least) || d > duration(s.most) {
			return errors.New(s.allowance())
		}
		*p = d
	default:
		panic("config: " + s.key + " has a field of an unknown type")
	}
	return nil
}

// element checks one text, or one element of a list.
func (s *setting) element(text string) error {
	if s.allowed != nil && !slices.Contains(s.allowed, text) {
		return errors.New(s.allowance())
	}
	if s.check != nil {
		return s.check(text)
	}
	return nil
}

func (s *setting) number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err == nil && (n < number(s.least) || n > number(s.most)) {
		err = strconv.ErrRange
	}
	return n, err
}

// allowance says in words what the setting may be.
func (s *setting) allowance() string {
	switch s.field(new(Config)).(type) {
	case *bool:
		return "true or false"
	case *int, *int64:
		unit := ""
		if s.unit != "" {
			unit = " (" + s.unit + ")"
		}
		return "a whole number from " + s.least + " to " + s.most + unit
	case *time.Duration:
		return "a time with its unit, such as 500ms, 25s, 2m or 168h, from " + s.least + " to " + s.most
	case *[]RoomRule:
		return allowedRules
	case *[]APIKey:
		return allowedKeys
	case *[]Webhook:
		return allowedHooks
	case *Bucket:
		return allowedBucket
	case *[]string:
		if s.allowed != nil {
			return "one or more of " + strings.Join(s.allowed, ", ") + ", with commas between"
		}
		return "a list, with commas between"
	}
	if s.allowed != nil {
		return "one of " + strings.Join(s.allowed, ", ")
	}
	return "text"
}

// kind is the setting's type as --help names it.
func (s *setting) kind() string {
	switch s.field(new(Config)).(type) {
	case *bool:
		return "true|false"
	case *int, *int64:
		return "number"
	case *time.Duration:
		return "time"
	case *[]string:
		return "list"
	case *[]RoomRule:
		return "rules"
	case *[]APIKey:
		return "keys"
	case *[]Webhook:
		return "hooks"
	case *Bucket:
		return "bucket"
	}
	if s.allowed != nil {
		return strings.Join(s.allowed, "|")
	}
	return "text"
}

// show writes the setting's value as text that assign reads back.
func (s *setting) show(c *Config) string {
	switch p := s.field(c).(type) {
	case *string:
		return *p
	case *[]string:
		return strings.Join(*p, ",")
	case *[]RoomRule:
		return showRecords(*p)
	case *[]APIKey:
		return showRecords(*p)
	case *[]Webhook:
		return showRecords(*p)
	case *Bucket:
		return showBucket(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *int64:
		return strconv.FormatInt(*p, 10)
	case *time.Duration:
		return short(*p)
	}
	panic("config: " + s.key + " has a field of an unknown type")
}

// plain turns what viper found (text from flags and the environment, YAML's
// types from a file) into the text that assign reads.
func plain(v any) (text string, ok bool) {
	switch v := v.(type) {
	case string:
		return strings.TrimSpace(v), true
	case bool:
		return strconv.FormatBool(v), true
	case int:
		return strconv.Itoa(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case uint64:
		return strconv.FormatUint(v, 10), true
	case float64: // YAML reads 1e6 so
		if v != math.Trunc(v) || math.Abs(v) > 1<<53 {
			return strconv.FormatFloat(v, 'g', -1, 64), true
		}
		return strconv.FormatFloat(v, 'f', 0, 64), true
	case []any:
		if len(v) > 0 {
			if _, ok := v[0].(map[string]any); ok {
				b, err := json.Marshal(v)
				return string(b), err == nil
			}
		}
		parts := make([]string, len(v))
		for i, e := range v {
			p, ok := plain(e)
			if _, nested := e.([]any); nested || !ok {
				return "", false
			}
			parts[i] = p
		}
		return strings.Join(parts, ","), true
	}
	return "", false
}

func split(text string) []string {
	var list []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" && !slices.Contains(list, part) {
			list = append(list, part)
		}
	}
	return list
}

// number and duration read the table's own limits; a mistake there is a
// programming error that every start shows.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic("config: limit " + text)
	}
	return n
}

func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic("config: limit " + text)
	}
	return d
}

// short writes a duration without the zero parts that time.Duration adds.
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
