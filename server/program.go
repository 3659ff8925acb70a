package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/antchat/antchat/adapter"
	"github.com/antchat/antchat/adapter/local"
	"github.com/antchat/antchat/adapter/redis"
	"github.com/antchat/antchat/server/adminui"
	"github.com/antchat/antchat/server/chatapi"
	"github.com/antchat/antchat/server/config"
	"github.com/antchat/antchat/server/endpoint"
	"github.com/antchat/antchat/server/engineio"
	"github.com/antchat/antchat/server/gateway"
	"github.com/antchat/antchat/server/httpapi"
	"github.com/antchat/antchat/server/identity"
	"github.com/antchat/antchat/server/observe"
	"github.com/antchat/antchat/server/overload"
	"github.com/antchat/antchat/server/socketio"
	"github.com/antchat/antchat/server/socketio/packet"
	"github.com/antchat/antchat/server/webhook"
	"github.com/antchat/antchat/web"
)

// program is the whole server, as a value: a test starts the same wiring that
// main does. newProgram, listen, run (which ends with stop), in this order.
type program struct {
	// Immutable after listen.
	config   *config.Config
	logger   *slog.Logger
	adapter  adapter.Adapter
	sockets  *socketio.Server
	tokens   *identity.Tokens // nil in open mode
	chat     *chatapi.API
	engine   *engineio.Server
	api      *httpapi.API    // nil without keys
	webhooks *webhook.Sender // nil without any
	gateway  *gateway.Gateway
	http     *http.Server
	listener net.Listener
	metrics  *observe.Metrics
	load     *overload.Monitor
	tracer   *observe.Tracer // nil without tracing.url
	admin    *admin          // nil without admin.listen

	posts    posts       // into chat
	adminUI  *adminui.UI // nil when it is off
	silent   newcomers
	stopping atomic.Bool
	outage   outage
}

// newProgram wires everything up to the listener. A wrong setting is a
// *config.Error.
func newProgram(c *config.Config, logger *slog.Logger) (_ *program, err error) {
	p := &program{config: c, logger: logger, metrics: observe.New(versionText())}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.stop())
		}
	}()

	tlsConfig, err := tlsSettings(c)
	if err != nil {
		return nil, err
	}
	if c.Web.Dir != "" {
		if info, err := os.Stat(c.Web.Dir); err != nil || !info.IsDir() {
			return nil, c.Refuse("web.dir", fmt.Sprintf("%q is no directory that can be read", c.Web.Dir))
		}
	}

	if err := p.openAdapter(); err != nil {
		return nil, err
	}
	rules, err := rules(c)
	if err != nil {
		return nil, err
	}
	p.watchLoad()
	if p.tokens, err = tokens(c, logger); err != nil {
		return nil, err
	}
	events := slices.Concat(chatapi.Events, c.Relay.Events)
	sockets := socketOptions(c, logger)
	sockets.Hooks = p.metrics.SocketIO(events)
	if err := p.openAdminUI(&sockets); err != nil {
		return nil, err
	}
	// The layers above get the store with spans around it, if traces are wanted.
	store := p.adapter
	if c.Tracing.URL != "" {
		if p.tracer, err = observe.NewTracer(traceOptions(c, logger, p.adapter.NodeID(), events)); err != nil {
			return nil, c.Refuse("tracing.url", err.Error())
		}
		sockets.Hooks, store = p.tracer.SocketIO(sockets.Hooks), p.tracer.Adapter(p.adapter)
	}
	p.sockets = socketio.NewServer(store, sockets)
	if p.tracer != nil {
		p.sockets.Of("/").UseEvent(p.tracer.Event) // around all other middleware
	}
	options := p.chatOptions(rules)
	options.Hooks = p.metrics.Chat(events)
	options.Shed = p.shed
	if err := p.openWebhooks(&options.Hooks); err != nil {
		return nil, err
	}
	p.chat, err = chatapi.New(p.sockets.Of("/"), store, options)
	if err != nil {
		return nil, c.Refuse("relay.events", err.Error())
	}
	p.posts.to.Store(p.chat)
	api, err := p.openAPI()
	if err != nil {
		return nil, err
	}

	allowed := c.CORS.Origins
	if p.adminUI != nil {
		p.adminUI.Serve(p.sockets, p.adapter)
		allowed = slices.Concat(allowed, c.AdminUI.Origins)
	}
	origins := gateway.NewOrigins(allowed, c.HTTP.TrustedProxies > 0)
	engine := engineOptions(c, logger)
	engine.CheckOrigin = origins.Allowed
	engine.Admit = p.admit
	engine.Ready = func() bool { return !p.outage.lasts(p.adapter.Status().Ready, time.Now()) }
	engine.Hooks = p.metrics.EngineIO()
	if p.adminUI != nil {
		engine.Hooks = adminUIHooks(p.adminUI, engine.Hooks)
	}
	p.engine = endpoint.New(p.sockets, p.adapter, engine)

	policy := c.Web.ContentSecurityPolicy
	if policy == "auto" {
		policy = ""
	}
	p.gateway, err = gateway.New(gateway.Options{
		Endpoint: p.engine, Path: slashed(c.Engine.Path),
		Client: web.Client(), Page: web.FS(), Dir: c.Web.Dir, ContentSecurityPolicy: policy,
		API: api, Origins: origins, Ready: p.ready, Warnings: p.warnings, Logger: logger,
		Hooks: p.metrics.Gateway(logger, func(r *http.Request) string { return engineio.ClientAddress(r, c.HTTP.TrustedProxies) }),
	})
	if err != nil {
		return nil, err
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true) // a WebSocket needs the connection for itself
	p.http = &http.Server{
		Handler:           p.lastAnswers(p.gateway),
		TLSConfig:         tlsConfig,
		Protocols:         protocols,
		ReadHeaderTimeout: c.HTTP.HeaderTimeout,
		IdleTimeout:       c.HTTP.IdleTimeout,
		MaxHeaderBytes:    c.HTTP.MaxHeaderBytes,
		// No ReadTimeout and no WriteTimeout: they would cut held polls. The
		// endpoint and the gateway limit each request themselves.
		ErrorLog:  observe.HTTPErrors(logger),
		ConnState: p.silent.watch,
	}
	p.watch()
	return p, nil
}

