package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/antchat/antchat/"

// rows says which of our packages each package may import, and why no others.
// A package without a row fails the test: whoever adds one decides where it
// stands. Tests are exempt.
var rows = []struct {
	pkg     string // with /... for all below it too
	imports []string
	why     string
}{
	{"adapter", nil, "the contract stands apart from both its sides"},
	{"adapter/adaptertest", []string{"adapter"}, "the suite knows the contract and no implementation"},
	{"adapter/roomindex", []string{"adapter"}, "every adapter uses it"},
	{"adapter/local", []string{"adapter", "adapter/roomindex", "server/schedule", "server/socketio/packet"}, "an adapter sees events, never the application"},
	{"adapter/redis", []string{"adapter", "adapter/roomindex", "adapter/redis/official", "server/socketio/packet"}, "an adapter sees events, never the application"},
	{"adapter/redis/official", []string{"adapter", "server/socketio/packet"}, "others' formats, with no connection of its own"},
	{"server", []string{"*"}, "main is the wiring"},
	{"server/config", nil, "settings are plain values, which only main maps to options"},
	{"server/gateway", []string{"web"}, "the edge is given its handlers"},
	{"server/engineio", nil, "usable alone; what is above sees sessions through its own interface"},
	{"server/endpoint", []string{"adapter", "server/engineio", "server/socketio"}, "it joins the two layers, which do not know each other"},
	{"server/socketio/packet", nil, "the codec is pure"},
	{"server/socketio", []string{"adapter", "server/schedule", "server/socketio/packet"}, "it sees a session through its own interface, and the fleet through the contract"},
	{"server/chat", []string{"adapter"}, "the domain knows no network"},
	{"server/identity", nil, "who shows a token, whatever it is shown to"},
	{"server/chatapi", []string{"adapter", "server/chat", "server/identity", "server/schedule", "server/socketio"}, "it translates between the domain and Socket.IO"},
	{"server/httpapi", []string{"server/chat", "server/chatapi", "server/identity"}, "it translates between HTTP and what the chat does for a back end"},
	{"server/webhook", nil, "it sends what it is given"},
	{"docs", nil, "files and nothing else"},
	{"docs/examples/...", []string{"adapter/local", "server/chatapi", "server/endpoint", "server/engineio", "server/gateway", "server/socketio", "web"}, "programs as others write them"},
	{"server/overload", nil, "it measures, and others ask it"},
	{"server/observe", []string{"server/overload", "adapter", "adapter/local", "adapter/redis", "adapter/redis/official", "server/adminui", "server/engineio", "server/socketio", "server/chatapi", "server/gateway", "server/httpapi", "server/webhook"}, "it fills the hooks that others offer"},
	{"server/adminui", []string{"adapter", "server/socketio"}, "a namespace like any other"},
	{"server/e2e/...", []string{"*"}, "programs for tests and measurements"},
	{"deploy/load/...", []string{"deploy/load/..."}, "clients of any server: they know the protocol and nothing of ours"},
	{"server/schematest", nil, "documents of whichever interface; only tests use it"},
	{"server/schedule", nil, "an order by time, whoever's"},
	{"server/plan", nil, "it computes, and asks nobody"},
	{"web", nil, "files and nothing else"},
}

// doors says for each library which packages may import it. A library without
// a door fails the test.
var doors = []struct {
	library string
	pkgs    []string
	why     string
}{
	{"github.com/spf13/viper", []string{"server/config"}, "settings are read in one place"},
	{"github.com/spf13/pflag", []string{"server/config"}, "settings are read in one place"},
	{"github.com/gobwas/ws", []string{"server/engineio", "server/e2e/..."}, "the frame codec can be changed in one place"},
	{"github.com/gobwas/httphead", []string{"server/engineio"}, "the frame codec can be changed in one place"},
	{"github.com/rs/cors", []string{"server/gateway", "server/e2e/..."}, "CORS is the edge's; embedders bring their own"},
	{"go.yaml.in/yaml", []string{"server/plan", "server/schematest"}, "prices, and documents that tests make; settings are viper's"},
	{"go.etcd.io/bbolt", []string{"adapter/local"}, "what is stored, and how, is the adapter's"},
	{"github.com/HdrHistogram/hdrhistogram-go", []string{"deploy/load", "server/e2e/..."}, "measurements"},
	{"github.com/redis/go-redis", []string{"adapter/redis", "adapter/redis/...", "server/e2e/..."}, "everything shared goes through the contract; measurements look at the store itself"},
	{"github.com/KimMachineGun/automemlimit", []string{"server/overload"}, "what a container may use is read in one place"},
	{"github.com/prometheus", []string{"server/observe"}, "the others offer hooks"},
	{"go.opentelemetry.io", []string{"server/observe"}, "the others offer hooks"},
	{"google.golang.org/protobuf", []string{"server/observe"}, "what Prometheus's and OpenTelemetry's messages are made of"},
	{"github.com/tinylib/msgp", []string{"server/socketio/packet"}, "the codec is the packet's"},
	{"pgregory.net/rapid", []string{"adapter/adaptertest"}, "only tests use it"},
	{"go.uber.org/goleak", []string{"adapter/adaptertest"}, "only tests use it"},
	{"github.com/go-jose/go-jose", []string{"server/identity"}, "tokens are checked in one place"},
	{"golang.org/x/crypto", []string{"server/adminui"}, "passwords are checked in one place"},
	{"golang.org/x/sync", []string{"*"}, ""},
	{"golang.org/x/sys", []string{"*"}, ""},
	{"golang.org/x/text", []string{"server/chat", "server/e2e/..."}, "what a text may hold is decided in the domain; pages write numbers"},
	{"golang.org/x/time", []string{"*"}, ""},
}

