package observe

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// traceRef is a trace that a log line belongs to.
type traceRef struct {
	id      string // 32 digits of hexadecimal; "": none
	span    string // 16
	sampled bool
}

type traceKey struct{}

// traceOf finds the trace of a context: the span that is under way, or what the
// request came with.
func traceOf(ctx context.Context) traceRef {
	if ctx == nil {
		return traceRef{}
	}
	if s := trace.SpanContextFromContext(ctx); s.IsValid() {
		return traceRef{s.TraceID().String(), s.SpanID().String(), s.IsSampled()}
	}
	t, _ := ctx.Value(traceKey{}).(traceRef)
	return t
}

// withTraceOf adds the trace that a request's headers name.
func withTraceOf(ctx context.Context, r *http.Request) context.Context {
	if t := traceOfRequest(r); t.id != "" {
		return context.WithValue(ctx, traceKey{}, t)
	}
	return ctx
}

// traceOfRequest reads traceparent (W3C Trace Context, "traceparent Header") or
// X-Cloud-Trace-Context: TRACE_ID/SPAN_ID;o=OPTIONS, with the span in decimal
// (cloud.google.com/trace/docs/trace-context). What has another form is none.
func traceOfRequest(r *http.Request) traceRef {
	if p := strings.Split(r.Header.Get("Traceparent"), "-"); len(p) >= 4 && len(p[0]) == 2 && isID(p[1], 32) && isID(p[2], 16) && isHex(p[3], 2) {
		flags, _ := strconv.ParseUint(p[3], 16, 8) // two digits
		return traceRef{p[1], p[2], flags&1 != 0}
	}
	id, rest, _ := strings.Cut(r.Header.Get("X-Cloud-Trace-Context"), "/")
	if !isID(id, 32) {
		return traceRef{}
	}
	t := traceRef{id: id}
	span, options, _ := strings.Cut(rest, ";")
	if n, err := strconv.ParseUint(span, 10, 64); err == nil && n != 0 {
		t.span = strconv.FormatUint(n, 16)
		t.span = strings.Repeat("0", 16-len(t.span)) + t.span
	}
	t.sampled = options == "o=1"
	return t
}

// isHex says that a text is n lower-case digits of hexadecimal.
func isHex(text string, n int) bool {
	return len(text) == n && strings.Trim(text, "0123456789abcdef") == ""
}

// isID says that a text is n such digits, and not only zeros.
func isID(text string, n int) bool { return isHex(text, n) && strings.Trim(text, "0") != "" }
