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

// remote is the endpoint for the control planes of a fleet: requests to the agent and
// traffic at one address, by TLS with certificates on both sides.
type remote struct {
	endpoint
	certifier *certifier
}

// openRemote listens for the control planes of the fleet that this machine has joined.
// It returns nil if it has joined none.
func openRemote(ctx context.Context, config Config, rpc, traffic http.Handler) (*remote, error) {
	member, err := readMembership(config.DataDir)
	if err != nil || member == nil {
		return nil, err
	}
	certifier, err := newCertifier(config.DataDir, member, config.Log)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := authority.Server(member.Authority, certifier.certificate)
	if err != nil {
		return nil, fmt.Errorf("read the authority's certificate: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", member.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for control planes: %w", err)
	}
	config.Log.InfoContext(ctx, "listening for control planes", "address", listener.Addr().String(), "host", member.HostID)
	return &remote{certifier: certifier, endpoint: endpoint{
		listener: tls.NewListener(httpserver.NewListener(listener, httpserver.Limits{}), tlsConfig),
		server:   newServer(authority.Route(rpc, traffic), config.Log),
	}}, nil
}

// renew keeps the host's certificate valid until ctx ends.
func (r *remote) renew(ctx context.Context) error {
	r.certifier.run(ctx)
	return nil
}
