package schematest

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"go.yaml.in/yaml/v3"
)

type kind string

type inner struct {
	Self []inner `json:"self,omitempty"`
	At   *uint64 `json:"at"`
}

type either struct {
	Text string `json:"text"`
}

func (*either) UnmarshalJSON([]byte) error { return nil }

type outer struct {
	Name  string `json:"name"`
	Kind  kind   `json:"kind,omitempty"`
	Count int    `json:"count"`
	Good  bool   `json:"good"`
	TS    int64  `json:"ts"`
	Inner *inner `json:"inner,omitempty"`
	Both  either `json:"both"`
}

func TestSchemas(t *testing.T) {
	s := Schemas{Own: map[reflect.Type]func(*Schemas) Mapping{
		reflect.TypeFor[kind](): func(*Schemas) Mapping { return Mapping{{"enum", []kind{"a", "b"}}} },
	}}
	doc := Mapping{{"top", s.Of(reflect.TypeFor[[]outer]())}, {"components", Mapping{{"schemas", s.Named()}}}}
	read := Hold(t, filepath.Join(t.TempDir(), "doc.yaml"), "go test", doc, true)
	have, err := json.Marshal(read)
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"components":{"schemas":{` +
		`"either":{"oneOf":[{"type":"string"},{"properties":{"text":{"type":"string"}},"required":["text"],"type":"object"}]},` +
		`"inner":{"properties":{"at":{"oneOf":[{"format":"int64","minimum":0,"type":"integer"},{"type":"null"}]},` +
		`"self":{"items":{"$ref":"#/components/schemas/inner"},"type":"array"}},"required":["at"],"type":"object"},` +
		`"outer":{"properties":{"both":{"$ref":"#/components/schemas/either"},"count":{"minimum":0,"type":"integer"},"good":{"type":"boolean"},` +
		`"inner":{"$ref":"#/components/schemas/inner"},"kind":{"enum":["a","b"]},"name":{"type":"string"},"ts":{"format":"int64","minimum":0,"type":"integer"}},` +
		`"required":["name","count","good","ts","both"],"type":"object"}}},"top":{"items":{"$ref":"#/components/schemas/outer"},"type":"array"}}`
	if string(have) != want {
		t.Errorf("%s", have)
	}
	defer func() {
		if recover() == nil {
			t.Error("a map has a schema")
		}
	}()
	s.Of(reflect.TypeFor[map[string]string]())
}

func TestLost(t *testing.T) {
	var doc any
	if err := yaml.Unmarshal([]byte("a:\n  b: 1\nlist:\n  - $ref: '#/a/b'\n  - x:\n      $ref: '#/a/c'\n"), &doc); err != nil {
		t.Fatal(err)
	}
	if got := lost(doc, doc); !slices.Equal(got, []string{"#/a/c"}) {
		t.Errorf("%q", got)
	}
}
