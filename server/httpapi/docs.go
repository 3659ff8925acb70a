package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"strings"
)

// style is the page's, which its policy names by hash: nothing else may run or load.
const style = `
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 14px/1.5 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem; overflow-x: auto; }
h2 { margin-top: 2.5rem; }
h3 { margin: 2rem 0 .25rem; font-size: 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line); }
.scope { font-weight: normal; }
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
<pre>curl {{.Prefix}}/rooms/lobby/messages -H "Authorization: Bearer $KEY" \
  -H "Content-Type: application/json" -H "Idempotency-Key: job-42" \
  -d '{"message": "The report is ready"}'</pre>
<h2>Operations</h2>
{{range .Routes}}<h3 id="{{.Operation}}"><code>{{.Method}} {{$.Prefix}}{{.Path}}</code>{{if .Scope}} <span class="scope">scope {{.Scope}}</span>{{end}}</h3>
<p>{{.Summary}}. {{.About}}</p>
{{if .Parameters}}<table><thead><tr><th>Parameter<th>Meaning<tbody>{{range .Parameters}}
<tr><td><code>{{.Name}}</code><td>{{.About}}{{end}}
</table>
{{end}}{{end}}<h2>Refusals</h2>
<p>Problem documents (RFC 9457) with one of these codes. A <code>Retry-After</code> says when the same may succeed.</p>
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
	}
	var list []shown
	for _, r := range routes {
		one := shown{Operation: r.operation, Method: r.method, Path: r.path, Scope: r.scope.String(), Summary: r.summary, About: r.about}
		for _, name := range r.variables() {
			one.Parameters = append(one.Parameters, shownParameter{name, variables[name]})
		}
		for _, p := range append(r.query, r.headers...) {
			one.Parameters = append(one.Parameters, shownParameter{p.name, p.about})
		}
		list = append(list, one)
	}
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{"Prefix": Prefix, "Style": template.CSS(style), "Routes": list, "Codes": Codes})
	if err != nil {
		panic(err) // of constants
	}
	return b.Bytes()
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
