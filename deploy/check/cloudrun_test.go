package check

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// runService is a service of serving.knative.dev/v1, with what Cloud Run takes
// of it.
type runService struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name        string            `json:"name"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Template struct {
			Metadata struct {
				Annotations map[string]string `json:"annotations"`
			} `json:"metadata"`
			Spec struct {
				ContainerConcurrency int                `json:"containerConcurrency"`
				TimeoutSeconds       int                `json:"timeoutSeconds"`
				ServiceAccountName   string             `json:"serviceAccountName"`
				Containers           []corev1.Container `json:"containers"`
			} `json:"spec"`
		} `json:"template"`
		Traffic []struct {
			LatestRevision bool `json:"latestRevision"`
			Percent        int  `json:"percent"`
		} `json:"traffic"`
	} `json:"spec"`
}

// annotations are those that Cloud Run documents and that we use: it ignores
// what it does not know.
var annotations = []string{
	"autoscaling.knative.dev/minScale", "autoscaling.knative.dev/maxScale",
	"run.googleapis.com/ingress", "run.googleapis.com/cpu-throttling", "run.googleapis.com/sessionAffinity",
	"run.googleapis.com/execution-environment", "run.googleapis.com/startup-cpu-boost",
	"run.googleapis.com/network-interfaces", "run.googleapis.com/vpc-access-egress", "run.googleapis.com/vpc-access-connector",
}

// decodeService reads what was filled in.
func decodeService(t *testing.T, text []byte) *runService {
	t.Helper()
	found := map[string]*runService{}
	if err := strict(found, text, ""); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	s := found[""]
	if s.APIVersion != "serving.knative.dev/v1" || s.Kind != "Service" || bytes.Contains(text, []byte("__")) {
		t.Errorf("%s %s, or not all filled in", s.APIVersion, s.Kind)
	}
	for _, m := range []map[string]string{s.Metadata.Annotations, s.Spec.Template.Metadata.Annotations} {
		for k := range m {
			if !slices.Contains(annotations, k) {
				t.Errorf("annotation %s", k)
			}
		}
	}
	return s
}

// gcloud is one that records: what it is asked to make is there from then on.
const gcloud = `#!/bin/bash
# FAKE holds calls, what is there, and what was given on standard input.
{ printf '%q ' "$@"; echo; } >>"$FAKE/calls"
args=() named=()
for a in "$@"; do case $a in --project) skip=1 ;; --*) ;; *) [ -n "${skip:-}" ] && skip= || args+=("$a") ;; esac; done
case "${args[*]}" in
  *' create '*) what=${args[*]/create/}; echo >"$FAKE/there/$(echo $what | tr ' @/' ___)" ;;
  'redis instances describe '*) [ -e "$FAKE/there/redis_instances_${args[3]}" ] || exit 1; printf '10.0.0.3\t6379\n' ;;
  'redis instances get-auth-string '*) echo hunter2 ;;
  'run services describe '*) echo https://chat.example ;;
  *' describe '*) what=${args[*]/describe/}; what=$(echo $what | tr ' @/' ___); [ -e "$FAKE/there/${what%%_my-project.iam*}" ] || exit 1 ;;
  'secrets versions add '*) cat >"$FAKE/secret" ;;
  'secrets versions access '*) cat "$FAKE/secret" 2>/dev/null || exit 1 ;;
  'run services replace '*) cp "${args[3]}" "$FAKE/service.yaml" ;;
