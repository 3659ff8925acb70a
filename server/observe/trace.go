package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/server/socketio"
)

// TraceOptions say where traces go. All fields are required except Headers.
type TraceOptions struct {
	// URL of an OTLP receiver over HTTP, such as
	// http://127.0.0.1:4318/v1/traces.
	URL string
	// Headers go with each request to it.
	Headers map[string]string
	// OneIn is of how many events one begins a trace: 1 traces all.
	OneIn int
	// Node and Version name this process in what it sends.
	Node, Version string
	// Events are those that have handlers; a span of any other is named "other",
	// since a client made its name up.
	Events []string
	// Logger is told when traces cannot be sent.
	Logger *slog.Logger
}

// Tracer follows an event from its client to the last node that delivers it:
//
//	event NAME               from its turn to its handler's end
//	└─ append, or emit       until the store has it
//	   ├─ deliver            on each node with members: until it is queued for
//	   └─ deliver            all of them
//
// The context crosses Redis as a W3C traceparent in the message's head
// ([adapter.Delivery.Trace]). Spans hold no room, no name, no text.
type Tracer struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	names    map[string]string // of spans, by event
}

// spanQueue bounds the spans that wait to be sent; more are dropped.
const spanQueue = 4096

// NewTracer makes a tracer. It does not wait for the receiver, whose absence only
// loses spans. Close ends it.
func NewTracer(o TraceOptions) (*Tracer, error) {
	exporter := otlptrace.NewUnstarted(&otlpClient{url: o.URL, headers: o.Headers, http: newExportHTTP()})
	if err := exporter.Start(context.Background()); err != nil { // starts no work
		return nil, fmt.Errorf("start the exporter of traces: %w", err)
	}
	// The library has one handler for the whole process.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Logger.Warn("traces cannot be sent", "error", err) }))
	t := &Tracer{
		provider: sdktrace.NewTracerProvider(
			sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(1/float64(max(1, o.OneIn))))),
			sdktrace.WithBatcher(exporter, sdktrace.WithMaxQueueSize(spanQueue)),
			sdktrace.WithResource(resource.NewSchemaless(
				attribute.String("service.name", "antchat"),
				attribute.String("service.version", o.Version),
				attribute.String("service.instance.id", o.Node),
			)),
		),
		names: make(map[string]string, len(o.Events)),
	}
	t.tracer = t.provider.Tracer("github.com/antchat/antchat")
	for _, name := range o.Events {
		t.names[name] = "event " + name
	}
	return t, nil
}

// Close sends what is left, until ctx ends.
func (t *Tracer) Close(ctx context.Context) error {
	err := t.provider.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return nil // spans may be lost
	}
	return err
}

// Event is middleware for a namespace: a span around each event's handler.
func (t *Tracer) Event(next socketio.EventHandler) socketio.EventHandler {
	return func(ctx context.Context, s *socketio.Socket, e *socketio.Incoming) (socketio.Reply, error) {
		name := t.names[e.Name]
		if name == "" {
			name = "event " + other
		}
		ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindServer), trace.WithNewRoot())
		defer span.End() // also when the handler panics
		if span.IsRecording() {
			span.SetAttributes(
				attribute.Int("socketio.protocol", s.Protocol()), attribute.Int("socketio.event.size", e.Event.Size()),
				attribute.Bool("socketio.event.ack", e.WantsAck),
			)
		}
		reply, err := next(ctx, s, e)
		if err != nil {
			span.SetStatus(codes.Error, "") // its text may be the client's
		}
		return reply, err
	}
}

// Adapter is a with spans around what it publishes, and their context in it.
func (t *Tracer) Adapter(a adapter.Adapter) adapter.Adapter { return &tracedAdapter{a, t} }

// tracedAdapter is an adapter whose appends and emits carry a trace.
type tracedAdapter struct {
	adapter.Adapter
	t *Tracer
}

// begin starts a span, if what ctx is part of is traced, and gives its context as
// a traceparent.
func (t *Tracer) begin(ctx context.Context, name string) (_ context.Context, span trace.Span, traceparent string) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, nil, ""
	}
	ctx, span = t.tracer.Start(ctx, name, trace.WithSpanKind(trace.SpanKindProducer))
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return ctx, span, carrier["traceparent"]
}

func finish(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, "")
	}
	span.End()
}

// Append implements adapter.Log.
func (a *tracedAdapter) Append(ctx context.Context, e adapter.Append) (adapter.Appended, error) {
	ctx, span, traceparent := a.t.begin(ctx, "append")
	e.Trace = traceparent
	got, err := a.Adapter.Append(ctx, e)
	if span != nil && err == nil {
		span.SetAttributes(attribute.Bool("antchat.duplicate", got.Duplicate), attribute.Int64("antchat.seq", int64(got.Seq)))
	}
	finish(span, err)
	return got, err
}

// Emit implements adapter.Broadcaster.
func (a *tracedAdapter) Emit(ctx context.Context, e adapter.Emit) error {
	ctx, span, traceparent := a.t.begin(ctx, "emit")
	e.Trace = traceparent
	err := a.Adapter.Emit(ctx, e)
	finish(span, err)
	return err
}

// SocketIO adds to hooks what ends a trace on this node.
func (t *Tracer) SocketIO(h socketio.Hooks) socketio.Hooks {
	delivered := h.Delivered
	h.Delivered = func(d *adapter.Delivery, recipients, encoded int, took time.Duration) {
		if delivered != nil {
			delivered(d, recipients, encoded, took)
		}
		if d.Trace == "" {
			return
		}
		ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": d.Trace})
		if !trace.SpanContextFromContext(ctx).IsSampled() {
			return // none, or what no node of ours wrote
		}
		end := time.Now()
		_, span := t.tracer.Start(ctx, "deliver", trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(end.Add(-took)), trace.WithAttributes(
			attribute.String("antchat.class", classes[d.Class]), attribute.Int("antchat.recipients", recipients), attribute.Int("antchat.encoded", encoded),
		))
		span.End(trace.WithTimestamp(end))
	}
	return h
}
