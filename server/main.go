package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/antchat/antchat/server/config"
	"github.com/antchat/antchat/server/observe"
	"github.com/antchat/antchat/server/plan"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitSettings = 2 // a wrong or unknown setting
	exitForced   = 3 // a second signal while stopping
)

// version is set by the linker (see the Makefile).
var version = ""

func main() {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	ctx, stop := context.WithCancel(context.Background())
	// Lives as long as the process.
	go func() {
		<-signals
		stop()
		<-signals
		os.Exit(exitForced)
	}()
	// A server of idle connections is mostly live heap, and what is free between
	// the live objects after a wave of connects stays so: collecting a little
	// earlier than Go does by itself leaves less of it, some 150 bytes a connection
	// (docs/decisions, "polled-connections"). GOGC wins.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(65)
	}
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// start does everything from the command line to the end, which comes when ctx
// ends, and returns the exit code.
func start(ctx context.Context, args []string, stdout, stderr *os.File) int {
	err := command(ctx, args, stdout, stderr)
	var wrong *config.Error
	var flag *plan.FlagError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &flag):
		complain(stderr, flag)
		return exitSettings
	case errors.As(err, &wrong):
		complain(stderr, wrong)
		return exitSettings
	default:
		complain(stderr, err)
		return exitFailed
	}
}

// complain writes the one line that says why the program ends.
func complain(w io.Writer, err error) {
	_, _ = fmt.Fprintln(w, "antchat:", strings.ReplaceAll(err.Error(), "\n", "; "))
}

func command(ctx context.Context, args []string, stdout, stderr *os.File) error {
	// It has flags of its own, and no setting means anything to it.
	if len(args) > 0 && args[0] == "plan" {
		return plan.Command(args[1:], stdout)
	}
	c, request, err := config.Load(args)
	if request == config.Doctor {
		return diagnose(ctx, c, err, stdout)
	}
	if request == config.Password {
		return hashPassword(os.Stdin, stdout)
	}
	if request == config.NewKey {
		return newKey(stdout)
	}
	if err != nil {
		return err
	}
	switch request {
	case config.Healthcheck:
		return healthcheck(ctx, c, stdout)
	case config.Help:
		return config.WriteHelp(stdout)
	case config.Version:
		_, err := fmt.Fprintf(stdout, "antchat %s %s %s/%s\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	case config.Print:
		return c.Write(stdout)
	}

	log := newLog(c.Logging, stderr)
	defer log.Close()
	logger := log.Logger
	fitFileLimit(c, logger)
	fitMemory(logger)
	p, err := newProgram(c, logger)
	if err != nil {
		return err
	}
	if err := p.listen(); err != nil {
		return errors.Join(err, p.stop())
	}
	if c.CloudRun.Service != "" {
		// Nobody sits there to open it, and every line becomes an entry of its log.
		logger.Info("serving", "port", c.HTTP.Port, "version", versionText(), "service", c.CloudRun.Service, "revision", c.CloudRun.Revision)
		return p.run(ctx)
	}
	// On standard output, whatever the form of the log: this line is for people.
	if _, err := fmt.Fprintln(stdout, "Antchat is ready: open", p.url()); err != nil {
		logger.Warn("standard output is closed", "error", err)
	}
	return p.run(ctx)
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

func newLog(c config.Logging, w *os.File) *observe.Log {
	var level slog.Level
	// The setting's values are slog's own names.
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		panic(err)
	}
	o := observe.LogOptions{Level: level, PerSecond: c.MaxPerSecond, Project: c.Project}
	switch {
	case c.Format == "text" || c.Format == "auto" && isTerminal(w):
		o.Format = observe.Text
	case c.Format == "cloud":
		o.Format = observe.Cloud
	}
	return observe.NewLog(w, o)
}

// isTerminal takes any character device for a terminal: text to /dev/null does
// no harm.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
