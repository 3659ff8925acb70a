package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// operationSettings are the page, and what an operator sees.
var operationSettings = []*setting{
	{key: "web.dir", field: func(c *Config) any { return &c.Web.Dir },
		about: "Directory with a page of your own, served instead of the built-in one."},
	{key: "web.content_security_policy", field: func(c *Config) any { return &c.Web.ContentSecurityPolicy }, initial: "auto", check: checkPolicy,
		about: "Content-Security-Policy of the page: auto (a strict one for the built-in page, none for web.dir), off, or a policy."},

	{key: "logging.level", field: func(c *Config) any { return &c.Logging.Level }, initial: "info", allowed: []string{"debug", "info", "warn", "error"},
		about: "The least important lines that are written."},
	{key: "logging.format", field: func(c *Config) any { return &c.Logging.Format }, initial: "auto", allowed: []string{"auto", "text", "json", "cloud"}, cloudRun: "cloud",
		about: "Form of the lines: auto means text on a terminal and JSON elsewhere; cloud is JSON with the names that Google's Cloud Logging knows."},
	{key: "logging.max_per_second", field: func(c *Config) any { return &c.Logging.MaxPerSecond }, initial: "20", least: "0", most: "1000000", unit: "lines",
		about: "Limit of lines of one kind (a level and a message) in a second. What is left out is counted, and the number told a second later; 0 means no limit."},
	{key: "logging.project", field: func(c *Config) any { return &c.Logging.Project }, also: "GOOGLE_CLOUD_PROJECT", check: checkProject,
		about: "Google Cloud project whose traces the lines of form cloud name."},

	{key: "tracing.url", field: func(c *Config) any { return &c.Tracing.URL }, check: checkTracing,
		about: "Receiver of traces (OTLP over HTTP), such as http://127.0.0.1:4318/v1/traces; empty means none."},
	{key: "tracing.one_in", field: func(c *Config) any { return &c.Tracing.OneIn }, initial: "1000", least: "1", most: "1000000000", unit: "events",
		about: "Of so many events of clients one is followed to all who get it; 1 follows all."},
	{key: "tracing.headers", field: func(c *Config) any { return &c.Tracing.Headers }, secret: true, check: checkHeader,
		about: "Headers for the receiver, such as authorization=Bearer x."},

	{key: "admin.listen", field: func(c *Config) any { return &c.Admin.Listen }, check: checkListen,
		about: "Address and port of /metrics, /debug/pprof/, /healthz and /readyz, such as 127.0.0.1:9464, or :9464 for all addresses of the machine. Whoever reaches it sees them: keep it off the internet. With port 0 the system chooses one; empty means none."},
}

func checkPolicy(text string) error {
	if text == "" || len(text) > 4096 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("auto, off, or a policy of printable ASCII on one line")
	}
	return nil
}

func checkListen(text string) error {
	if text == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(text)
	if err == nil {
		err = checkAddr(host)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("an address and a port such as 127.0.0.1:9464, [::1]:9464 or :9464, or nothing for none")
	}
	return nil
}

func checkTracing(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") == "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("an address such as http://127.0.0.1:4318/v1/traces, without user and query; tracing.headers is for secrets")
	}
	return nil
}

func checkHeader(text string) error {
	name, value, ok := strings.Cut(text, "=")
	if !ok || !regexp.MustCompile(`^[0-9A-Za-z-]{1,128}$`).MatchString(name) || len(value) > 8192 || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return fmt.Errorf("headers as name=value, in printable ASCII, with commas between")
	}
	return nil
}

func checkProject(text string) error {
	if !regexp.MustCompile(`^([a-z0-9.-]{1,63}:)?[a-z0-9-]{0,63}$`).MatchString(text) {
		return fmt.Errorf("a project's id of a-z 0-9 -, or nothing")
	}
	return nil
}
