package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clean takes the caller's own variables out of a test's environment.
func clean(t *testing.T) {
	t.Helper()
	for _, pair := range os.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		if strings.HasPrefix(name, envPrefix) || name == "PORT" || name == "REDIS_URL" || strings.HasPrefix(name, "K_") {
			t.Setenv(name, "") // restored at the end
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "antchat.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range settings {
		if section, _, _ := strings.Cut(s.key, "."); !isSection(section) {
			t.Errorf("%s is in no section of --help", s.key)
		}
		if seen[s.key] || seen[s.env()] {
			t.Errorf("%s is there twice", s.key)
		}
		seen[s.key], seen[s.env()] = true, true
		if s.about == "" || !strings.HasSuffix(s.about, ".") {
			t.Errorf("%s: no sentence about it", s.key)
		}
		c := &Config{}
		if err := s.assign(c, s.initial); err != nil {
			t.Errorf("%s: default %q: %v", s.key, s.initial, err)
		}
		if s.cloudRun != "" {
			if err := s.assign(&Config{}, s.cloudRun); err != nil {
				t.Errorf("%s: default on Cloud Run %q: %v", s.key, s.cloudRun, err)
			}
		}
		if got := s.show(c); got != s.initial {
			t.Errorf("%s: default %q shows as %q", s.key, s.initial, got)
		}
		switch s.kind() {
		case "number", "time":
			if s.least == "" || s.most == "" {
				t.Errorf("%s has no limits", s.key)
			}
		}
	}
	for _, section := range sections {
		if !slices.ContainsFunc(settings, func(s *setting) bool { return strings.HasPrefix(s.key, section.name+".") }) {
			t.Errorf("section %s has no settings", section.name)
		}
	}
}

func TestDefaults(t *testing.T) {
	clean(t)
	c, request, err := Load(nil)
	if err != nil || request != Run {
		t.Fatal(request, err)
	}
	if c.HTTP.Port != 3000 || c.Recovery.Window != 2*time.Minute || c.Log.MaxMessages != 10000 || c.Log.MaxAge != 7*24*time.Hour ||
		c.Engine.PingInterval != 25*time.Second || c.Engine.PingTimeout != 20*time.Second || c.Engine.MaxHTTPBufferSize != 1e6 ||
		c.Engine.ConnectTimeout != 45*time.Second || c.Engine.UpgradeTimeout != 10*time.Second || c.Data.Dir != "./data" ||
		c.Presence.AnnounceMax != 200 || c.Dedupe.Window != 10*time.Minute || c.HTTP.TrustedProxies != 0 {
		t.Errorf("a promised default is another: %+v", c)
	}
	if got := c.Origin("http.port"); got != "default" {
		t.Errorf("origin %q", got)
	}
}

