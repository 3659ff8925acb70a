package schematest

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// Mapping is a YAML mapping that keeps its order.
type Mapping []struct {
	Key   string
	Value any
}

// Add puts a key at the end.
func (m *Mapping) Add(key string, value any) { *m = append(*m, Mapping{{key, value}}...) }

// Ref refers to a part of the document, such as components/schemas/Message.
func Ref(path string) Mapping { return Mapping{{"$ref", "#/" + path}} }

// MarshalYAML implements [yaml.Marshaler].
func (m Mapping) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, kv := range m {
		var k, v yaml.Node
		if err := k.Encode(kv.Key); err != nil {
			return nil, err
		}
		if err := v.Encode(kv.Value); err != nil {
			return nil, err
		}
		n.Content = append(n.Content, &k, &v)
	}
	return n, nil
}

// Hold fails the test unless the file has the document, all of whose references
// lead somewhere, and gives it as YAML decodes it. With write the file is made anew;
// command says how whoever reads it can do that.
func Hold(t testing.TB, file, command string, document Mapping, write bool) map[string]any {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("# Made from the code: " + command + "\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(document); err != nil {
		t.Fatal(err)
	}
	if err := enc.Close(); err != nil {
		t.Fatal(err)
	}
	if write {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Errorf("%s differs from the code; %s", file, command)
	}
	var read map[string]any
	if err := yaml.Unmarshal(have, &read); err != nil {
		t.Fatal(err)
	}
	for _, path := range lost(read, read) {
		t.Errorf("%s: %s leads nowhere", file, path)
	}
	return read
}

// lost are the references of v that lead nowhere in root.
func lost(root, v any) (paths []string) {
	switch v := v.(type) {
	case map[string]any:
		if path, ok := v["$ref"].(string); ok {
			at := root
			for part := range strings.SplitSeq(strings.TrimPrefix(path, "#/"), "/") {
				m, _ := at.(map[string]any)
				at = m[part]
			}
			if at == nil {
				paths = append(paths, path)
			}
		}
		for _, e := range v {
			paths = append(paths, lost(root, e)...)
		}
	case []any:
		for _, e := range v {
			paths = append(paths, lost(root, e)...)
		}
	}
	return paths
}
