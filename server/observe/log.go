package observe

import (
	"context"
	"io"
	"log"
	"log/slog"
	"strings"
)

// LogOptions say how lines look. The zero value writes JSON from level INFO on, all
// of it.
type LogOptions struct {
	Level slog.Leveler
	// Format of the lines. JSON.
	Format Format
	// PerSecond bounds the lines of one kind, which is a level and a message, in
	// one second. What is left out is counted, and told in a line of its own a
	// second later. 0: no bound.
	PerSecond int
	// Project is the Google Cloud project's id, which Cloud Logging needs to find
	// the trace that a line belongs to. Without it a line names the bare trace.
	Project string
}

// Format of log lines.
type Format int

// The formats.
const (
	JSON Format = iota
	Text        // key=value, for people
	// Cloud is JSON with the names that Google's Cloud Logging gives a meaning
	// to: severity, message, httpRequest, logging.googleapis.com/trace
	// (cloud.google.com/logging/docs/structured-logging).
	Cloud
)

// Log is a logger and what it is made of. Close ends it.
type Log struct {
	*slog.Logger
	sampler *sampler
}

// NewLog makes a logger that writes to w.
func NewLog(w io.Writer, o LogOptions) *Log {
	l := &Log{}
	ho := &slog.HandlerOptions{Level: o.Level}
	var h slog.Handler
	switch o.Format {
	case Text:
		h = slog.NewTextHandler(w, ho)
	case Cloud:
		ho.ReplaceAttr = cloudNames
		h = slog.NewJSONHandler(w, ho)
	default:
		h = slog.NewJSONHandler(w, ho)
	}
	prefix := ""
	if o.Project != "" {
		prefix = "projects/" + o.Project + "/traces/"
	}
	h = &traceHandler{Handler: h, cloud: o.Format == Cloud, prefix: prefix}
	if o.PerSecond > 0 {
		l.sampler = newSampler(h, o.PerSecond)
		h = &sampledHandler{h, l.sampler}
	}
	l.Logger = slog.New(h)
	return l
}

// Close tells what has been left out and not been told yet. Lines after it are
// written, but what is left out of them is not told.
func (l *Log) Close() {
	if l.sampler != nil {
		l.sampler.close()
	}
}

// cloudNames are slog's own fields as Cloud Logging calls them.
func cloudNames(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.MessageKey:
		a.Key = "message"
	case slog.LevelKey:
		a.Key = "severity"
		if level, ok := a.Value.Any().(slog.Level); ok {
			switch {
			case level < slog.LevelInfo:
				a.Value = slog.StringValue("DEBUG")
			case level < slog.LevelWarn:
				a.Value = slog.StringValue("INFO")
			case level < slog.LevelError:
				a.Value = slog.StringValue("WARNING")
			default:
				a.Value = slog.StringValue("ERROR")
			}
		}
	}
	return a
}

// traceHandler adds the trace that a line's context is part of.
type traceHandler struct {
	slog.Handler
	cloud  bool
	prefix string // of a trace's name in Cloud Logging
}

// Handle implements slog.Handler.
func (h *traceHandler) Handle(ctx context.Context, r slog.Record) error {
	if t := traceOf(ctx); t.id != "" {
		if h.cloud {
			r.AddAttrs(slog.String("logging.googleapis.com/trace", h.prefix+t.id), slog.Bool("logging.googleapis.com/trace_sampled", t.sampled))
			if t.span != "" {
				r.AddAttrs(slog.String("logging.googleapis.com/spanId", t.span))
			}
		} else {
			r.AddAttrs(slog.String("trace_id", t.id))
		}
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *traceHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &traceHandler{h.Handler.WithAttrs(attrs), h.cloud, h.prefix}
}

// WithGroup implements slog.Handler.
func (h *traceHandler) WithGroup(name string) slog.Handler {
	return &traceHandler{h.Handler.WithGroup(name), h.cloud, h.prefix}
}

// HTTPErrors is an http.Server's ErrorLog: one kind of line, whatever net/http
// says, so that it is bounded as such.
func HTTPErrors(l *slog.Logger) *log.Logger { return log.New(httpErrors{l}, "", 0) }

type httpErrors struct{ logger *slog.Logger }

// Write implements io.Writer; net/http writes a line at a time.
func (w httpErrors) Write(line []byte) (int, error) {
	w.logger.Debug("http server", "error", strings.TrimSuffix(string(line), "\n"))
	return len(line), nil
}