// TestCloudRun: what its environment changes, and that settings still win.
func TestCloudRun(t *testing.T) {
	clean(t)
	t.Setenv("K_SERVICE", "chat")
	t.Setenv("K_REVISION", "chat-00007-abc")
	t.Setenv("PORT", "8080")
	t.Setenv("ANTCHAT_LOGGING_FORMAT", "text")
	c, _, err := Load(nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.CloudRun != (CloudRun{"chat", "chat-00007-abc"}) || c.HTTP.Port != 8080 || c.HTTP.TrustedProxies != 1 ||
		c.Engine.MaxAge != 59*time.Minute || c.Engine.MaxAgeJitter != 4*time.Minute || c.Logging.Format != "text" {
		t.Errorf("%+v", c)
	}
	if got := c.Origin("http.trusted_proxies"); got != "default on Cloud Run" {
		t.Errorf("origin %q", got)
	}
	var printed strings.Builder
	if err := c.Write(&printed); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(strings.Join(strings.Fields(printed.String()), " "), "trusted_proxies: 1 # default on Cloud Run ") {
		t.Errorf("--print-config does not say where trusted_proxies came from:\n%s", &printed)
	}
	if c, _, err = Load([]string{"--http.trusted_proxies", "2", "--engine.max_age", "0"}); err != nil || c.HTTP.TrustedProxies != 2 || c.Engine.MaxAge != 0 {
		t.Errorf("flags do not win: %+v, %v", c, err)
	}
}

// TestFittedDefaults: a default gives way to a setting that it must fit, and a
// setting that does not fit is refused.
func TestFittedDefaults(t *testing.T) {
	clean(t)
	c, _, err := Load([]string{"--http.stop_timeout", "1s", "--engine.max_age", "5m"})
	if err != nil || c.HTTP.DrainWindow != 500*time.Millisecond || c.Engine.MaxAgeJitter != 30*time.Second {
		t.Errorf("drain_window %v, max_age_jitter %v, %v", c.HTTP.DrainWindow, c.Engine.MaxAgeJitter, err)
	}
	if _, _, err := Load([]string{"--http.drain_window", "5s"}); err == nil {
		t.Error("a drain window of more than half the stop timeout was taken")
	}
	for _, args := range [][]string{{"--overload.reads_memory", "80"}, {"--overload.writes_delay", "100ms"}} {
		if _, _, err := Load(args); err == nil {
			t.Errorf("%v was taken, and the step before it comes later", args)
		}
	}
	if _, _, err := Load([]string{"--overload.ephemeral_memory", "0", "--overload.connections_delay", "0"}); err != nil {
		t.Error(err)
	}
	if _, _, err := Load([]string{"--engine.max_age", "1m", "--engine.max_age_jitter", "1m"}); err == nil {
		t.Error("a jitter as long as the age was taken")
	}
	if _, _, err := Load([]string{"--engine.max_http_buffer_size", "2000000", "--engine.max_arriving", "1500000"}); err == nil || !strings.HasPrefix(err.Error(), "engine.max_arriving") {
		t.Errorf("less may arrive than one message has: %v", err)
	}
}

func TestPrecedence(t *testing.T) {
	file := "http:\n  port: 1001\n"
	tests := []struct {
		name   string
		file   string
		env    map[string]string
		args   []string
		port   int
		origin string
	}{
		{"default", "", nil, nil, 3000, "default"},
		{"file", file, nil, nil, 1001, "file "},
		{"file, flat key, other case", "HTTP.Port: 1001\n", nil, nil, 1001, "file "},
		{"empty section", "http:\n", nil, nil, 3000, "default"},
		{"empty value", "http:\n  port:\n", nil, nil, 3000, "default"},
		{"PORT beats file", file, map[string]string{"PORT": "1002"}, nil, 1002, "environment PORT"},
		{"empty PORT is none", file, map[string]string{"PORT": ""}, nil, 1001, "file "},
		{"ANTCHAT_ beats PORT", file, map[string]string{"PORT": "1002", "ANTCHAT_HTTP_PORT": "1003"}, nil, 1003, "environment ANTCHAT_HTTP_PORT"},
		{"flag beats all", file, map[string]string{"PORT": "1002", "ANTCHAT_HTTP_PORT": "1003"}, []string{"--http.port", "1004"}, 1004, "flag --http.port"},
		{"flag with dashes", "", nil, []string{"--http-port=1004"}, 1004, "flag --http.port"},
		{"flag equal to the default", file, nil, []string{"--http.port=3000"}, 3000, "flag --http.port"},
		{"port 0", "", nil, []string{"--http.port=0"}, 0, "flag --http.port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clean(t)
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			args := tt.args
			if tt.file != "" {
				args = append(args, "--config", write(t, tt.file))
			}
			c, _, err := Load(args)
			if err != nil {
				t.Fatal(err)
			}
			if c.HTTP.Port != tt.port || !strings.HasPrefix(c.Origin("http.port"), tt.origin) {
				t.Errorf("got %d from %q, want %d from %q", c.HTTP.Port, c.Origin("http.port"), tt.port, tt.origin)
			}
		})
	}
}

