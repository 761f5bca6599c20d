package identity

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Provider is a service that says who a person is: an OpenID Connect provider,
// GitHub, or what an extension brings, such as SAML. The package comment says how a
// sign-in goes. Its methods are called by many goroutines at once.
//
// Begin and Finish return a *fault.Error for what the person may be told, such as
// fault.Unauthenticated for an answer that is not valid; any other error is logged
// and shown as internal.
type Provider interface {
	// Name identifies the provider in addresses and in the database: letters, digits,
	// dashes and underscores. It must never change.
	Name() string
	// Title is what the sign-in page calls the provider.
	Title() string
	// Begin returns the URL that the browser is redirected to.
	Begin(ctx context.Context, attempt Attempt) (redirectURL string, err error)
	// Finish checks the provider's answer in the request for attempt.CallbackURL, and
	// that it belongs to the attempt. The state has been compared already.
	Finish(ctx context.Context, attempt Attempt, callback *http.Request) (ExternalIdentity, error)
}

// SignUpPolicy is what a Provider may also implement. A provider without it has
// InvitedOnly.
type SignUpPolicy interface {
	SignUp() SignUp
}

// SignUp says who gets an account at the first sign-in with a provider.
type SignUp bool

const (
	// InvitedOnly gives an account to those whose address was invited to a team.
	InvitedOnly SignUp = false
	// Everyone gives an account to all for whose e-mail address the provider vouches.
	Everyone SignUp = true
)

// ExternalIdentity is who a person is, as a provider says.
type ExternalIdentity struct {
	// Provider is the Name of the provider.
	Provider string
	// Subject identifies the person at the provider. It never changes.
	Subject string
	Email   string
	// EmailVerified says that the provider vouches for Email. Without it the identity
	// signs in only where it is tied to an account already.
	EmailVerified bool
	// Name is what the person is called; it may be empty.
	Name string
}

// Attempt is one sign-in with a provider. A cookie keeps it in the browser that
// began it.
type Attempt struct {
	// State must come back in the parameter "state" or "RelayState".
	State string
	// Nonce ties the provider's answer to the attempt, where the protocol has room for
	// it: the nonce of an ID token, the ID of a SAML request.
	Nonce string
	// Verifier is the code verifier of PKCE.
	Verifier string
	// CallbackURL is where the provider must send the browser, by GET, or by POST
	// with a form.
	CallbackURL string
}

// check compares the state of a callback.
func (a Attempt) check(callback *http.Request) error {
	state := callback.FormValue("state")
	if state == "" {
		state = callback.FormValue("RelayState")
	}
	if a.State == "" || !auth.Equal(state, a.State) {
		return ErrOtherAttempt
	}
	return nil
}

// providerName keeps out what separates the parts of the attempt's cookie and of
// paths.
var providerName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// AddProvider adds a way to sign in. Names must be unique.
func (s *Service) AddProvider(provider Provider) error {
	name := provider.Name()
	if !providerName.MatchString(name) {
		return fmt.Errorf("identity provider %q: a name has 1 to 64 letters, digits, dashes and underscores", name)
	}
	s.providersMutex.Lock()
	defer s.providersMutex.Unlock()
	if _, exists := s.providers[name]; exists {
		return fmt.Errorf("identity provider %q: the name is taken", name)
	}
	s.providers[name] = provider
	return nil
}

// Providers returns the ways to sign in besides a password, by name.
func (s *Service) Providers() []Provider {
	s.providersMutex.RLock()
	defer s.providersMutex.RUnlock()
	providers := make([]Provider, 0, len(s.providers))
	for _, provider := range s.providers {
		providers = append(providers, provider)
	}
	slices.SortFunc(providers, func(a, b Provider) int { return strings.Compare(a.Name(), b.Name()) })
	return providers
}

func (s *Service) provider(name string) (Provider, error) {
	s.providersMutex.RLock()
	defer s.providersMutex.RUnlock()
	provider, known := s.providers[name]
	if !known {
		return nil, fault.New(fault.NotFound, "there is no such sign-in service")
	}
	return provider, nil
}

func signUpOf(provider Provider) SignUp {
	if policy, decides := provider.(SignUpPolicy); decides {
		return policy.SignUp()
	}
	return InvitedOnly
}
