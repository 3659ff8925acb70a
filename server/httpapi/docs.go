package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"reflect"
	"strings"

	"github.com/antchat/antchat/server/chat"
)

// style is the page's, which its policy names by hash: nothing else may run or load.
const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
code { overflow-wrap: anywhere; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; }
h2 { margin-top: 2.5rem; }
h3 { margin: 2rem 0 .25rem; font-size: 1rem; padding-top: .75rem; border-top: 1px solid var(--line); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
td:first-child { width: 9rem; }
tr:last-child td { border-bottom: 0; }
nav ul { columns: 16rem; list-style: none; padding: 0; }
nav li { break-inside: avoid; }
.scope { font-weight: normal; background: var(--soft); border-radius: .25rem; padding: .1rem .4rem; white-space: nowrap; }
p { margin: .25rem 0 .5rem; }
`

var pagePolicy = func() string {
	sum := sha256.Sum256([]byte(style))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

var page = template.Must(template.New("docs").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Antchat: the HTTP API</title>
<style>{{.Style}}</style>
<h1>Antchat: the HTTP API</h1>
<p>For back ends. <a href="{{.Prefix}}/openapi.yaml">openapi.yaml</a> has every field.</p>
<pre tabindex="0">curl "$URL"{{.Prefix}}/rooms/lobby/messages -H "Authorization: Bearer $KEY" \
  -H "Content-Type: application/json" -H "Idempotency-Key: job-42" \
  -d '{"message": "The report is ready"}'</pre>
<nav aria-label="Operations"><ul>{{range .Routes}}
<li><a href="#{{.Operation}}">{{.Summary}}</a>{{end}}
<li><a href="#refusals">Refusals</a>
</ul></nav>
<h2>Operations</h2>
<p>In a body and an answer <code>?</code> marks what may be missing, and <code>|</code> is or.</p>
{{range .Routes}}<h3 id="{{.Operation}}"><code>{{.Method}} {{$.Prefix}}{{.Path}}</code>{{if .Scope}} <span class="scope">scope {{.Scope}}</span>{{end}}</h3>
<p>{{.Summary}}. {{.About}}</p>
<table>{{range .Parameters}}
<tr><td><code>{{.Name}}</code><td>{{.About}}{{end}}{{if .Body}}
<tr><td>Body<td><code>{{.Body}}</code>{{end}}
<tr><td>{{.Status}}<td><code>{{.Answer}}</code>
<tr><td>Refusals<td>{{range .Codes}}<a href="#{{.}}"><code>{{.}}</code></a> {{end}}
</table>
{{end}}<h2 id="refusals">Refusals</h2>
<p>Problem documents (RFC 9457) with one of these codes: <code>{{.Problem}}</code>. A <code>Retry-After</code> says when the same may succeed.</p>
<table><thead><tr><th>Code<th>Status<th>Meaning<tbody>{{range .Codes}}
<tr id="{{.Code}}"><td><code>{{.Code}}</code><td>{{.Status}}<td>{{.Title}}{{end}}
</table>
</html>
`))

// docsPage renders the page, once.
func docsPage() []byte {
	type shownParameter struct{ Name, About string }
	type shown struct {
		Operation, Method, Path, Scope, Summary, About string
		Parameters                                     []shownParameter
		Body, Answer                                   string
		Status                                         int
		Codes                                          []Code
	}
	var list []shown
	for _, r := range routes {
		one := shown{
			Operation: r.operation, Method: r.method, Path: r.path, Scope: r.scope.String(), Summary: r.summary, About: r.about,
			Body: forms(r.body), Answer: r.answerForm(), Status: r.status, Codes: r.codesOf(),
		}
		for _, name := range r.variables() {
			one.Parameters = append(one.Parameters, shownParameter{name, variables[name]})
		}
		for _, p := range append(r.query, r.headers...) {
			one.Parameters = append(one.Parameters, shownParameter{p.name, p.about})
		}
		list = append(list, one)
	}
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{"Prefix": Prefix, "Style": template.CSS(style), "Routes": list, "Codes": Codes, "Problem": object(reflect.TypeFor[Problem]())})
	if err != nil {
		panic(err) // of constants
	}
	return b.Bytes()
}

// answerForm says what a good answer of the route has in it.
func (r *route) answerForm() string {
	switch answer := r.answer.(type) {
	case nil:
		return "nothing"
	case document:
		return r.media
	case oneOf:
		return forms(answer)
	case ExportLine:
		return "lines of " + form(reflect.TypeOf(answer))
	}
	return form(reflect.TypeOf(r.answer))
}

// forms are those of several values, one of which it is.
func forms(list []any) string {
	var all []string
	for _, v := range list {
		all = append(all, form(reflect.TypeOf(v)))
	}
	return strings.Join(all, " | ")
}

// form is how the JSON of a type looks.
func form(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[messages]():
		return form(reflect.TypeFor[[]chat.Message]())
	case t == reflect.TypeFor[Problem]():
		return "problem" // the refusals' own section has it
	}
	switch t.Kind() {
	case reflect.Pointer:
		return form(t.Elem())
	case reflect.Slice:
		return "[" + form(t.Elem()) + ", …]"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Struct:
		return object(t)
	}
	return "number"
}

func object(t reflect.Type) string {
	var fields []string
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if options == "omitempty" {
			name += "?"
		}
		fields = append(fields, name+": "+form(t.Field(i).Type))
	}
	return "{" + strings.Join(fields, ", ") + "}"
}

// variables are the names of those in the route's path.
func (r *route) variables() (names []string) {
	for part := range strings.SplitSeq(r.path, "/") {
		if name, ok := strings.CutPrefix(part, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

func docs(c *call) error {
	h := c.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	_, _ = c.w.Write(c.api.page) // the client may be gone
	return nil
}

func openAPI(c *call) error {
	c.w.Header().Set("Content-Type", "application/yaml")
	_, _ = c.w.Write(c.api.options.OpenAPI) // the client may be gone
	return nil
}
