package hostagent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"

	"git.omukk.dev/wrenn/sandbox/internal/httpserver"
	"git.omukk.dev/wrenn/sandbox/pkg/authority"
)

// listenRemote lets the control planes of the fleet in that this machine has
// joined, if it has: orders and traffic at one address, by TLS on both sides.
func (a *agent) listenRemote(ctx context.Context, orders, traffic http.Handler) (net.Addr, error) {
	member, err := readMembership(a.config.DataDir)
	if err != nil || member == nil {
		return nil, err
	}
	certifier, err := newCertifier(a.config.DataDir, member, a.config.Log)
	if err != nil {
		return nil, err
	}
	config, err := authority.Server(member.Authority, certifier.certificate)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", member.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for control planes: %w", err)
	}
	a.services.serve(endpoint{
		name: "remote", listener: tls.NewListener(httpserver.NewListener(listener, httpserver.Limits{}), config),
		server: newServer(authority.Route(orders, traffic), a.config.Log),
	})
	a.services.group.Go(func() error {
		certifier.run(a.services.ctx)
		return nil
	})
	a.config.Log.Info("listening for control planes", "address", listener.Addr().String(), "host", member.HostID)
	return listener.Addr(), nil
}