func TestForms(t *testing.T) {
	clean(t)
	t.Setenv("ANTCHAT_CONFIG", write(t, `
engine:
  max_http_buffer_size: 1e6
  ping_interval: 1m30s
  transports: [websocket]
  allow_revision3: false
relay:
  events: "draw, draw,erase ,"
cors:
  origins:
    - https://a.example
    - "*"
node:
  id: 123456
`))
	t.Setenv("ANTCHAT_DATA_DIR", "")
	t.Setenv("ANTCHAT_LOGGING_LEVEL", " debug ")
	c, _, err := Load([]string{"--engine.strict-revision", "--log.max_age", "24h"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Engine.MaxHTTPBufferSize != 1e6 || c.Engine.PingInterval != 90*time.Second || !slices.Equal(c.Engine.Transports, []string{"websocket"}) ||
		c.Engine.AllowRevision3 || !c.Engine.StrictRevision || !slices.Equal(c.Relay.Events, []string{"draw", "erase"}) ||
		!slices.Equal(c.CORS.Origins, []string{"https://a.example", "*"}) || c.Node.ID != "123456" || c.Data.Dir != "" ||
		c.Logging.Level != "debug" || c.Log.MaxAge != 24*time.Hour {
		t.Errorf("%+v", c)
	}
}

// TestRefusals holds the whole line that a wrong start prints.
func TestRefusals(t *testing.T) {
	const list = "; --help lists all that are allowed"
	tests := []struct {
		name string
		file string
		env  map[string]string
		args []string
		want string
	}{
		{"number out of range", "", nil, []string{"--http.port", "70000"},
			`http.port: "70000" (flag --http.port) is not allowed: allowed is a whole number from 0 to 65535`},
		{"no number", "", map[string]string{"PORT": "http"}, nil,
			`http.port: "http" (environment PORT) is not allowed: allowed is a whole number from 0 to 65535`},
		{"fraction", "log:\n  max_messages: 1.5\n", nil, nil,
			`log.max_messages: "1.5" (file FILE) is not allowed: allowed is a whole number from 1 to 100000000 (messages)`},
		{"empty number", "", map[string]string{"ANTCHAT_HTTP_PORT": ""}, nil,
			`http.port: "" (environment ANTCHAT_HTTP_PORT) is not allowed: allowed is a whole number from 0 to 65535`},
		{"int64 out of range", "", nil, []string{"--engine.max_http_buffer_size", "10"},
			`engine.max_http_buffer_size: "10" (flag --engine.max_http_buffer_size) is not allowed: allowed is a whole number from 1024 to 104857600 (bytes)`},
		{"time without unit", "engine:\n  ping_interval: 25\n", nil, nil,
			`engine.ping_interval: "25" (file FILE) is not allowed: allowed is a time with its unit, such as 500ms, 25s, 2m or 168h, from 50ms to 1h`},
		{"time out of range", "", map[string]string{"ANTCHAT_RECOVERY_WINDOW": "-1s"}, nil,
			`recovery.window: "-1s" (environment ANTCHAT_RECOVERY_WINDOW) is not allowed: allowed is a time with its unit, such as 500ms, 25s, 2m or 168h, from 0 to 24h`},
		{"bool", "", nil, []string{"--engine.allow_revision3=maybe"},
			`engine.allow_revision3: "maybe" (flag --engine.allow_revision3) is not allowed: allowed is true or false`},
		{"closed set", "", nil, []string{"--recovery.offsets", "sometimes"},
			`recovery.offsets: "sometimes" (flag --recovery.offsets) is not allowed: allowed is one of auto, always, never`},
		{"closed set of a list", "", nil, []string{"--engine.transports", "polling,webtransport"},
			`engine.transports: "polling,webtransport" (flag --engine.transports) is not allowed: allowed is one or more of polling, websocket, with commas between`},
		{"empty list", "", nil, []string{"--engine.transports", ""},
			`engine.transports: is empty: allowed are one or both of polling, websocket`},
		{"origin", "", nil, []string{"--cors.origins", "example.com"},
			`cors.origins: "example.com" (flag --cors.origins) is not allowed: allowed is origins such as https://app.example.com, https://*.example.com or http://10.0.0.5:8080 (no path), null, localhost, *`},
		{"origin with path", "", nil, []string{"--cors.origins", "https://a.example/"}, `cors.origins: "https://a.example/" (flag --cors.origins) is not allowed: allowed is origins such as …`},
		{"origin with two stars", "", nil, []string{"--cors.origins", "https://*.*.example"}, `cors.origins: "https://*.*.example" (flag --cors.origins) is not allowed: allowed is origins such as …`},
		{"address", "", nil, []string{"--http.addr", "example.com"},
			`http.addr: "example.com" (flag --http.addr) is not allowed: allowed is an IP address such as 127.0.0.1 or ::1, localhost, or nothing for all addresses`},
		{"path", "", nil, []string{"--engine.path", "/"},
			`engine.path: "/" (flag --engine.path) is not allowed: allowed is a path such as /socket.io/ or /api/chat/, not the root`},
		{"path with dots", "", nil, []string{"--engine.path", "/a/../b"}, `engine.path: "/a/../b" (flag --engine.path) is not allowed: …`},
		{"cookie", "", nil, []string{"--engine.cookie", "a b"},
			`engine.cookie: "a b" (flag --engine.cookie) is not allowed: allowed is 1 to 64 of 0-9 A-Z a-z _ . -, or nothing for no cookie`},
		{"reserved event", "relay:\n  events: [draw, disconnect]\n", nil, nil,
			`relay.events: "draw,disconnect" (file FILE) is not allowed: allowed is event names of 1 to 128 bytes, none of connect, connect_error, disconnect, disconnecting, newListener, removeListener`},
		{"policy", "", nil, []string{"--web.content_security_policy", "a\nb"},
			`web.content_security_policy: "a\nb" (flag --web.content_security_policy) is not allowed: allowed is auto, off, or a policy of printable ASCII on one line`},
		{"node", "", nil, []string{"--node.id", "seven77"},
			`node.id: "seven77" (flag --node.id) is not allowed: allowed is 6 characters of 0-9 A-Z a-z _ -, or nothing for a random one`},
		{"a secret stays one", "", map[string]string{"REDIS_URL": "http://:hunter2@10.0.0.1"}, nil,
			`redis.url: the value (hidden) (environment REDIS_URL) is not allowed: allowed is redis://host:port or rediss://host:port, with user:password@ if needed, or +cluster or +sentinel before the colon`},
		{"a map for a value", "http:\n  port: {a: 1}\n", nil, nil,
			`config: file FILE: http.port.a: unknown setting; did you mean http.port?` + list[1:]},
		{"a list for a section", "http: [1]\n", nil, nil, `config: file FILE: http: is a section: its settings stand below it, indented` + list},
		{"a value for a section", "http: 3000\n", nil, nil, `config: file FILE: http: is a section: its settings stand below it, indented` + list},
		{"a nested list", "relay:\n  events: [[a]]\n", nil, nil,
			`relay.events: what stands there (file FILE) is not allowed: allowed is a list, with commas between`},

		{"certificate alone", "", nil, []string{"--http.tls_cert", "a.pem"}, `http.tls_key: is not set, but http.tls_cert is: allowed are both or neither`},
		{"key alone", "", nil, []string{"--http.tls_key", "a.pem"}, `http.tls_cert: is not set, but http.tls_key is: allowed are both or neither`},
		{"dedupe shorter than recovery", "", nil, []string{"--recovery.window", "20m"},
			`dedupe.window: 10m is shorter than recovery.window (20m): a client that comes back could not retry safely; allowed is at least that`},
		{"log shorter than recovery", "", nil, []string{"--log.max_age", "1m"},
			`log.max_age: 1m is shorter than recovery.window (2m): what a client missed would be gone; allowed is at least that`},
		{"a mode of authentication", "", nil, []string{"--auth.mode", "closed"}, `auth.mode: "closed" (flag --auth.mode) is not allowed: allowed is one of open, token`},
		{"tokens of nobody", "", nil, []string{"--auth.mode", "token"}, `auth.mode: is token, but nothing says whose: allowed is token with one of auth.secret, auth.secret_file and auth.keys, or with an auth.issuer whose address publishes its keys`},
		{"a key of another form", "api:\n  keys:\n    - {name: x, hash: y, scope: read}\n", nil, nil,
			`api.keys: the value (hidden) (file FILE) is not allowed: allowed is a list of keys, each with a name, the hash that antchat apikey writes, scopes of read, write, moderate, admin, and, to be good in some rooms only, rooms with a pattern and rights (in the environment and in flags: in JSON)`},
		{"a hook of another form", "", map[string]string{"ANTCHAT_WEBHOOKS_HOOKS": `{"url":"https://x"}`}, nil,
			`webhooks.hooks: the value (hidden) (environment ANTCHAT_WEBHOOKS_HOOKS) is not allowed: allowed is a list of hooks, each with a url, a secret of at least 16 bytes, and events of message, join, leave (in the environment and in flags: in JSON)`},
		{"a claim without tokens", "", nil, []string{"--api.claim", "scope"}, `api.claim: is set, but auth.mode is not token: allowed is a claim with token`},
		{"an endpoint in the API", "", map[string]string{"ANTCHAT_API_KEYS": `[{"name":"x","hash":"y","scopes":"read"}]`}, []string{"--engine.path", "/api/v1/chat/"},
			`engine.path: "/api/v1/chat/" is below /api/v1, where the HTTP API is: allowed is another path`},
		{"tokens of two", "", nil, []string{"--auth.mode", "token", "--auth.keys", "k", "--auth.secret_file", "s"}, `auth.mode: is token, and several of auth.secret, auth.secret_file and auth.keys are set: allowed is one`},
		{"short secret", "", nil, []string{"--auth.secret", "hidden"}, `auth.secret: the value (hidden) (flag --auth.secret) is not allowed: allowed is at least 32 bytes`},
		{"keys by ftp", "", nil, []string{"--auth.keys", "ftp://x/y"}, `auth.keys: "ftp://x/y" (flag --auth.keys) is not allowed: allowed is an address that begins with https:// (or http:// within a trusted network), or the name of a file`},
		{"no user", "", nil, []string{"--auth.user_claim", ""}, `auth.user_claim: "" (flag --auth.user_claim) is not allowed: allowed is a claim's name, with dots to one inside another`},
		{"secure without cookie", "", nil, []string{"--engine.cookie_secure"}, `engine.cookie_secure: is true, but engine.cookie names no cookie: allowed is true with a cookie's name`},

		{"Node servers without Redis", "", nil, []string{"--official.adapter", "classic"}, `official.adapter: is set, but redis.url is not: allowed is off, or any with a Redis`},
		{"emitters without Redis", "", nil, []string{"--official.emitters"}, `official.emitters: is true, but redis.url is not set: allowed is true with a Redis`},
		{"an unknown adapter", "", nil, []string{"--official.adapter", "streams"},
			`official.adapter: "streams" (flag --official.adapter) is not allowed: allowed is one of off, classic, sharded, sharded-static, sharded-dynamic-private`},
		{"channel", "", nil, []string{"--official.python_channel", "a b"},
			`official.python_channel: "a b" (flag --official.python_channel) is not allowed: allowed is 1 to 128 printable ASCII characters without spaces`},

		{"unknown key", "http:\n  prot: 1\n", nil, nil, `config: file FILE: http.prot: unknown setting; did you mean http.port?` + list[1:]},
		{"unknown section", "zzz:\n  a: 1\n", nil, nil, `config: file FILE: zzz.a: unknown setting` + list},
		{"no YAML", "\t{", nil, nil, `config: file FILE: not readable as YAML settings: …`},
		{"no map", "- a\n", nil, nil, `config: file FILE: not readable as YAML settings: …`},
		{"a key twice", "http:\n  port: 1\n  port: 2\n", nil, nil, `config: file FILE: not readable as YAML settings: … already defined …`},
		{"too large", strings.Repeat("#", maxFile+1), nil, nil, `config: file FILE: allowed are at most 1048576 bytes`},
		{"no file", "", nil, []string{"--config", "/nowhere/antchat.yaml"}, `config: file /nowhere/antchat.yaml: no such file or directory`},
		{"no file, environment", "", map[string]string{"ANTCHAT_CONFIG": "/nowhere/antchat.yaml"}, nil, `config: file /nowhere/antchat.yaml: no such file or directory`},

		{"unknown variable", "", map[string]string{"ANTCHAT_HTTP_PROT": "1"}, nil,
			`ANTCHAT_HTTP_PROT: unknown environment variable; did you mean ANTCHAT_HTTP_PORT?` + list[1:]},
		{"bare port variable", "", map[string]string{"ANTCHAT_PORT": "1"}, nil, `ANTCHAT_PORT: unknown environment variable…`},
		{"unknown flag", "", nil, []string{"--http.prot", "1"}, `--http.prot: unknown flag; did you mean --http.port?` + list[1:]},
		{"far from any flag", "", nil, []string{"--xyzzy"}, `--xyzzy: unknown flag` + list},
		{"unknown short flag", "", nil, []string{"-x"}, `-x: unknown flag; --help lists the settings`},
		{"flag without value", "", nil, []string{"--http.port"}, `--http.port: needs a value: allowed is a whole number from 0 to 65535`},
		{"config without value", "", nil, []string{"--config"}, `--config: needs a value`},
		{"help with a value", "", nil, []string{"--help=x"}, `--help: allowed is true or false`},
		{"bad syntax", "", nil, []string{"--=x"}, `flags: …; --help lists the settings`},
		{"argument", "", nil, []string{"serve"}, `argument: "serve" is not allowed: settings are given as --name value, and one of apikey, doctor, healthcheck, password, plan, version may stand before them; --help lists all`},
		{"two commands", "", nil, []string{"doctor", "version"}, `argument: "version" is not allowed: settings are given as --name value, and one of apikey, doctor, healthcheck, password, plan, version may stand before them; --help lists all`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			clean(t)
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			args := slices.Clone(tt.args)
			want := tt.want
			if tt.file != "" {
				file := write(t, tt.file)
				args = append(args, "--config", file)
				want = strings.ReplaceAll(want, "FILE", file)
			}
			_, _, err := Load(args)
			if err == nil {
				t.Fatal("was allowed")
			}
			// … stands for what another library says, or repeats from above.
			pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$"
			if !regexp.MustCompile(pattern).MatchString(err.Error()) {
				t.Errorf("got  %s\nwant %s", err, want)
			}
			if strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("not one harmless line: %q", err)
			}
		})
	}
}