// forbidden are standard packages that would break what a package is.
var forbidden = []struct {
	pkg, library, why string
}{
	{"server/chat", "net", "the domain knows no network"},
	{"server/chat", "net/http", "the domain knows no network"},
	{"server/chatapi", "net", "it sees sockets of Socket.IO only"},
	{"server/socketio/packet", "net", "the codec is pure"},
	{"server/socketio/packet", "net/http", "the codec is pure"},
	{"server/socketio", "net/http", "it sees sessions, whatever carries them"},
	{"adapter", "net", "the contract does no work"},
	{"adapter", "os", "the contract does no work"},
	{"docs", "net/http", "the API decides on routes and headers"},
	{"web", "net/http", "the gateway decides on routes and headers"},
	{"server/config", "net/http", "settings are plain values"},
}

type listed struct {
	ImportPath string
	Name       string
	Imports    []string
}

func TestImportsRunOneWay(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "windows"} {
		packages := list(t, system)
		if len(packages) < 5 {
			t.Fatalf("only %d packages found", len(packages))
		}
		for _, p := range packages {
			check(t, system, p)
		}
	}
}

func check(t *testing.T, system string, p listed) {
	pkg := strings.TrimPrefix(p.ImportPath, module)
	row := slices.IndexFunc(rows, func(r struct {
		pkg     string
		imports []string
		why     string
	}) bool {
		return within(r.pkg, pkg)
	})
	if row < 0 {
		t.Errorf("%s has no row in this test: decide what it may import, and write it into the table", pkg)
		return
	}
	for _, name := range p.Imports {
		own, ours := strings.CutPrefix(name, module)
		first, _, _ := strings.Cut(name, "/")
		switch {
		case ours:
			if !among(rows[row].imports, own) || own == "server" {
				t.Errorf("%s (%s) imports %s: %s", pkg, system, own, rows[row].why)
			}
		case strings.Contains(first, "."):
			door := slices.IndexFunc(doors, func(d struct {
				library string
				pkgs    []string
				why     string
			}) bool {
				return name == d.library || strings.HasPrefix(name, d.library+"/")
			})
			if door < 0 {
				t.Errorf("%s (%s) imports %s, which has no row in this test: decide which package is its door", pkg, system, name)
			} else if !among(doors[door].pkgs, pkg) {
				t.Errorf("%s (%s) imports %s, whose door is %v: %s", pkg, system, name, doors[door].pkgs, doors[door].why)
			}
		case name == "testing" && pkg != "adapter/adaptertest" && pkg != "server/schematest":
			t.Errorf("%s (%s) imports testing outside a test", pkg, system)
		default:
			for _, f := range forbidden {
				if f.pkg == pkg && f.library == name {
					t.Errorf("%s (%s) imports %s: %s", pkg, system, name, f.why)
				}
			}
		}
	}
}

func among(list []string, pkg string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool { return pattern == "*" || within(pattern, pkg) })
}

func within(pattern, pkg string) bool {
	if parent, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == parent || strings.HasPrefix(pkg, parent+"/")
	}
	return pkg == pattern
}

// list asks the go command for the module's packages as they are built for a
// system; test files are not among their imports.
func list(t *testing.T, system string) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Name,Imports", module+"...")
	cmd.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, complaint.String())
	}
	var packages []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
