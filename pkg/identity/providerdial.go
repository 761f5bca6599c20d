package identity

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

// providerDialTimeout bounds one connection to a provider.
const providerDialTimeout = 5 * time.Second

// providerTransport connects to the addresses that the operator has configured,
// wherever they lead, and else to public ones: a provider's document names further
// addresses, and must not name this machine or its network.
func providerTransport(configured ...string) http.RoundTripper {
	trusted := map[string]bool{}
	for _, text := range configured {
		address, err := url.Parse(text)
		if err != nil {
			continue // what cannot be parsed is never connected to
		}
		trusted[endpointOf(address)] = true
		if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: address}); err == nil && proxy != nil {
			trusted[endpointOf(proxy)] = true
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		dialer := &net.Dialer{Timeout: providerDialTimeout}
		if !trusted[address] {
			dialer.ControlContext = internet.Guard{}.Control
		}
		return dialer.DialContext(ctx, network, address)
	}
	return transport
}

// endpointOf is the host and port of an address, as a transport dials it.
func endpointOf(address *url.URL) string {
	port := address.Port()
	switch {
	case port != "":
	case address.Scheme == "http":
		port = "80"
	default:
		port = "443"
	}
	return net.JoinHostPort(address.Hostname(), port)
}
