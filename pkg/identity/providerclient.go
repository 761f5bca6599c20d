package identity

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/internet"
)

const (
	// providerTimeout bounds one request to a provider, and providerDialTimeout its
	// connection.
	providerTimeout     = 10 * time.Second
	providerDialTimeout = 5 * time.Second
	// maxProviderAnswer bounds an answer, in bytes.
	maxProviderAnswer = 1 << 20
)

// providerClient sends requests to a provider whose addresses are configured.
func providerClient(configured ...string) *http.Client {
	return &http.Client{Timeout: providerTimeout, Transport: boundedAnswers{providerTransport(configured...)}}
}

// boundedAnswers fails the reading of answers that are longer than maxProviderAnswer.
type boundedAnswers struct{ http.RoundTripper }

func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxProviderAnswer)
	}
	return response, err
}

func providerAway(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the sign-in service did not answer as expected; try again")
}

// providerTransport connects to the configured addresses, which may be private, and
// otherwise to public ones only: a provider's discovery document names further
// addresses, and must not reach this machine or its network.
func providerTransport(configured ...string) http.RoundTripper {
	trusted := map[string]bool{}
	for _, text := range configured {
		address, err := url.Parse(text)
		if err != nil {
			continue // no request to it can be made either
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
