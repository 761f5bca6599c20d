package identity

import (
	"context"
	"net/http"
	"time"

	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Provider is another service whose word is taken on who somebody is.
type Provider interface {
	// Begin returns where a browser goes to ask the service.
	Begin(ctx context.Context, attempt Attempt) (string, error)
	// Finish turns what the browser came back with into who it is.
	Finish(ctx context.Context, attempt Attempt, code string) (External, error)
	// SignUp says whether somebody who was not invited gets an account.
	SignUp() bool
}

// Attempt is what ties a browser that comes back to the one that left.
type Attempt struct {
	State    string
	Nonce    string
	Verifier string // PKCE's
	Redirect string // where the service sends the browser
}

// External is who somebody is at a provider. Subject never changes; Email is empty
// unless the provider vouches for it.
type External struct {
	Subject string
	Email   string
	Name    string
}

const (
	providerTimeout = 10 * time.Second
	largestDocument = 1 << 20
)

// providerClient talks to a provider, whose addresses are configured. Its answers
// are bounded.
func providerClient(configured ...string) *http.Client {
	return &http.Client{Timeout: providerTimeout, Transport: boundedAnswers{providerTransport(configured...)}}
}

// boundedAnswers cuts answers off that are larger than any sensible one.
type boundedAnswers struct{ http.RoundTripper }

func (b boundedAnswers) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		response.Body = http.MaxBytesReader(nil, response.Body, largestDocument)
	}
	return response, err
}

func providerAway(err error) error {
	return fault.Wrap(fault.Unavailable, err, "the sign-in service did not answer as expected; try again")
}
