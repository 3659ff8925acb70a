package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/adapter/redis"
	"github.com/antchat/antchat/server/config"
)

// doctorLimit bounds a diagnosis; each question has a limit of its own.
const doctorLimit = time.Minute

// errUnwell is the end of a diagnosis that found something wrong. The report
// has said what.
var errUnwell = errors.New("something is wrong")

// doctor looks for what would go wrong with a server of these settings in this
// place, and says what to change. Nothing that it does disturbs a server that
// runs here.
type doctor struct {
	config *config.Config
	found  []redis.Finding
}

func (d *doctor) add(subject string, v redis.Verdict, text, advice string) {
	d.found = append(d.found, redis.Finding{Subject: subject, Verdict: v, Text: text, Advice: advice})
}

// diagnose examines everything and writes the report. wrong is what config.Load
// made of the settings: with settings that do not hold there is nothing else to
// look at.
func diagnose(ctx context.Context, c *config.Config, wrong error, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, doctorLimit)
	defer cancel()
	d := &doctor{config: c}
	if wrong != nil {
		d.add("settings", redis.Wrong, wrong.Error(), "antchat --help lists what is allowed")
		return d.report(w)
	}
	d.add("settings", redis.Fine, "as --print-config shows them", "")
	d.files()
	d.backlog()
	d.certificate(time.Now())
	d.cloudRun()
	if c.Redis.URL == "" {
		d.data()
		return d.report(w)
	}
	log := newLog(c.Logging, os.Stderr)
	defer log.Close()
	findings, err := redis.Diagnose(ctx, redisOptions(c, log.Logger))
	if err != nil {
		d.add("Redis", redis.Wrong, c.Refuse("redis.url", err.Error()).Error(), "correct the setting")
	}
	for _, f := range findings {
		f.Subject = "Redis: " + f.Subject
		d.found = append(d.found, f)
	}
	return d.report(w)
}

func (d *doctor) report(w io.Writer) error {
	words := map[redis.Verdict]string{redis.Fine: "ok", redis.Unknown: "unknown", redis.Doubtful: "warning", redis.Wrong: "WRONG"}
	var b strings.Builder
	counts := map[redis.Verdict]int{}
	for _, f := range d.found {
		counts[f.Verdict]++
		fmt.Fprintf(&b, "%-8s %-29s %s\n", words[f.Verdict], f.Subject, f.Text)
		if f.Advice != "" {
			fmt.Fprintf(&b, "%-8s %-29s → %s\n", "", "", f.Advice)
		}
	}
	fmt.Fprintf(&b, "%d wrong, %d warnings, %d unknown, %d ok\n", counts[redis.Wrong], counts[redis.Doubtful], counts[redis.Unknown], counts[redis.Fine])
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	if counts[redis.Wrong] > 0 {
		return errUnwell
	}
	return nil
}

// fewFiles is a limit of open files that no server should run with: systems
// have 1,024 as their oldest default.
const fewFiles = 4096

func (d *doctor) files() {
	files, known := fileLimit()
	most := d.config.Engine.MaxSessions
	if known && files > spareFiles { // see fitFileLimit
		most = int(min(uint64(most), files-spareFiles))
	}
	text := fmt.Sprintf("%d may be open: room for %d connections", files, most)
	const advice = "raise the limit: LimitNOFILE= in the unit, ulimit -n in a shell, nofile in limits.conf"
	switch chosen := d.config.Origin("engine.max_sessions") != "default"; {
	case !known:
		d.add("files", redis.Unknown, "this system does not tell", "see that as many may be open as there are to be connections")
	case chosen && uint64(d.config.Engine.MaxSessions)+spareFiles > files:
		d.add("files", redis.Wrong, text, advice+", or lower engine.max_sessions: connections fail before it is reached")
	case files < fewFiles:
		d.add("files", redis.Doubtful, text, advice)
	default:
		d.add("files", redis.Fine, text, "")
	}
}