func TestForeignVariables(t *testing.T) {
	clean(t)
	for k, v := range map[string]string{
		"ANTCHAT_TEST_CHROME":         "/usr/bin/chromium",
		"ANTCHAT_PORT":                "tcp://10.0.0.1:3000", // Kubernetes, for a service named antchat
		"ANTCHAT_SERVICE_HOST":        "10.0.0.1",
		"ANTCHAT_SERVICE_PORT":        "3000",
		"ANTCHAT_SERVICE_PORT_HTTP":   "3000",
		"ANTCHAT_PORT_3000_TCP":       "tcp://10.0.0.1:3000",
		"ANTCHAT_PORT_3000_TCP_PROTO": "tcp",
		"ANTCHAT_REDIS_SERVICE_HOST":  "10.0.0.2",
		"ANTCHAT_REDIS_PORT":          "tcp://10.0.0.2:6379",
		"REDIS_URL":                   "",
	} {
		t.Setenv(k, v)
	}
	if _, _, err := Load(nil); err != nil {
		t.Error(err)
	}
}

func TestRequests(t *testing.T) {
	clean(t)
	for arg, want := range map[string]Request{"--help": Help, "-h": Help, "--version": Version, "--print-config": Print} {
		if _, got, err := Load([]string{arg}); err != nil || got != want {
			t.Errorf("%s: %v, %v", arg, got, err)
		}
	}
}