// watch has the metrics ask for what nobody counts, and serves them.
func (p *program) watch() {
	w := observe.Watched{Engine: p.engine, MaxSessions: p.config.Engine.MaxSessions}
	switch a := p.adapter.(type) {
	case *local.Adapter:
		w.Local = a
	case interface{ Stats() redis.Stats }: // among Node servers too
		w.Redis = a
	}
	p.metrics.Watch(w)
	if p.config.Admin.Listen != "" {
		p.admin = newAdmin(observe.Admin(p.metrics.Handler(), p.gateway.Operator()), p.logger)
	}
}

// openAdapter opens the embedded store, or a place in the fleet.
func (p *program) openAdapter() error {
	if p.config.Redis.URL == "" {
		o := adapterOptions(p.config, p.logger)
		o.Hooks = p.metrics.Local()
		a, err := local.Open(o)
		if err != nil {
			return fmt.Errorf("data.dir: %w", err)
		}
		p.adapter = a
		return nil
	}
	o := redisOptions(p.config, p.logger)
	o.Hooks = p.metrics.Redis()
	var err error
	if c := p.config.Official; c.Adapter == "off" && !c.Emitters {
		p.adapter, err = openRedis(o)
	} else {
		p.adapter, err = redis.OpenOfficial(o, p.official())
	}
	if err != nil {
		return p.config.Refuse("redis.url", err.Error())
	}
	return nil
}

// openRedis keeps a nil pointer out of the interface.
func openRedis(o redis.Options) (adapter.Adapter, error) {
	a, err := redis.Open(o)
	if err != nil {
		return nil, err
	}
	return a, nil
}

// ready is what /readyz asks.
func (p *program) ready() error {
	if p.stopping.Load() {
		return errors.New("shutting down")
	}
	if s := p.adapter.Status(); !s.Ready {
		return errors.New(s.Reason)
	}
	return nil
}

// warnings are what /readyz tells the operator.
func (p *program) warnings() []string { return p.adapter.Status().Warnings }

