package plan

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"

	"go.yaml.in/yaml/v3"
)

//go:embed prices.yaml
var ours []byte

// maxPrices bounds a file of prices, in bytes.
const maxPrices = 64 << 10

// Prices are in US dollars; prices.yaml explains them.
type Prices struct {
	Date     string  `yaml:"date"`
	Hours    float64 `yaml:"hours_per_month"`
	CloudRun struct {
		VCPUSecond float64 `yaml:"vcpu_second"`
		GiBSecond  float64 `yaml:"gib_second"`
		VCPUs      float64 `yaml:"vcpus"`
		GiB        float64 `yaml:"gib"`
		Clients    float64 `yaml:"clients_per_instance"`
		Least      float64 `yaml:"least_instances"`
	} `yaml:"cloud_run"`
	VM struct {
		Hour    float64 `yaml:"hour"`
		VCPUs   float64 `yaml:"vcpus"`
		GiB     float64 `yaml:"gib"`
		Clients float64 `yaml:"clients_per_machine"`
		Least   float64 `yaml:"least_machines"`
	} `yaml:"vm"`
	GKE struct {
		ClusterHour float64 `yaml:"cluster_hour"`
		Least       float64 `yaml:"least_machines"`
	} `yaml:"gke"`
	LoadBalancer struct {
		Hour float64 `yaml:"hour"`
	} `yaml:"load_balancer"`
	Memorystore struct {
		GiBHour float64 `yaml:"gib_hour"`
		GiB     float64 `yaml:"gib"`
	} `yaml:"memorystore"`
	EgressGiB float64 `yaml:"egress_gib"`
}

// ReadPrices reads a file of prices. Every price must be there, and above 0.
func ReadPrices(r io.Reader) (*Prices, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPrices+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxPrices {
		return nil, fmt.Errorf("allowed are at most %d bytes", maxPrices)
	}
	p := &Prices{}
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("not readable as prices: %w", err)
	}
	return p, positive(reflect.ValueOf(p).Elem(), "")
}

// positive refuses a price that is missing, or no price.
func positive(v reflect.Value, name string) error {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := name + v.Type().Field(i).Tag.Get("yaml")
			if v.Field(i).Kind() == reflect.Struct {
				field += "."
			}
			if err := positive(v.Field(i), field); err != nil {
				return err
			}
		}
	case reflect.Float64:
		if f := v.Float(); !(f > 0) || math.IsInf(f, 0) || f > 1e9 {
			return fmt.Errorf("%s: allowed is a number above 0, up to 1e9", name)
		}
	case reflect.String:
		if v.String() == "" {
			return errors.New(name + ": is missing")
		}
	}
	return nil
}

// Bill is what a month costs in one place.
type Bill struct {
	Place    string  `json:"place"`
	Nodes    float64 `json:"nodes"`
	Bound    string  `json:"bound"`
	Machines float64 `json:"machines_usd"` // with what else the place asks for
	Redis    float64 `json:"redis_usd"`
	Egress   float64 `json:"egress_usd"`
	Total    float64 `json:"total_usd"`
}

// places are the kinds of machine, with what they cost a month for so many.
type place struct {
	name    string
	machine Machine
	cost    func(nodes float64) float64
}

// places: Cloud Run lets an instance be what its file says; a machine of a
// cluster is the same as one alone.
func (p *Prices) places(busy, sessions float64) []place {
	run := Machine{VCPUs: p.CloudRun.VCPUs, GiB: p.CloudRun.GiB, Sessions: min(sessions, p.CloudRun.Clients), Busy: busy, Least: p.CloudRun.Least}
	vm := Machine{VCPUs: p.VM.VCPUs, GiB: p.VM.GiB, Sessions: sessions, Busy: busy, Spare: 1, Least: p.VM.Least}
	gke := vm
	gke.Least = p.GKE.Least
	front := p.Hours * p.LoadBalancer.Hour
	return []place{
		{"Cloud Run", run, func(n float64) float64 {
			return n * p.Hours * 3600 * (p.CloudRun.VCPUs*p.CloudRun.VCPUSecond + p.CloudRun.GiB*p.CloudRun.GiBSecond)
		}},
		{"GKE", gke, func(n float64) float64 { return n*p.Hours*p.VM.Hour + front + p.Hours*p.GKE.ClusterHour }},
		{"VMs", vm, func(n float64) float64 { return n*p.Hours*p.VM.Hour + front }},
	}
}

// bill is what a load costs in a place.
func (p *Prices) bill(l *Load, at *place) (Bill, *Need) {
	n := Size(l, &at.machine)
	b := Bill{
		Place: at.name, Nodes: n.Nodes, Bound: n.Bound, Machines: at.cost(n.Nodes),
		Redis:  p.Hours * p.Memorystore.GiBHour * n.Shards * max(p.Memorystore.GiB, math.Ceil(n.RedisGiB)),
		Egress: n.Network.Out * 3600 * p.Hours / (1 << 30) * p.EgressGiB,
	}
	b.Total = b.Machines + b.Redis + b.Egress
	return b, n
}

// scaled is the same behaviour of another number of users: rooms and messages
// go with them.
func (l *Load) scaled(users float64) *Load {
	s := *l
	s.Users, s.Rooms, s.Rate = users, max(1, l.Rooms*users/l.Users), l.Rate*users/l.Users
	return &s
}

const (
	turnFrom, turnTo = 100, 20e6
	turnStep         = 1.01
)

// Turn is the most users with which Cloud Run costs no more than VMs, if each
// does what it does in this load: within 1 %. 0: never. From 20 million on it is
// not looked.
func (p *Prices) Turn(l *Load, busy, sessions float64) (users float64) {
	places := p.places(busy, sessions)
	for n := float64(turnFrom); n <= turnTo; n *= turnStep {
		s := l.scaled(n)
		run, _ := p.bill(s, &places[0])
		vms, _ := p.bill(s, &places[2])
		if run.Total <= vms.Total {
			users = math.Floor(n)
		}
	}
	return users
}
