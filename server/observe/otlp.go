package observe

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// exportTimeout bounds one request to the receiver of traces.
const exportTimeout = 10 * time.Second

// otlpClient sends spans as OTLP over HTTP, in protobuf (OTLP 1.x, "OTLP/HTTP"). It
// stands in for OpenTelemetry's own, otlptracehttp, whose import of the service's
// definition brings gRPC along: 11 MB of program for three headers and a POST.
// What cannot be sent is not sent again.
type otlpClient struct {
	url     string
	headers map[string]string
	http    *http.Client
}

// newExportHTTP has connections of its own, which Stop closes.
func newExportHTTP() *http.Client {
	return &http.Client{Timeout: exportTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, IdleConnTimeout: time.Minute}}
}

// Start implements otlptrace.Client.
func (c *otlpClient) Start(context.Context) error { return nil }

// Stop implements otlptrace.Client.
func (c *otlpClient) Stop(context.Context) error {
	c.http.CloseIdleConnections()
	return nil
}

// UploadTraces implements otlptrace.Client. TracesData is the same message as the
// service's ExportTraceServiceRequest, by OTLP's own word.
func (c *otlpClient) UploadTraces(ctx context.Context, spans []*tracev1.ResourceSpans) error {
	body, err := proto.Marshal(&tracev1.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode spans: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range c.headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the receiver answered %s", resp.Status)
	}
	return nil
}
