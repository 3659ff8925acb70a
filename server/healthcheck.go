package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/antchat/antchat/server/config"
)

// healthLimit bounds a health check: less than what containers wait by default.
const healthLimit = 3 * time.Second

// healthcheck asks the server that runs on this machine with the same settings
// whether it lives: what an image without a shell has for a health check.
func healthcheck(ctx context.Context, c *config.Config, stdout io.Writer) error {
	if c.HTTP.Port == 0 {
		return c.Refuse("http.port", "with 0 nobody knows where the server listens")
	}
	scheme, host := "http", c.HTTP.Addr
	if c.HTTP.TLSCert != "" {
		scheme = "https"
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, strconv.Itoa(c.HTTP.Port))+"/healthz", nil)
	if err != nil {
		return err
	}
	// The certificate is made out to the name that clients use, not to this one;
	// whoever answers on the machine's own port is believed.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256))
	text := strings.TrimSpace(string(body))
	switch {
	case err != nil:
		return fmt.Errorf("read answer: %w", err)
	case resp.StatusCode != http.StatusOK:
		return errors.New(resp.Status + ": " + text)
	}
	_, err = fmt.Fprintln(stdout, text)
	return err
}