func TestHelpNamesEverything(t *testing.T) {
	var b strings.Builder
	if err := WriteHelp(&b); err != nil {
		t.Fatal(err)
	}
	help := strings.Join(strings.Fields(b.String()), " ")
	for _, s := range settings {
		for _, part := range []string{"--" + s.key + " ", s.env(), s.about, "(default " + quoted(s.initial), s.unit, s.also} {
			if !strings.Contains(help, part) {
				t.Errorf("%s: help does not say %q", s.key, part)
			}
		}
	}
	for line := range strings.Lines(b.String()) {
		if len(line) > 100 {
			t.Errorf("long line: %s", line)
		}
	}
}

// TestPrintedIsReadable: what --print-config writes is a file that gives the
// same settings again, secrets apart.
func TestPrintedIsReadable(t *testing.T) {
	clean(t)
	t.Setenv("REDIS_URL", "redis://:hunter2@10.0.0.1:6379")
	t.Setenv("ANTCHAT_RELAY_EVENTS", "it's,#draw: x")
	c, _, err := Load([]string{"--http.port", "0", "--data.dir", "", "--print-config"})
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	if err := c.Write(&printed); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# flag --http.port\n", "# environment REDIS_URL\n", "# environment ANTCHAT_RELAY_EVENTS\n", "# default\n", "(hidden)"} {
		if !strings.Contains(printed.String(), want) {
			t.Errorf("does not say %q", want)
		}
	}
	if strings.Contains(printed.String(), "hunter2") {
		t.Error("the secret is shown")
	}
	clean(t)
	again, _, err := Load([]string{"--config", write(t, printed.String())})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if !s.secret && s.show(again) != s.show(c) {
			t.Errorf("%s: %q became %q", s.key, s.show(c), s.show(again))
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, seed := range []string{"http:\n  port: 1\n", "http.port: [1]\n", "a: &a [*a]\n", "relay: {events: x}\n", "? {}\n: 1\n"} {
		f.Add([]byte(seed))
	}
	name := filepath.Join(f.TempDir(), "antchat.yaml")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Load([]string{"--config", name}); err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than a line: %q", err)
		}
	})
}
