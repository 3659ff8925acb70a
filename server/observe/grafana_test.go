package observe

import (
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

const grafana = "../../deploy/grafana/"

// series is which metrics there are, each with the labels that its series have.
func series(t *testing.T) map[string][]string {
	t.Helper()
	e := newEverything(t)
	all := map[string][]string{"up": nil}
	for _, m := range []*Metrics{e.Metrics, e.fleet} {
		families, err := m.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			var names []string
			for _, s := range f.GetMetric() {
				for _, l := range s.GetLabel() {
					names = append(names, l.GetName())
				}
			}
			for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
				if suffix == "" || f.GetMetric()[0].GetHistogram() != nil || f.GetMetric()[0].GetSummary() != nil {
					all[f.GetName()+suffix] = append(names, "le")
				}
			}
		}
	}
	return all
}

// checkQuery parses an expression as Prometheus does, and looks for each metric,
// label and value that it names among those that there are.
func checkQuery(t *testing.T, where, query string, have map[string][]string) {
	t.Helper()
	// Grafana puts a duration there.
	query = strings.ReplaceAll(query, "$__rate_interval", "5m")
	expr, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v: %s", where, err, query)
		return
	}
	named := 0
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			named++
			names, ok := have[n.Name]
			if !ok {
				t.Errorf("%s: there is no metric %s", where, n.Name)
			}
			for _, m := range n.LabelMatchers {
				if !slices.Contains([]string{model.MetricNameLabel, "job", "instance"}, m.Name) && !slices.Contains(names, m.Name) {
					t.Errorf("%s: %s has no label %s", where, n.Name, m.Name)
				}
			}
		case *parser.AggregateExpr:
			for _, label := range n.Grouping {
				found := label == "job" || label == "instance"
				parser.Inspect(n.Expr, func(n parser.Node, _ []parser.Node) error {
					if v, ok := n.(*parser.VectorSelector); ok {
						found = found || slices.Contains(have[v.Name], label)
					}
					return nil
				})
				if !found {
					t.Errorf("%s: nothing in %s has the label %s", where, n, label)
				}
			}
		}
		return nil
	})
	if named == 0 && query != "vector(0)" {
		t.Errorf("%s: %s names no metric", where, query)
	}
}

// loads says what Grafana's types do not take, "" when they take everything. (They
// return an empty list of errors as an error.)
func loads(raw []byte) string {
	plugins.RegisterDefaultPlugins()
	var board dashboard.Dashboard //nolint:staticcheck // the newer form is not what Grafana 10 and 11 load
	if err := board.UnmarshalJSONStrict(raw); err != nil && err.Error() != "" {
		return err.Error()
	}
	if err := board.Validate(); err != nil {
		return err.Error()
	}
	return ""
}

// TestDashboard: Grafana's own types take the dashboard without a field left over,
// and each query is about metrics that there are.
func TestDashboard(t *testing.T) {
	raw, err := os.ReadFile(grafana + "dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	if complaint := loads(raw); complaint != "" {
		t.Errorf("Grafana would not load it as it is: %s", complaint)
	}
	for old, wrong := range map[string]string{
		`"lineWidth"`: `"lineWidht"`, `"gridPos"`: `"gridpos"`, `"type": "timeseries"`: `"type": 7`, `"legendFormat"`: `"legend"`, `"includeAll"`: `"includeall"`,
	} {
		if !strings.Contains(string(raw), old) || loads([]byte(strings.Replace(string(raw), old, wrong, 1))) == "" {
			t.Errorf("%s instead of %s is not noticed", wrong, old)
		}
	}
	// The queries themselves: Grafana's types keep them as its plugin's.
	var plain struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			GridPos struct{ X, Y, W, H int }
			Targets []struct{ Expr string }
		}
		Templating struct{ List []struct{ Name string } }
	}
	if err := json.Unmarshal(raw, &plain); err != nil {
		t.Fatal(err)
	}
	have := series(t)
	queries, ids := 0, map[int]bool{}
	for i, p := range plain.Panels {
		if ids[p.ID] {
			t.Errorf("%s: two panels have the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for _, o := range plain.Panels[:i] {
			if g, h := p.GridPos, o.GridPos; g.X < h.X+h.W && h.X < g.X+g.W && g.Y < h.Y+h.H && h.Y < g.Y+g.H {
				t.Errorf("%s lies upon %s", p.Title, o.Title)
			}
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s has no query", p.Title)
		}
		for _, q := range p.Targets {
			queries++
			checkQuery(t, p.Title, q.Expr, have)
			for _, v := range regexp.MustCompile(`\$(\w+)`).FindAllStringSubmatch(q.Expr, -1) {
				if v[1] != "__rate_interval" && !slices.ContainsFunc(plain.Templating.List, func(l struct{ Name string }) bool { return l.Name == v[1] }) {
					t.Errorf("%s: no variable %s", p.Title, v[0])
				}
			}
		}
	}
	if queries < 50 {
		t.Errorf("only %d queries", queries)
	}
}

// TestAlerts: each rule is about metrics that there are, has what an operator
// needs, a test of its own, and a row in docs/operations.md; promtool passes all.
func TestAlerts(t *testing.T) {
	raw, err := os.ReadFile(grafana + "alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr         string
				Labels, Annotations map[string]string
			}
		}
	}
	tests, err := os.ReadFile(grafana + "alerts_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &rules); err != nil {
		t.Fatal(err)
	}
	have := series(t)
	n := 0
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			n++
			checkQuery(t, r.Alert, r.Expr, have)
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" || !slices.Contains([]string{"page", "ticket"}, r.Labels["severity"]) {
				t.Errorf("%s lacks a summary, a description or a severity", r.Alert)
			}
			if !strings.Contains(string(tests), "alertname: "+r.Alert+"\n") {
				t.Errorf("%s has no test", r.Alert)
			}
			if !regexp.MustCompile("(?m)^\\| `" + r.Alert + "` ").Match(page) {
				t.Errorf("docs/operations.md has no row for %s", r.Alert)
			}
		}
	}
	if n < 10 {
		t.Errorf("only %d rules", n)
	}
	promtool := cmp.Or(os.Getenv("ANTCHAT_TEST_PROMTOOL"), "promtool")
	for _, args := range [][]string{{"check", "rules", "alerts.yaml"}, {"test", "rules", "alerts_test.yaml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = grafana
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s (Debian: apt-get install prometheus, or name it in ANTCHAT_TEST_PROMTOOL): %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
