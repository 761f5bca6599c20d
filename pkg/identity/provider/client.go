// Package provider has the identity providers that the configuration can name: OpenID
// Connect and GitHub.
package provider

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
	// requestTimeout bounds one request to a provider, and dialTimeout its
	// connection.
	requestTimeout = 10 * time.Second
	dialTimeout    = 5 * time.Second
	// maxAnswer bounds an answer, in bytes.
	maxAnswer = 1 << 20
)

// newClient sends requests to a provider whose addresses are configured.
func newClient(configured ...string) *http.Client {
	return &http.Client{Timeout: requestTimeout, Transport: boundedAnswers{newTransport(configured...)}}
}

// boundedAnswers fails the reading of answers that are longer than maxAnswer.
type boundedAnswers struct{ http.RoundTripper }

func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, maxAnswer)
	}
	return response, err
}

func away(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the sign-in service did not answer as expected; try again")
}

// newTransport connects to the configured addresses, which may be private, and
// otherwise to public ones only: a provider's discovery document names further
// addresses, and must not reach this machine or its network.
func newTransport(configured ...string) http.RoundTripper {
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
		dialer := &net.Dialer{Timeout: dialTimeout}
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

// errDenied is for a provider that says that the person may not sign in, or did not
// want to.
var errDenied = fault.New(fault.Unauthenticated, "the sign-in service did not let you in")

// codeOf returns the authorization code in a callback.
func codeOf(callback *http.Request) (string, error) {
	if callback.FormValue("error") != "" {
		return "", errDenied
	}
	return callback.FormValue("code"), nil
}
