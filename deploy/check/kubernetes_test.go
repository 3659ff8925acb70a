package check

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"sigs.k8s.io/json"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// cluster is what a kustomization makes, by kind and name.
type cluster struct {
	namespaces   map[string]*corev1.Namespace
	accounts     map[string]*corev1.ServiceAccount
	services     map[string]*corev1.Service
	configs      map[string]*corev1.ConfigMap
	secrets      map[string]*corev1.Secret
	deployments  map[string]*appsv1.Deployment
	statefulSets map[string]*appsv1.StatefulSet
	hpas         map[string]*autoscalingv2.HorizontalPodAutoscaler
	budgets      map[string]*policyv1.PodDisruptionBudget
	policies     map[string]*networkingv1.NetworkPolicy
}

// strict decodes one object into its own type as the API server does: an
// unknown field, one in the wrong case, and a field twice, is an error.
func strict[T any](into map[string]*T, text []byte, name string) error {
	v := new(T)
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return err
	}
	unknown, err := json.UnmarshalStrict(asJSON, v)
	if err := errors.Join(append(unknown, err)...); err != nil {
		return err
	}
	into[name] = v
	return nil
}

// render does what kubectl apply -k does before it asks the cluster.
func render(t *testing.T, dir string) *cluster {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy/kubernetes", dir))
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{
		map[string]*corev1.Namespace{}, map[string]*corev1.ServiceAccount{}, map[string]*corev1.Service{}, map[string]*corev1.ConfigMap{},
		map[string]*corev1.Secret{}, map[string]*appsv1.Deployment{}, map[string]*appsv1.StatefulSet{},
		map[string]*autoscalingv2.HorizontalPodAutoscaler{}, map[string]*policyv1.PodDisruptionBudget{}, map[string]*networkingv1.NetworkPolicy{},
	}
	for _, r := range resources.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		name := r.GetName()
		if r.GetKind() != "Namespace" && r.GetNamespace() != "antchat" {
			t.Errorf("%s %s is in namespace %q", r.GetKind(), name, r.GetNamespace())
		}
		switch gvk := r.GetGvk().ApiVersion() + " " + r.GetKind(); gvk {
		case "v1 Namespace":
			err = strict(c.namespaces, text, name)
		case "v1 ServiceAccount":
			err = strict(c.accounts, text, name)
		case "v1 Service":
			err = strict(c.services, text, name)
		case "v1 ConfigMap":
			err = strict(c.configs, text, name)
		case "v1 Secret":
			err = strict(c.secrets, text, name)
		case "apps/v1 Deployment":
			err = strict(c.deployments, text, name)
		case "apps/v1 StatefulSet":
			err = strict(c.statefulSets, text, name)
		case "autoscaling/v2 HorizontalPodAutoscaler":
			err = strict(c.hpas, text, name)
		case "policy/v1 PodDisruptionBudget":
			err = strict(c.budgets, text, name)
		case "networking.k8s.io/v1 NetworkPolicy":
			err = strict(c.policies, text, name)
		default:
			t.Errorf("no type for %s", gvk)
		}
		if err != nil {
			t.Errorf("%s %s: %v", r.GetKind(), name, err)
		}
	}
	return c
}

func TestKubernetes(t *testing.T) {
	for _, dir := range []string{"fleet", "with-redis"} {
		t.Run(dir, func(t *testing.T) {
			c := render(t, dir)
			d := c.deployments["antchat"]
			if d == nil {
				t.Fatal("no deployment")
			}
			c.pod(t, d.Spec.Template)
			c.disruption(t, d)
			c.scaling(t, d)
			if dir == "with-redis" {
				c.redis(t)
			}
		})
	}
}

func labelled(want, have map[string]string) bool {
	for k, v := range want {
		if have[k] != v {
			return false
		}
	}
	return len(want) > 0
}

