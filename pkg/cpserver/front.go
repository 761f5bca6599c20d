package cpserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"git.omukk.dev/wrenn/sandbox/internal/api"
	"git.omukk.dev/wrenn/sandbox/internal/api/resources"
	"git.omukk.dev/wrenn/sandbox/internal/api/templates"
	"git.omukk.dev/wrenn/sandbox/internal/boot"
	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/forward"
	"git.omukk.dev/wrenn/sandbox/internal/proxy/route"
	"git.omukk.dev/wrenn/sandbox/internal/webui"
	"git.omukk.dev/wrenn/sandbox/pkg/store"
)

const (
	// drainTimeout bounds the wait for requests of the API under way, which may be
	// pauses.
	drainTimeout = 90 * time.Second
	// closeTimeout bounds the wait for streams, after all sandboxes are paused.
	closeTimeout      = 2 * time.Second
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	// bodyStall is how long a request's body may bring nothing before its answer
	// begins. Streams of official clients send a message every 50 seconds.
	bodyStall = 2 * time.Minute
)

// front is the HTTP server: the API and the traffic to sandboxes.
type front struct {
	listener net.Listener
	ready    chan struct{} // closed when requests may be answered
}

// listen opens the port. Clients that connect wait until front.ready.
func (o *options) listen(ctx context.Context, steps *boot.Sequence, f *front, b *base, h *hosts, s *services, server *api.Server) error {
	listener := o.listener
	if listener == nil {
		var err error
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", b.Config.Listen); err != nil {
			return fmt.Errorf("WRENN_LISTEN: %w", err)
		}
	}
	f.listener = httpserver.NewListener(listener, httpserver.Limits{
		PerAddress: b.Config.MaxConnectionsPerAddress,
		Exempt:     func(address netip.Addr) bool { return address.IsLoopback() || server.Access.Clients.Trusts(address) },
	})
	forwarder := forward.New(b.Log)
	steps.OnStop("close connections to sandboxes", func(context.Context) error { forwarder.Close(); return nil })
	router := &route.Router{
		Domains:   route.NewDomains(b.Config.Domain),
		Directory: store.NewSandboxes(b.Pool), Resumer: s.sandboxes, Tokens: b.keys.tokens, Forwarder: forwarder,
		Hosts: h.agents, Clients: server.Access.Clients, AdminToken: b.adminToken, Log: b.Log,
	}
	handler := (&resources.VolumeContent{Volumes: s.volumes, Log: b.Log}).Before(server.Handler())
	handler = (&templates.Uploads{Builds: s.builds, Log: b.Log}).Before(handler)
	if o.around != nil {
		handler = o.around(handler)
	}
	handler = webui.New(b.Config.Domain).Before(handler)
	httpServer := newHTTPServer(router.Before(handler), b.Log)
	steps.Serve("serve", func(ctx context.Context) error {
		select {
		case <-f.ready:
			return httpserver.Serve(ctx, httpServer, f.listener, closeTimeout)
		case <-ctx.Done():
			return f.listener.Close()
		}
	})
	return nil
}

func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: httpserver.Handler(handler, httpserver.Options{Stall: bodyStall}), Protocols: protocols,
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, ConnContext: httpserver.ConnContext,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
