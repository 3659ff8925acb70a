package httpapi

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/antchat/antchat/server/chat"
	"github.com/antchat/antchat/server/schematest"
)

const openAPIFile = "../../docs/openapi.yaml"

var update = flag.Bool("update", false, "write docs/openapi.yaml anew from the code")

// schemas are those of the API's types.
func schemas() *schematest.Schemas {
	return &schematest.Schemas{Own: map[reflect.Type]func(*schematest.Schemas) schematest.Mapping{
		reflect.TypeFor[Code](): func(*schematest.Schemas) schematest.Mapping {
			var all []Code
			for _, c := range Codes {
				all = append(all, c.Code)
			}
			return schematest.Mapping{{"type", "string"}, {"enum", all}}
		},
		reflect.TypeFor[messages](): func(s *schematest.Schemas) schematest.Mapping { return s.Of(reflect.TypeFor[[]chat.Message]()) },
	}}
}

// anyOf is the schema of a value of a route, or of one of several.
func anyOf(s *schematest.Schemas, v any) schematest.Mapping {
	list, ok := v.(oneOf)
	if !ok {
		return s.Of(reflect.TypeOf(v))
	}
	var all []schematest.Mapping
	for _, one := range list {
		all = append(all, s.Of(reflect.TypeOf(one)))
	}
	return schematest.Mapping{{"oneOf", all}}
}

// content is what a good answer of a route has in it.
func content(s *schematest.Schemas, r *route) schematest.Mapping {
	schema := schematest.Text
	switch r.answer.(type) {
	case document:
	case ExportLine: // no single JSON value, which a generated client would read it as
		schema = schematest.Mapping{{"type", "string"}, {"description", "Lines, each an ExportLine in JSON."}, {"contentMediaType", r.media}, {"contentSchema", anyOf(s, r.answer)}}
	default:
		schema = anyOf(s, r.answer)
	}
	return schematest.Mapping{{cmp.Or(r.media, "application/json"), schematest.Mapping{{"schema", schema}}}}
}

func openAPIDocument() schematest.Mapping {
	s := schemas()
	problem := s.Of(reflect.TypeFor[Problem]())
	var paths schematest.Mapping
	byPath := map[string]*schematest.Mapping{}
	var order []string
	for i := range routes {
		r := &routes[i]
		operation := schematest.Mapping{{"operationId", r.operation}, {"summary", r.summary}}
		if r.about != "" {
			operation.Add("description", r.about)
		}
		if r.scope == 0 {
			operation.Add("security", []any{})
		} else {
			operation.Add("x-scope", r.scope.String())
		}
		var parameters []schematest.Mapping
		parameter := func(name, in, about string, isNumber bool) {
			schema := schematest.Text
			if isNumber {
				schema = schematest.Long
			}
			p := schematest.Mapping{{"name", name}, {"in", in}, {"description", about}, {"schema", schema}}
			if in == "path" {
				p.Add("required", true)
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
			operation.Add("parameters", parameters)
		}
		if r.body != nil {
			_, optional := r.body[0].(Sanction)
			schema := anyOf(s, oneOf(r.body))
			if len(r.body) == 1 {
				schema = anyOf(s, r.body[0])
			}
			operation.Add("requestBody", schematest.Mapping{{"required", !optional}, {"content", schematest.Mapping{{"application/json", schematest.Mapping{{"schema", schema}}}}}})
		}
		var responses schematest.Mapping
		good := schematest.Mapping{{"description", "Done."}}
		if r.answer != nil {
			good.Add("content", content(s, r))
		}
		if r.status == 201 && r.headers != nil {
			responses.Add("200", good)
		}
		responses.Add(strconv.Itoa(r.status), good)
		status, names := 0, []string{}
		tell := func() {
			if status != 0 {
				response := schematest.Mapping{{"description", strings.Join(names, ", ")}}
				if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
					response.Add("headers", schematest.Mapping{{"Retry-After", schematest.Mapping{{"description", "When the same may succeed, in seconds."}, {"schema", schematest.Number}}}})
				}
				response.Add("content", schematest.Mapping{{"application/problem+json", schematest.Mapping{{"schema", problem}}}})
				responses.Add(strconv.Itoa(status), response)
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
		operation.Add("responses", responses)
		if byPath[r.path] == nil {
			byPath[r.path] = &schematest.Mapping{}
			order = append(order, r.path)
		}
		byPath[r.path].Add(strings.ToLower(r.method), operation)
	}
	for _, path := range order {
		paths.Add(path, *byPath[path])
	}
	return schematest.Mapping{
		{"openapi", "3.1.0"},
		{"info", schematest.Mapping{
			{"title", "Antchat: the HTTP API for back ends"}, {"version", "1.0.0"},
			{"description", "Keys and their scopes: docs/http-api.md. Refusals are problem documents (RFC 9457) with a code of a closed list.\n"},
			{"license", schematest.Mapping{{"name", "MIT"}, {"identifier", "MIT"}}},
		}},
		{"servers", []schematest.Mapping{{{"url", Prefix}}}},
		{"security", []schematest.Mapping{{{"key", []string{}}}}},
		{"paths", paths},
		{"components", schematest.Mapping{
			{"securitySchemes", schematest.Mapping{{"key", schematest.Mapping{{"type", "http"}, {"scheme", "bearer"}, {"description", "An API key, or a token with the claim that api.claim names."}}}}},
			{"schemas", s.Named()},
		}},
	}
}

// The document says what the code does, and all of it.
func TestOpenAPI(t *testing.T) {
	doc := schematest.Hold(t, openAPIFile, "go test ./server/httpapi -run OpenAPI -update", openAPIDocument(), *update)
	// Every documented operation is served: with no key it asks for one, or
	// answers.
	f := newFixture(t, nil)
	for path, methods := range doc["paths"].(map[string]any) {
		path = strings.NewReplacer("{room}", "r", "{user}", "sub:u", "{seq}", "1").Replace(path)
		for method := range methods.(map[string]any) {
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
	for _, want := range []string{
		"{message: string, username?: string, id?: string} | {messages: [{message: string, username?: string, id?: string}, …]}",
		"code: string, retryAfter?: number", "{room: string, numUsers: number, users: [{username: string, user: string}, …], next?: string}", "error?: problem}",
	} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %s", want)
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