esac
`

// script runs deploy.sh with the gcloud that records.
type script struct {
	t   *testing.T
	dir string
}

func newScript(t *testing.T) *script {
	dir := t.TempDir()
	for name, text := range map[string]string{"bin/gcloud": gcloud, "calls": ""} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &script{t, dir}
}

func (s *script) run(args ...string) (code int, stdout, stderr string, calls []string) {
	s.t.Helper()
	if err := os.Truncate(filepath.Join(s.dir, "calls"), 0); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.CommandContext(s.t.Context(), filepath.Join(root, "deploy/cloudrun/deploy.sh"), args...)
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(s.dir, "bin")+":"+os.Getenv("PATH"), "FAKE="+s.dir)
	cmd.WaitDelay = time.Minute
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(s.dir, "calls"))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(log)) {
		calls = append(calls, "gcloud "+strings.TrimSpace(line))
	}
	all := out.String() + complaint.String() + string(log)
	if strings.Contains(all, "hunter2") {
		s.t.Errorf("shows the password: %s", all)
	}
	return cmd.ProcessState.ExitCode(), out.String(), complaint.String(), calls
}

// changes are the calls that are not questions.
func changes(calls []string) []string {
	return slices.DeleteFunc(slices.Clone(calls), func(c string) bool {
		return strings.Contains(c, " describe ") || strings.Contains(c, " get-auth-string ") || strings.Contains(c, " versions access ")
	})
}

func TestCloudRunScript(t *testing.T) {
	usual := []string{"--project", "my-project", "--region", "europe-west1", "--image", "europe-west1-docker.pkg.dev/my-project/antchat/antchat:v1"}
	for _, tt := range []struct {
		name  string
		args  []string
		makes []string // in this order
	}{
		{"direct", nil, []string{"services enable", "networks create", "subnets create", "redis instances create", "service-accounts create", "secrets create", "add-iam-policy-binding", "versions add", "services replace", "add-iam-policy-binding"}},
		{"connector, private", []string{"--connector", "--private", "--tier", "basic"}, []string{"services enable", "networks create", "connectors create", "redis instances create", "service-accounts create", "secrets create", "add-iam-policy-binding", "versions add", "services replace"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScript(t)
			args := append(slices.Clone(usual), tt.args...)

			code, dry, complaint, calls := s.run(append(slices.Clone(args), "--dry-run")...)
			if code != 0 || len(calls) > 0 || complaint != "" {
				t.Fatalf("dry run: exit code %d, calls %v, %s", code, calls, complaint)
			}
			code, out, complaint, calls := s.run(args...)
			if code != 0 || !strings.HasSuffix(out, "https://chat.example\n") {
				t.Fatalf("exit code %d: %s%s", code, out, complaint)
			}
			did := changes(calls)
			if len(did) != len(tt.makes) {
				t.Errorf("%d changes, want %d:\n%s", len(did), len(tt.makes), strings.Join(did, "\n"))
			}
			for i, want := range tt.makes[:min(len(tt.makes), len(did))] {
				if !strings.Contains(did[i], " "+want+" ") {
					t.Errorf("change %d is %s, want %s", i, did[i], want)
				}
				// The dry run has said it, word for word but for the file.
				said, _, _ := strings.Cut(did[i], " replace ")
				if !strings.Contains(dry, said) {
					t.Errorf("the dry run does not print %s", did[i])
				}
			}
			url, err := os.ReadFile(filepath.Join(s.dir, "secret"))
			if err != nil || string(url) != "redis://:hunter2@10.0.0.3:6379" {
				t.Errorf("the secret is %q, %v", url, err)
			}
			text, err := os.ReadFile(filepath.Join(s.dir, "service.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			checkService(t, decodeService(t, text), tt.name != "direct")

			// Again: nothing is made twice, and no second version of the secret.
			code, _, complaint, calls = s.run(args...)
			again := []string{"services enable", "add-iam-policy-binding", "services replace"}
			if tt.name == "direct" {
				again = append(again, "add-iam-policy-binding")
			}
			did = changes(calls)
			if code != 0 || len(did) != len(again) {
				t.Fatalf("second run: exit code %d: %s\n%s", code, complaint, strings.Join(did, "\n"))
			}
			for i, want := range again {
				if !strings.Contains(did[i], " "+want+" ") {
					t.Errorf("second run: change %d is %s, want %s", i, did[i], want)
				}
			}
		})
	}
}

// checkService holds the values that docs/operations.md gives reasons for.
func checkService(t *testing.T, s *runService, connector bool) {
	t.Helper()
	spec := s.Spec.Template.Spec
	is := s.Spec.Template.Metadata.Annotations
	if spec.TimeoutSeconds != 3600 || spec.ContainerConcurrency != 1000 || spec.ServiceAccountName != "antchat@my-project.iam.gserviceaccount.com" {
		t.Errorf("%+v", spec)
	}
	if is["run.googleapis.com/cpu-throttling"] != "false" || is["run.googleapis.com/sessionAffinity"] != "false" || is["autoscaling.knative.dev/minScale"] != "2" || is["autoscaling.knative.dev/maxScale"] != "100" {
		t.Errorf("%v", is)
	}
	_, direct := is["run.googleapis.com/network-interfaces"]
	if through := is["run.googleapis.com/vpc-access-connector"]; direct == connector || connector && through != "projects/my-project/locations/europe-west1/connectors/antchat" {
		t.Errorf("direct %v, connector %q", direct, through)
	}
	container := spec.Containers[0]
	if container.Ports[0].Name != "http1" {
		t.Error("HTTP/2 from end to end has no WebSockets")
	}
	port := container.Ports[0].ContainerPort
	// What Cloud Run itself sets.
	env := []string{"PORT=" + strconv.Itoa(int(port)), "K_SERVICE=antchat", "K_REVISION=antchat-1", "K_CONFIGURATION=antchat"}
	for _, e := range container.Env {
		switch {
		case e.ValueFrom == nil:
			env = append(env, e.Name+"="+e.Value)
		case e.ValueFrom.SecretKeyRef.Name == "antchat-redis-url":
			env = append(env, e.Name+"=redis://10.0.0.3:6379")
		}
	}
	in := settings(t, env...)
	if in["http.port"] != strconv.Itoa(int(port)) || in["http.trusted_proxies"] != "1" || duration(t, in["http.stop_timeout"]) > 9*time.Second {
		t.Errorf("port %s, proxies %s, stop %s", in["http.port"], in["http.trusted_proxies"], in["http.stop_timeout"])
	}
	if want := map[bool]string{true: "0", false: "1"}[connector]; in["log.ack_replicas"] != want {
		t.Errorf("log.ack_replicas %s", in["log.ack_replicas"])
	}
	if container.StartupProbe.HTTPGet.Path != "/readyz" || container.LivenessProbe.HTTPGet.Path != "/healthz" || container.StartupProbe.HTTPGet.Port.IntVal != port || container.LivenessProbe.HTTPGet.Port.IntVal != port {
		t.Error("the probes ask elsewhere")
	}
	// Cloud Run gives a start at most 240 s.
	if p := container.StartupProbe; p.PeriodSeconds*p.FailureThreshold > 240 || p.PeriodSeconds*p.FailureThreshold < 60 {
		t.Errorf("%d s to start", p.PeriodSeconds*p.FailureThreshold)
	}
}

func TestCloudRunScriptRefuses(t *testing.T) {
	s := newScript(t)
	good := map[string]string{"--project": "my-project", "--region": "europe-west1", "--image": "a/b:c"}
	for _, tt := range []struct{ flag, value string }{
		{"--project", ""}, {"--project", "x; rm -rf /"}, {"--region", "europe"}, {"--image", "a b"}, {"--image", "a|b"}, {"--name", "A"}, {"--name", "a-name-that-is-much-too-long-for-it"},
		{"--max", "0"}, {"--max", "1001"}, {"--max", "x"}, {"--min", "101"}, {"--concurrency", "1"}, {"--concurrency", "1001"}, {"--tier", "gold"}, {"--memory", "0"},
		{"--range", "everything"}, {"--connector-range", "10.0.0.0/24"}, {"--frobnicate", "x"},
	} {
		given := maps.Clone(good)
		given[tt.flag] = tt.value
		var args []string
		for _, k := range sorted(given) {
			args = append(args, k, given[k])
		}
		code, out, complaint, calls := s.run(args...)
		if code != 2 || len(calls) > 0 || out != "" || strings.Count(complaint, "\n") != 1 || !strings.Contains(complaint, tt.flag) {
			t.Errorf("%s %q: exit code %d, %v, %s%s", tt.flag, tt.value, code, calls, out, complaint)
		}
	}
}

// TestCloudRunScriptEnds: at the first command that fails, nothing more is done.
func TestCloudRunScriptEnds(t *testing.T) {
	s := newScript(t)
	broken := strings.Replace(gcloud, "case \"${args[*]}\" in\n", "case \"${args[*]}\" in\n  'redis instances create '*) echo no quota >&2; exit 1 ;;\n", 1)
	if err := os.WriteFile(filepath.Join(s.dir, "bin/gcloud"), []byte(broken), 0o755); err != nil {
		t.Fatal(err)
	}
	code, _, complaint, calls := s.run("--project", "my-project", "--region", "europe-west1", "--image", "a/b:c")
	if code == 0 || !strings.Contains(complaint, "no quota") || !strings.Contains(calls[len(calls)-1], "redis instances create") {
		t.Errorf("exit code %d, %s, %s", code, complaint, strings.Join(calls, "\n"))
	}
}

// terraformModule is all .tf files of deploy/cloudrun/terraform.
type terraformModule struct {
	variables, locals, resources map[string]bool // resources as "type.name"
	used                         map[string]bool
	service                      *hclsyntax.Body
}

func parseTerraform(t *testing.T, change func(string) string) (*terraformModule, error) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "deploy/cloudrun/terraform/*.tf"))
	if err != nil || len(names) != 4 {
		t.Fatal(names, err)
	}
	m := &terraformModule{map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, nil}
	var bodies []*hclsyntax.Body
	parser := hclparse.NewParser()
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, diags := parser.ParseHCL([]byte(change(string(text))), name)
		if diags.HasErrors() {
			return nil, diags
		}
		body := file.Body.(*hclsyntax.Body)
		bodies = append(bodies, body)
		for _, b := range body.Blocks {
			switch b.Type {
			case "variable":
				m.variables[b.Labels[0]] = true
			case "locals":
				for k := range b.Body.Attributes {
					m.locals[k] = true
				}
			case "resource":
				m.resources[b.Labels[0]+"."+b.Labels[1]] = true
				if b.Labels[0] == "google_cloud_run_v2_service" {
					m.service = b.Body
				}
			case "terraform", "provider", "output":
			default:
				return nil, fmt.Errorf("block %s", b.Type)
			}
		}
	}
	for _, body := range bodies {
		if err := m.resolve(body); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// resolve finds what each name in an expression stands for.
func (m *terraformModule) resolve(body *hclsyntax.Body) (wrong error) {
	diags := hclsyntax.VisitAll(body, func(n hclsyntax.Node) (none hcl.Diagnostics) {
		e, ok := n.(*hclsyntax.ScopeTraversalExpr)
		if !ok {
			return none
		}
		var names []string
		for _, part := range e.Traversal {
			switch p := part.(type) {
			case hcl.TraverseRoot:
				names = append(names, p.Name)
			case hcl.TraverseAttr:
				names = append(names, p.Name)
			}
		}
		known := false
		switch first := names[0]; {
		case first == "var" && len(names) > 1:
			known = m.variables[names[1]]
			m.used[names[1]] = true
		case first == "local" && len(names) > 1:
			known = m.locals[names[1]]
		case strings.HasPrefix(first, "google_") && len(names) > 1:
			known = m.resources[first+"."+names[1]]
		case first == "each":
			known = true
		// Words of their own in a variable's type.
		case first == "string" || first == "number" || first == "bool":
			known = len(names) == 1
		}
		if !known {
			wrong = fmt.Errorf("%s: %s is not declared", e.Range(), strings.Join(names, "."))
		}
		return none
	})
	if diags.HasErrors() {
		return diags
	}
	return wrong
}

func TestTerraform(t *testing.T) {
	m, err := parseTerraform(t, func(s string) string { return s })
	if err != nil {
		t.Fatal(err)
	}
	for v := range m.variables {
		if !m.used[v] {
			t.Errorf("variable %s is not used", v)
		}
	}
	for from, to := range map[string]string{"var.image": "var.imgae", "google_redis_instance.chat.host": "google_redis_instance.caht.host", "local.apis": "local.apsi", "auto {}": "auto {"} {
		if _, err := parseTerraform(t, func(s string) string { return strings.ReplaceAll(s, from, to) }); err == nil {
			t.Errorf("%s passes", to)
		}
	}
}

// TestTerraformIsTheScript: both ways to deploy give the container the same.
func TestTerraformIsTheScript(t *testing.T) {
	m, err := parseTerraform(t, func(s string) string { return s })
	if err != nil {
		t.Fatal(err)
	}
	source := read(t, "deploy/cloudrun/terraform/main.tf")
	flat := map[string]string{}
	flatten(m.service, "", source, flat)

	s := newScript(t)
	if code, out, complaint, _ := s.run("--project", "my-project", "--region", "europe-west1", "--image", "a/b:c"); code != 0 {
		t.Fatal(out, complaint)
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "service.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	service := decodeService(t, text)
	c := service.Spec.Template.Spec.Containers[0]
	var names []string
	for _, e := range c.Env {
		names = append(names, e.Name)
		// The replicas follow the tier there.
		if want := strconv.Quote(e.Value); e.ValueFrom == nil && e.Name != "ANTCHAT_LOG_ACK_REPLICAS" && flat["template.containers.env "+e.Name+".value"] != want {
			t.Errorf("%s is %s in main.tf, %s in service.yaml", e.Name, flat["template.containers.env "+e.Name+".value"], want)
		}
	}
	for k := range flat {
		if name, ok := strings.CutPrefix(k, "template.containers.env "); ok && strings.HasSuffix(name, ".name") && !slices.Contains(names, strings.TrimSuffix(name, ".name")) {
			t.Errorf("only main.tf has %s", name)
		}
	}
	for key, want := range map[string]string{
		"template.timeout":                                                     fmt.Sprintf(`"%ds"`, service.Spec.Template.Spec.TimeoutSeconds),
		"template.containers.resources.limits":                                 fmt.Sprintf("{\n          cpu    = %q\n          memory = %q\n        }", c.Resources.Limits.Cpu(), c.Resources.Limits.Memory()),
		"template.containers.resources.cpu_idle":                               "false",
		"template.session_affinity":                                            "false",
		"template.containers.ports.container_port":                             strconv.Itoa(int(c.Ports[0].ContainerPort)),
		"template.containers.startup_probe.period_seconds":                     strconv.Itoa(int(c.StartupProbe.PeriodSeconds)),
		"template.containers.startup_probe.timeout_seconds":                    strconv.Itoa(int(c.StartupProbe.TimeoutSeconds)),
		"template.containers.startup_probe.failure_threshold":                  strconv.Itoa(int(c.StartupProbe.FailureThreshold)),
		"template.containers.startup_probe.http_get.path":                      strconv.Quote(c.StartupProbe.HTTPGet.Path),
		"template.containers.liveness_probe.period_seconds":                    strconv.Itoa(int(c.LivenessProbe.PeriodSeconds)),
		"template.containers.liveness_probe.failure_threshold":                 strconv.Itoa(int(c.LivenessProbe.FailureThreshold)),
		"template.containers.liveness_probe.http_get.path":                     strconv.Quote(c.LivenessProbe.HTTPGet.Path),
		"template.execution_environment":                                       `"EXECUTION_ENVIRONMENT_GEN2"`,
		"template.vpc_access.egress":                                           `"PRIVATE_RANGES_ONLY"`,
		"template.containers.env REDIS_URL.value_source.secret_key_ref.secret": "google_secret_manager_secret.redis_url.secret_id",
	} {
		if flat[key] != want {
			t.Errorf("%s is %q in main.tf, want %q", key, flat[key], want)
		}
	}
}

// flatten gives each attribute its path; a block env has its name in it.
func flatten(body *hclsyntax.Body, path, source string, into map[string]string) {
	for name, a := range body.Attributes {
		r := a.Expr.Range()
		into[path+name] = source[r.Start.Byte:r.End.Byte]
	}
	for _, b := range body.Blocks {
		name := b.Type
		if a := b.Body.Attributes["name"]; a != nil && b.Type == "env" {
			r := a.Expr.Range()
			name += " " + strings.Trim(source[r.Start.Byte:r.End.Byte], `"`)
		}
		flatten(b.Body, path+name+".", source, into)
	}
}