// listen opens the ports. Clients' connections wait until run; an operator is
// served from here on.
func (p *program) listen() error {
	if p.admin != nil {
		if err := p.admin.listen(p.config.Admin.Listen); err != nil {
			return fmt.Errorf("admin.listen: %w", err)
		}
		p.logger.Info("metrics and profiles are served", "address", p.admin.address())
	}
	address := net.JoinHostPort(p.config.HTTP.Addr, strconv.Itoa(p.config.HTTP.Port))
	// No TCP keep-alive: heartbeats and the HTTP server's idle time find dead
	// connections, and it costs four system calls a connection.
	lc := net.ListenConfig{KeepAlive: -1}
	l, err := lc.Listen(context.Background(), "tcp", address)
	if err != nil {
		return fmt.Errorf("http.addr, http.port: %w", err)
	}
	p.listener = l
	return nil
}

// url is the address to open in a browser of this machine.
func (p *program) url() string {
	scheme := "http"
	if p.http.TLSConfig != nil {
		scheme = "https"
	}
	host := p.config.HTTP.Addr
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	_, port, err := net.SplitHostPort(p.listener.Addr().String())
	if err != nil {
		port = strconv.Itoa(p.config.HTTP.Port)
	}
	return scheme + "://" + net.JoinHostPort(host, port) + "/"
}

// run serves until ctx ends or the listener fails, and then stops everything.
// It may be called once.
func (p *program) run(ctx context.Context) error {
	done := make(chan struct{})
	defer func() { <-done }()
	background, end := context.WithCancel(context.Background())
	defer end()
	go func() {
		defer close(done)
		newMemory().run(background)
	}()
	served := make(chan error, 1)
	go func() {
		if p.http.TLSConfig != nil {
			served <- p.http.ServeTLS(p.listener, "", "")
		} else {
			served <- p.http.Serve(p.listener)
		}
	}()
	select {
	case <-ctx.Done():
		p.logger.Info("stopping")
		err := p.stop()
		if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
			err = errors.Join(err, fmt.Errorf("serve: %w", serr))
		}
		if err == nil {
			p.logger.Info("stopped", "served", p.metrics)
		}
		return err
	case err := <-served:
		return errors.Join(fmt.Errorf("serve: %w", err), p.stop())
	}
}