// pod checks that what the pod names is there, and that the program takes its
// settings.
func (c *cluster) pod(t *testing.T, pod corev1.PodTemplateSpec) {
	t.Helper()
	if c.accounts[pod.Spec.ServiceAccountName] == nil {
		t.Errorf("no service account %q", pod.Spec.ServiceAccountName)
	}
	container := pod.Spec.Containers[0]
	ports := map[string]int32{}
	for _, p := range container.Ports {
		ports[p.Name] = p.ContainerPort
	}
	env := []string{"REDIS_URL=redis://10.0.0.1:6379"}
	for _, from := range container.EnvFrom {
		config := c.configs[from.ConfigMapRef.Name]
		if config == nil {
			t.Fatalf("no config map %q", from.ConfigMapRef.Name)
		}
		for k, v := range config.Data {
			env = append(env, k+"="+v)
		}
	}
	for _, e := range container.Env {
		if e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil {
			t.Errorf("%s is no secret", e.Name)
			continue
		}
		ref := e.ValueFrom.SecretKeyRef
		// That of the plain fleet is the operator's own.
		if s := c.secrets[ref.Name]; s == nil && ref.Name != "antchat-redis" || s != nil && len(s.Data[ref.Key]) == 0 {
			t.Errorf("no secret %q with %q", ref.Name, ref.Key)
		}
	}
	in := settings(t, env...)
	if ports["http"] != 3000 || in["http.port"] != "3000" {
		t.Errorf("ports %v, http.port %s", ports, in["http.port"])
	}
	if in["admin.listen"] != ":9464" || ports["admin"] != 9464 || pod.Annotations["prometheus.io/port"] != "9464" {
		t.Errorf("ports %v, admin.listen %s, scraped %q", ports, in["admin.listen"], pod.Annotations["prometheus.io/port"])
	}
	for name, probe := range map[string]*corev1.Probe{"startup": container.StartupProbe, "liveness": container.LivenessProbe, "readiness": container.ReadinessProbe} {
		want := "/healthz"
		if name == "readiness" {
			want = "/readyz"
		}
		if probe == nil || probe.HTTPGet == nil || ports[probe.HTTPGet.Port.StrVal] == 0 || probe.HTTPGet.Path != want {
			t.Errorf("the %s probe asks for %+v", name, probe)
		}
	}
	if window, stop := duration(t, in["http.drain_window"]), duration(t, in["http.stop_timeout"]); window >= stop {
		t.Errorf("closes are spread over %v of %v", window, stop)
	}
	grace := int64(duration(t, in["http.stop_timeout"]).Seconds()) + container.Lifecycle.PreStop.Sleep.Seconds
	if *pod.Spec.TerminationGracePeriodSeconds <= grace {
		t.Errorf("%d s to end, %d s are needed", *pod.Spec.TerminationGracePeriodSeconds, grace)
	}
	sc := container.SecurityContext
	if !*pod.Spec.SecurityContext.RunAsNonRoot || !*sc.ReadOnlyRootFilesystem || *sc.AllowPrivilegeEscalation || sc.Capabilities.Drop[0] != "ALL" {
		t.Errorf("%+v, %+v", pod.Spec.SecurityContext, sc)
	}
	for _, s := range pod.Spec.TopologySpreadConstraints {
		if !labelled(s.LabelSelector.MatchLabels, pod.Labels) {
			t.Errorf("spread over %s selects %v", s.TopologyKey, s.LabelSelector)
		}
	}
}

func (c *cluster) disruption(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	pod := d.Spec.Template.Labels
	ports := map[string]bool{}
	for _, p := range d.Spec.Template.Spec.Containers[0].Ports {
		ports[p.Name] = true
	}
	s := c.services["antchat"]
	if !labelled(d.Spec.Selector.MatchLabels, pod) || !labelled(s.Spec.Selector, pod) || !labelled(c.budgets["antchat"].Spec.Selector.MatchLabels, pod) {
		t.Errorf("pods have %v", pod)
	}
	if s.Spec.SessionAffinity != corev1.ServiceAffinityNone || !ports[s.Spec.Ports[0].TargetPort.StrVal] {
		t.Errorf("%+v", s.Spec)
	}
	policy := c.policies["antchat"]
	if !labelled(policy.Spec.PodSelector.MatchLabels, pod) {
		t.Errorf("the policy is for %v", policy.Spec.PodSelector)
	}
	for _, rule := range policy.Spec.Ingress {
		for _, p := range rule.Ports {
			if !ports[p.Port.StrVal] {
				t.Errorf("the policy lets in to port %v", p.Port)
			}
			if p.Port.StrVal == "admin" && len(rule.From) == 0 {
				t.Error("everybody may read the metrics")
			}
		}
	}
}

