package check

import (
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// prices is server/plan/prices.yaml.
type prices struct {
	Date     string  `json:"date"`
	Hours    float64 `json:"hours_per_month"`
	CloudRun struct {
		VCPUSecond float64 `json:"vcpu_second"`
		GiBSecond  float64 `json:"gib_second"`
		VCPUs      float64 `json:"vcpus"`
		GiB        float64 `json:"gib"`
		Clients    float64 `json:"clients_per_instance"`
		Least      float64 `json:"least_instances"`
	} `json:"cloud_run"`
	VM struct {
		Hour    float64 `json:"hour"`
		VCPUs   float64 `json:"vcpus"`
		GiB     float64 `json:"gib"`
		Clients float64 `json:"clients_per_machine"`
		Least   float64 `json:"least_machines"`
	} `json:"vm"`
	GKE struct {
		ClusterHour float64 `json:"cluster_hour"`
		Least       float64 `json:"least_machines"`
	} `json:"gke"`
	LoadBalancer struct {
		Hour float64 `json:"hour"`
	} `json:"load_balancer"`
	Memorystore struct {
		GiBHour float64 `json:"gib_hour"`
		GiB     float64 `json:"gib"`
	} `json:"memorystore"`
	EgressGiB float64 `json:"egress_gib"`
}

// table is a line for each number of clients: dollars a month.
func (p *prices) table() string {
	var b strings.Builder
	instance := p.Hours * 3600 * (p.CloudRun.VCPUs*p.CloudRun.VCPUSecond + p.CloudRun.GiB*p.CloudRun.GiBSecond)
	machine, balancer, cluster := p.Hours*p.VM.Hour, p.Hours*p.LoadBalancer.Hour, p.Hours*p.GKE.ClusterHour
	for _, clients := range []float64{1000, 10_000, 100_000, 250_000} {
		instances := max(p.CloudRun.Least, math.Ceil(clients/p.CloudRun.Clients))
		// One more than is needed: one may fail.
		vms := max(p.VM.Least, math.Ceil(clients/p.VM.Clients)+1)
		nodes := max(p.GKE.Least, vms)
		fmt.Fprintf(&b, "| %s | %.0f × %.2f = **%.0f** | %.0f × %.2f + %.2f = **%.0f** | %.0f × %.2f + %.2f + %.2f = **%.0f** |\n", thousands(clients),
			instances, instance, instances*instance, vms, machine, balancer, vms*machine+balancer, nodes, machine, balancer, cluster, nodes*machine+balancer+cluster)
	}
	return b.String()
}

func thousands(n float64) string {
	return regexp.MustCompile(`(\d)(\d{3})$`).ReplaceAllString(fmt.Sprintf("%.0f", n), "$1,$2")
}

// TestCosts: the tables in docs/operations.md are what the prices give.
func TestCosts(t *testing.T) {
	asJSON, err := yaml.YAMLToJSONStrict([]byte(read(t, "server/plan/prices.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	var p prices
	if unknown, err := json.UnmarshalStrict(asJSON, &p); err != nil || len(unknown) > 0 {
		t.Fatal(unknown, err)
	}
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil {
		t.Error(err)
	}
	docs := read(t, "docs/operations.md")
	if !strings.Contains(docs, p.table()) {
		t.Errorf("docs/operations.md should have\n%s", p.table())
	}
	redis := p.Hours * p.Memorystore.GiB * p.Memorystore.GiBHour
	// A client that gets a message of 250 bytes on the wire every two seconds.
	gib := 250 * 0.5 * 3600 * p.Hours / (1 << 30)
	for _, line := range []string{
		fmt.Sprintf("%.0f × %.0f × %.3f = %.0f", p.Memorystore.GiB, p.Hours, p.Memorystore.GiBHour, redis),
		fmt.Sprintf("%.2f GiB a month, $%.3f", gib, gib*p.EgressGiB),
		fmt.Sprintf("250,000 of them %s TiB and $%s", fmt.Sprintf("%.0f", 250_000*gib/1024), thousands(math.Round(250_000*gib*p.EgressGiB))),
		"as of " + p.Date,
	} {
		if !strings.Contains(docs, line) {
			t.Errorf("docs/operations.md should say %q", line)
		}
	}
}
