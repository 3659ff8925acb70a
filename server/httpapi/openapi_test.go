package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/antchat/antchat/server/chat"
)

const openAPIFile = "../../docs/openapi.yaml"

var update = flag.Bool("update", false, "write docs/openapi.yaml anew from the code")

// ordered is a YAML mapping that keeps its order.
type ordered []struct {
	Key   string
	Value any
}

func (o ordered) MarshalYAML() (any, error) {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, kv := range o {
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

func (o *ordered) add(key string, value any) { *o = append(*o, ordered{{key, value}}...) }

var text, number = ordered{{"type", "string"}}, ordered{{"type", "integer"}, {"minimum", 0}}

// schemas collects the schemas of named Go types.
type schemas map[string]ordered

// of is the schema of a Go type: structs become named schemas.
func (s schemas) of(t reflect.Type) ordered {
	switch t.Kind() {
	case reflect.Pointer:
		return s.of(t.Elem())
	case reflect.String:
		if t == reflect.TypeFor[Code]() {
			var all []Code
			for _, c := range Codes {
				all = append(all, c.Code)
			}
			return ordered{{"type", "string"}, {"enum", all}}
		}
		return text
	case reflect.Bool:
		return ordered{{"type", "boolean"}}
	case reflect.Int, reflect.Int64, reflect.Uint64:
		return number
	case reflect.Slice:
		if t == reflect.TypeFor[messages]() {
			return ordered{{"type", "array"}, {"items", s.of(reflect.TypeFor[chat.Message]())}}
		}
		return ordered{{"type", "array"}, {"items", s.of(t.Elem())}}
	case reflect.Struct:
		if _, known := s[t.Name()]; !known {
			s[t.Name()] = nil
			s[t.Name()] = s.object(t)
		}
		return ordered{{"$ref", "#/components/schemas/" + t.Name()}}
	}
	panic("no schema for " + t.String())
}

func (s schemas) object(t reflect.Type) ordered {
	var properties ordered
	var required []string
	for f := range t.NumField() {
		field := t.Field(f)
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if options != "omitempty" {
			required = append(required, name)
		}
		properties.add(name, s.of(field.Type))
	}
	object := ordered{{"type", "object"}, {"properties", properties}}
	if required != nil {
		object.add("required", required)
	}
	return object
}

func (s schemas) any(v any) ordered {
	if list, ok := v.(oneOf); ok {
		var all []ordered
		for _, one := range list {
			all = append(all, s.of(reflect.TypeOf(one)))
		}
		return ordered{{"oneOf", all}}
	}
	return s.of(reflect.TypeOf(v))
}

func openAPIDocument() ([]byte, error) {
	s := schemas{}
	problem := s.of(reflect.TypeFor[Problem]())
	var paths ordered
	byPath := map[string]*ordered{}
	var order []string
	for i := range routes {
		r := &routes[i]
		operation := ordered{{"operationId", r.operation}, {"summary", r.summary}}
		if r.about != "" {
			operation.add("description", r.about)
		}
		if r.scope == 0 {
			operation.add("security", []any{})
		} else {
			operation.add("x-scope", r.scope.String())
		}
		var parameters []ordered
		parameter := func(name, in, about string, isNumber bool) {
			schema := text
			if isNumber {
				schema = number
			}
			p := ordered{{"name", name}, {"in", in}, {"description", about}, {"schema", schema}}
			if in == "path" {
				p.add("required", true)
			}
			parameters = append(parameters, p)
		}
		for _, name := range r.variables() {
			parameter(name, "path", variables[name], name == "seq")
		}
		for _, p := range r.query {
			parameter(p.name, "query", p.about, p.number)
		}
		for _, p := range r.headers {
			parameter(p.name, "header", p.about, p.number)
		}
		if parameters != nil {
			operation.add("parameters", parameters)
		}
		if r.body != nil {
			_, optional := r.body[0].(Sanction)
			schema := s.any(oneOf(r.body))
			if len(r.body) == 1 {
				schema = s.any(r.body[0])
			}
			operation.add("requestBody", ordered{{"required", !optional}, {"content", ordered{{"application/json", ordered{{"schema", schema}}}}}})
		}
		var responses ordered
		good := ordered{{"description", "Done."}}
		if r.answer != nil {
			media := r.media
			if media == "" {
				media = "application/json"
			}
			content := ordered{}
			if _, isDocument := r.answer.(document); !isDocument {
				content = ordered{{"schema", s.any(r.answer)}}
			}
			good.add("content", ordered{{media, content}})
		}
		if r.status == 201 && r.headers != nil {
			responses.add("200", good)
		}
		responses.add(strconv.Itoa(r.status), good)
		status, names := 0, []string{}
		tell := func() {
			if status != 0 {
				responses.add(strconv.Itoa(status), ordered{
					{"description", strings.Join(names, ", ")},
					{"content", ordered{{"application/problem+json", ordered{{"schema", problem}}}}},
				})
			}
		}
		for _, code := range r.codesOf() {
			at := slices.IndexFunc(Codes, func(c struct {
				Code   Code
				Status int
				Title  string
			}) bool {
				return c.Code == code
			})
			if Codes[at].Status != status {
				tell()
				status, names = Codes[at].Status, nil
			}
			names = append(names, string(code))
		}
		tell()
		operation.add("responses", responses)
		if byPath[r.path] == nil {
			byPath[r.path] = &ordered{}
			order = append(order, r.path)
		}
		byPath[r.path].add(strings.ToLower(r.method), operation)
	}
	for _, path := range order {
		paths.add(path, *byPath[path])
	}
	var named ordered
	var names []string
	for name := range s {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		named.add(name, s[name])
	}
	doc := ordered{
		{"openapi", "3.1.0"},
		{"info", ordered{
			{"title", "Antchat: the HTTP API for back ends"}, {"version", "1.0.0"},
			{"description", "Keys and their scopes: docs/http-api.md. Refusals are problem documents (RFC 9457) with a code of a closed list.\n"},
			{"license", ordered{{"name", "MIT"}, {"identifier", "MIT"}}},
		}},
		{"servers", []ordered{{{"url", Prefix}}}},
		{"security", []ordered{{{"key", []string{}}}}},
		{"paths", paths},
		{"components", ordered{
			{"securitySchemes", ordered{{"key", ordered{{"type", "http"}, {"scheme", "bearer"}, {"description", "An API key, or a token with the claim that api.claim names."}}}}},
			{"schemas", named},
		}},
	}
	var b bytes.Buffer
	b.WriteString("# Made from the code: go test ./server/httpapi -run OpenAPI -update\n")
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(doc); err != nil {
		return nil, err
	}
	return b.Bytes(), enc.Close()
}

// The document says what the code does, and all of it.
func TestOpenAPI(t *testing.T) {
	want, err := openAPIDocument()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(openAPIFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(openAPIFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s differs from the code; go test ./server/httpapi -run OpenAPI -update", openAPIFile)
	}
	var doc struct {
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := yaml.Unmarshal(have, &doc); err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`#/components/schemas/(\w+)`).FindAllSubmatch(have, -1) {
		if doc.Components.Schemas[string(m[1])] == nil {
			t.Errorf("%s leads nowhere", m[0])
		}
	}
	// Every documented operation is served: with no key it asks for one, or
	// answers.
	f := newFixture(t, nil)
	for path, methods := range doc.Paths {
		path = strings.NewReplacer("{room}", "r", "{user}", "sub:u", "{seq}", "1").Replace(path)
		for method := range methods {
			w := httptest.NewRecorder()
			f.api.ServeHTTP(w, f.request(strings.ToUpper(method), path, "", "Authorization", ""))
			if w.Code != 200 && w.Code != 401 && w.Code != 429 {
				t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
			}
		}
	}
}

// What the refusals of the other tests were is documented for their route.
func TestCodesAreDocumented(t *testing.T) {
	seen := map[Code]bool{}
	for _, c := range Codes {
		if seen[c.Code] {
			t.Errorf("%s is there twice", c.Code)
		}
		seen[c.Code] = true
	}
	doc, err := os.ReadFile("../../docs/http-api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Codes {
		if row := "| `" + string(c.Code) + "` | " + strconv.Itoa(c.Status) + " |"; !bytes.Contains(doc, []byte(row)) {
			t.Errorf("docs/http-api.md has no row %s", row)
		}
	}
	for _, r := range routes {
		if row := r.method + " " + r.path + "`"; !bytes.Contains(doc, []byte(row)) {
			t.Errorf("docs/http-api.md does not name %s", row)
		}
	}
}

// The page has everything, runs nothing and loads nothing.
func TestDocsPage(t *testing.T) {
	f := newFixture(t, nil)
	w := f.do("GET", "/docs", "", "Authorization", "")
	html := w.Body.String()
	for _, r := range routes {
		if !strings.Contains(html, r.method+" "+Prefix+r.path) || !strings.Contains(html, `id="`+r.operation+`"`) {
			t.Errorf("the page has no %s", r.operation)
		}
	}
	for _, c := range Codes {
		if !strings.Contains(html, `<tr id="`+string(c.Code)+`">`) {
			t.Errorf("the page has no %s", c.Code)
		}
	}
	if regexp.MustCompile(`(?i)<script|src=|https?://|style="`).MatchString(html) {
		t.Error("the page runs or loads something")
	}
	_, rest, _ := strings.Cut(html, "<style>")
	css, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(css))
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.Contains(policy, "default-src 'none'; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'") {
		t.Errorf("the policy %q does not let the style in", policy)
	}
	if w := f.do("GET", "/openapi.yaml", "", "Authorization", ""); w.Header().Get("Content-Type") != "application/yaml" || !strings.HasPrefix(w.Body.String(), "openapi: 3.1") {
		t.Errorf("%v %s", w.Header(), w.Body)
	}
}