func tlsSettings(c *config.Config) (*tls.Config, error) {
	if c.HTTP.TLSCert == "" {
		return nil, nil
	}
	for key, name := range map[string]string{"http.tls_cert": c.HTTP.TLSCert, "http.tls_key": c.HTTP.TLSKey} {
		if _, err := os.ReadFile(name); err != nil {
			return nil, c.Refuse(key, err.Error())
		}
	}
	pair, err := tls.LoadX509KeyPair(c.HTTP.TLSCert, c.HTTP.TLSKey)
	if err != nil {
		return nil, c.Refuse("http.tls_cert", fmt.Sprintf("no certificate that fits http.tls_key: %v", err))
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func adapterOptions(c *config.Config, logger *slog.Logger) local.Options {
	grace := c.Presence.Grace
	if grace == 0 {
		grace = -1 // none: zero is the option's default
	}
	return local.Options{
		Dir:          c.Data.Dir,
		NodeID:       c.Node.ID,
		Window:       c.Recovery.Window, // 0: the default, unused
		Grace:        grace,
		LogMax:       c.Log.MaxMessages,
		LogAge:       c.Log.MaxAge,
		MaxLogRooms:  c.Log.MaxRooms,
		MaxBytes:     c.Data.MaxBytes,
		DedupeWindow: c.Dedupe.Window,
		MaxKeys:      c.Dedupe.MaxIDs,
		// As many may be lost and waiting as may be connected.
		MaxSessions: 2 * c.Engine.MaxSessions,
		Logger:      logger,
	}
}

func traceOptions(c *config.Config, logger *slog.Logger, node string, events []string) observe.TraceOptions {
	headers := make(map[string]string, len(c.Tracing.Headers))
	for _, h := range c.Tracing.Headers {
		name, value, _ := strings.Cut(h, "=") // checked
		headers[name] = value
	}
	return observe.TraceOptions{
		URL: c.Tracing.URL, Headers: headers, OneIn: c.Tracing.OneIn,
		Node: node, Version: versionText(), Events: events, Logger: logger,
	}
}

func redisOptions(c *config.Config, logger *slog.Logger) redis.Options {
	grace := c.Presence.Grace
	if grace == 0 {
		grace = -1 // none: zero is the option's default
	}
	return redis.Options{
		URL:          c.Redis.URL,
		Prefix:       c.Redis.Prefix,
		CAFile:       c.Redis.CAFile,
		NodeID:       c.Node.ID,
		AckReplicas:  c.Log.AckReplicas,
		Window:       c.Recovery.Window, // 0: the default, unused
		Grace:        grace,
		LogMax:       c.Log.MaxMessages,
		LogAge:       c.Log.MaxAge,
		DedupeWindow: c.Dedupe.Window,
		Logger:       logger,
	}
}

func socketOptions(c *config.Config, logger *slog.Logger) socketio.Options {
	offsets := map[string]socketio.OffsetPolicy{
		"auto": socketio.OffsetsAuto, "always": socketio.OffsetsAlways, "never": socketio.OffsetsNever,
	}
	return socketio.Options{
		ConnectTimeout: c.Engine.ConnectTimeout,
		AckTimeout:     c.SocketIO.AckTimeout,
		Recovery:       c.Recovery.Window > 0,
		Offsets:        offsets[c.Recovery.Offsets],
		Limits: packet.Limits{
			MaxAttachments: c.SocketIO.MaxAttachments,
			MaxDepth:       c.SocketIO.MaxDepth,
			// A packet of some large parts, and not of as many as there may be.
			MaxBytes: int(4 * c.Engine.MaxHTTPBufferSize),
		},
		MaxArriving:    c.Engine.MaxArriving,
		Inbox:          c.SocketIO.Inbox,
		MaxHeld:        c.SocketIO.MaxHeld,
		MaxRooms:       c.SocketIO.MaxRooms,
		MaxNamespaces:  c.SocketIO.MaxNamespaces,
		MaxPendingAcks: c.SocketIO.MaxPendingAcks,
		Views:          chatapi.Views,
		Secrets:        chatapi.Secrets,
		ErrorPayload:   chatapi.ErrorPayload,
		Logger:         logger,
	}
}

// engineOptions leaves out what the program itself knows: the node and the
// origins.
func engineOptions(c *config.Config, logger *slog.Logger) engineio.Options {
	o := engineio.Options{
		PingInterval:          c.Engine.PingInterval,
		PingTimeout:           c.Engine.PingTimeout,
		UpgradeTimeout:        c.Engine.UpgradeTimeout,
		WriteTimeout:          c.Engine.WriteTimeout,
		BodyTimeout:           c.HTTP.BodyTimeout,
		PollHold:              c.Engine.PollHold,
		MaxAge:                c.Engine.MaxAge,
		MaxAgeJitter:          c.Engine.MaxAgeJitter,
		MaxHTTPBufferSize:     c.Engine.MaxHTTPBufferSize,
		MaxPayloadPackets:     c.Engine.MaxPayloadPackets,
		QueueBytes:            c.Engine.QueueBytes,
		QueuePackets:          c.Engine.QueuePackets,
		MaxArriving:           c.Engine.MaxArriving,
		MaxSessions:           c.Engine.MaxSessions,
		MaxSessionsPerAddress: c.Engine.MaxSessionsPerAddress,
		Transports:            c.Engine.Transports,
		DisableRevision3:      !c.Engine.AllowRevision3,
		StrictRevision:        c.Engine.StrictRevision,
		TrustedProxies:        c.HTTP.TrustedProxies,
		Secrets:               chatapi.Secrets,
		Logger:                logger,
	}
	if c.Engine.Cookie != "" {
		o.Cookie = &http.Cookie{Name: c.Engine.Cookie, Secure: c.Engine.CookieSecure}
	}
	return o
}

// slashed ends a path in a slash.
func slashed(path string) string {
	if path[len(path)-1] != '/' {
		path += "/"
	}
	return path
}