func (c *cluster) scaling(t *testing.T, d *appsv1.Deployment) {
	t.Helper()
	h := c.hpas["antchat"]
	if ref := h.Spec.ScaleTargetRef; ref.Kind != "Deployment" || ref.Name != d.Name || d.Spec.Replicas != nil {
		t.Errorf("scales %+v; replicas %v", ref, d.Spec.Replicas)
	}
	var config map[string]string
	for name, m := range c.configs {
		if strings.HasPrefix(name, "antchat") {
			config = m.Data
		}
	}
	for _, m := range h.Spec.Metrics {
		if m.Pods == nil {
			continue
		}
		// Both stand for the same load; one without the other would never scale.
		if want := config["ANTCHAT_ENGINE_MAX_SESSIONS"]; m.Pods.Target.AverageValue.Value()*10 != 7*parse(t, want) {
			t.Errorf("scales at %v of %s connections", m.Pods.Target.AverageValue, want)
		}
		adapter := read(t, "deploy/kubernetes/prometheus-adapter.yaml")
		if !strings.Contains(adapter, "'"+m.Pods.Metric.Name+"{") {
			t.Errorf("prometheus-adapter.yaml has no rule for %s", m.Pods.Metric.Name)
		}
		// The metric is one that the program has.
		name := strings.TrimPrefix(m.Pods.Metric.Name, "antchat_")
		if source := read(t, "server/observe/engineio.go"); !strings.Contains(source, `"`+name+`"`) {
			t.Errorf("the program has no metric %s", name)
		}
	}
	limit, inUse := d.Spec.Template.Spec.Containers[0].Resources.Limits.Memory().Value(), config["GOMEMLIMIT"]
	mib, ok := strings.CutSuffix(inUse, "MiB")
	if !ok || parse(t, mib)<<20 > limit*95/100 || parse(t, mib)<<20 < limit/2 {
		t.Errorf("GOMEMLIMIT %s with a limit of %d", inUse, limit)
	}
}

// redis checks the one that comes along.
func (c *cluster) redis(t *testing.T) {
	t.Helper()
	s := c.statefulSets["redis"]
	pod := s.Spec.Template
	if c.services[s.Spec.ServiceName] == nil || !labelled(s.Spec.Selector.MatchLabels, pod.Labels) || !labelled(c.policies["redis"].Spec.PodSelector.MatchLabels, pod.Labels) {
		t.Errorf("%+v", s.Spec)
	}
	if pod.Spec.Containers[0].VolumeMounts[0].Name != s.Spec.VolumeClaimTemplates[0].Name {
		t.Error("the volume is not mounted")
	}
	for name, secret := range c.secrets {
		if url := string(secret.Data["url"]); url != "redis://redis:6379" {
			t.Errorf("%s leads to %q", name, url)
		}
	}
	checkRedisArguments(t, pod.Spec.Containers[0].Args)
}

// TestTyposFail: what would be ignored in silence by a cluster is an error here.
func TestTyposFail(t *testing.T) {
	text := read(t, "deploy/kubernetes/fleet/deployment.yaml")
	if err := strict(map[string]*appsv1.Deployment{}, []byte(text), ""); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{
		"readinessProbe:": "readinesProbe:", "maxUnavailable: 0": "maxUnavailble: 0", "readOnlyRootFilesystem: true": "readOnlyRootFileSystem: true",
		"terminationGracePeriodSeconds: 30": "terminationGracePeriodSeconds: thirty",
	} {
		if err := strict(map[string]*appsv1.Deployment{}, []byte(strings.Replace(text, from, to, 1)), ""); err == nil {
			t.Errorf("%s passes", to)
		}
	}
}