// backlog is how many connections may wait to be accepted: Go asks for as many
// as the system allows.
func (d *doctor) backlog() {
	raw, err := os.ReadFile("/proc/sys/net/core/somaxconn")
	n, perr := strconv.Atoi(strings.TrimSpace(string(raw)))
	switch {
	case err != nil || perr != nil:
		// Not Linux, or a sandbox without it (Cloud Run).
	case n < 1024:
		d.add("backlog", redis.Doubtful, fmt.Sprintf("net.core.somaxconn %d", n), "sysctl -w net.core.somaxconn=4096: when many connect at once, some are dropped unseen")
	default:
		d.add("backlog", redis.Fine, fmt.Sprintf("net.core.somaxconn %d", n), "")
	}
}

// renewBefore is how long before its end a certificate should have a successor.
const renewBefore = 14 * 24 * time.Hour

func (d *doctor) certificate(now time.Time) {
	if d.config.HTTP.TLSCert == "" {
		return
	}
	t, err := tlsSettings(d.config)
	if err != nil {
		d.add("certificate", redis.Wrong, err.Error(), "correct the setting")
		return
	}
	cert, err := x509.ParseCertificate(t.Certificates[0].Certificate[0])
	if err != nil {
		d.add("certificate", redis.Wrong, err.Error(), "make a new one")
		return
	}
	text := "until " + cert.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case now.After(cert.NotAfter) || now.Before(cert.NotBefore):
		d.add("certificate", redis.Wrong, "valid from "+cert.NotBefore.UTC().Format(time.RFC3339)+" "+text, "renew it, or set this machine's clock")
	case now.Add(renewBefore).After(cert.NotAfter):
		d.add("certificate", redis.Doubtful, text, "renew it, and restart the server")
	default:
		d.add("certificate", redis.Fine, text, "")
	}
}

// cloudRun checks what differs there: the platform sets K_SERVICE.
func (d *doctor) cloudRun() {
	if os.Getenv("K_SERVICE") == "" {
		return
	}
	if d.config.Redis.URL == "" {
		d.add("Cloud Run", redis.Wrong, "no redis.url", "set REDIS_URL: an instance's files are memory and end with it, and a second instance would be a second chat")
	} else {
		d.add("Cloud Run", redis.Fine, "messages are kept in Redis", "")
	}
	if d.config.HTTP.TrustedProxies == 0 {
		d.add("Cloud Run: proxies", redis.Doubtful, "http.trusted_proxies 0", "set it to 1: otherwise all clients share the address of Google's proxy, and the limits per address meet all of them")
	}
	if most := 10 * time.Second; d.config.HTTP.StopTimeout >= most {
		d.add("Cloud Run: stop", redis.Wrong, fmt.Sprintf("http.stop_timeout %s", d.config.HTTP.StopTimeout), "lower it to 8s: an instance is killed 10s after SIGTERM")
	}
}

// What the disk of the embedded store should have.
const (
	lowSpace = 1 << 30
	noSpace  = 64 << 20
)

func (d *doctor) data() {
	dir := d.config.Data.Dir
	if dir == "" {
		d.add("data.dir", redis.Doubtful, "none: messages are kept in memory only", "name a directory, or set redis.url: a restart loses all messages")
		return
	}
	for there := dir; ; there = filepath.Dir(there) {
		dir = there
		// A directory that is missing is made at the start.
		if _, err := os.Stat(there); !errors.Is(err, fs.ErrNotExist) || there == filepath.Dir(there) {
			break
		}
	}
	if err := tryWrite(dir); err != nil {
		d.add("data.dir", redis.Wrong, err.Error(), "let this user write there, or name another directory: data.dir")
		return
	}
	free, known := freeSpace(dir)
	text := fmt.Sprintf("%s can be written and synced, %d MiB free", dir, free>>20)
	switch {
	case !known:
		d.add("data.dir", redis.Unknown, dir+" can be written; this system does not tell how much is free", "see that there is space")
	case free < noSpace:
		d.add("data.dir", redis.Wrong, text, "make space: when there is none, messages are refused")
	case free < lowSpace:
		d.add("data.dir", redis.Doubtful, text, "make space, or lower log.max_messages, log.max_age or data.max_bytes")
	default:
		d.add("data.dir", redis.Fine, text, "")
	}
}

// tryWrite writes, syncs and removes a file in dir.
func tryWrite(dir string) (err error) {
	f, err := os.CreateTemp(dir, ".doctor-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(f.Name())) }()
	if _, err := f.WriteString("doctor\n"); err != nil {
		return err
	}
	return f.Sync()
}
