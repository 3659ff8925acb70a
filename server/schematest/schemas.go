package schematest

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Text, Number and Long are schemas of a string, and of a number from 0 on, in 64
// bits where it says so: generated clients would take 32.
var (
	Text   = Mapping{{"type", "string"}}
	Number = Mapping{{"type", "integer"}, {"minimum", 0}}
	Long   = Mapping{{"type", "integer"}, {"format", "int64"}, {"minimum", 0}}
)

// Schemas collects the schemas of named structs.
type Schemas struct {
	// Own are the schemas of types that are not what their kind says.
	Own map[reflect.Type]func(*Schemas) Mapping

	named map[string]Mapping
}

// Of is the schema of a Go type: of a struct a reference to its own. It panics at a
// kind that no interface here uses.
func (s *Schemas) Of(t reflect.Type) Mapping {
	if own := s.Own[t]; own != nil {
		return own(s)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return s.Of(t.Elem())
	case reflect.String:
		return Text
	case reflect.Bool:
		return Mapping{{"type", "boolean"}}
	case reflect.Int:
		return Number
	case reflect.Int64, reflect.Uint64:
		return Long
	case reflect.Slice:
		return Mapping{{"type", "array"}, {"items", s.Of(t.Elem())}}
	case reflect.Struct:
		if _, known := s.named[t.Name()]; !known {
			if s.named == nil {
				s.named = make(map[string]Mapping)
			}
			s.named[t.Name()] = nil // in case it holds itself
			s.named[t.Name()] = s.object(t)
		}
		return Ref("components/schemas/" + t.Name())
	}
	panic("no schema for " + t.String())
}

// object is the schema of a struct. A field without omitempty is always there, and
// may be null if it is a pointer; a type that decodes itself takes a text as well.
func (s *Schemas) object(t reflect.Type) Mapping {
	var properties Mapping
	var required []string
	for f := range t.NumField() {
		field := t.Field(f)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		schema := s.Of(field.Type)
		if options != "omitempty" {
			required = append(required, name)
			if field.Type.Kind() == reflect.Pointer {
				schema = Mapping{{"oneOf", []Mapping{schema, {{"type", "null"}}}}}
			}
		}
		properties.Add(name, schema)
	}
	object := Mapping{{"type", "object"}, {"properties", properties}}
	if required != nil {
		object.Add("required", required)
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return Mapping{{"oneOf", []Mapping{Text, object}}}
	}
	return object
}

// Named are those of the structs that were met, by name.
func (s *Schemas) Named() (all Mapping) {
	for _, name := range slices.Sorted(maps.Keys(s.named)) {
		all.Add(name, s.named[name])
	}
	return all
}
