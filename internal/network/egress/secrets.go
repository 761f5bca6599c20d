package egress

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

// Secrets are what the placeholders in a policy's rules stand for. They are held
// in memory only, and can be exchanged while requests are carried: each request
// sees those of one moment. The zero value has none.
type Secrets struct{ held atomic.Pointer[SecretValues] }

// SecretValues are secrets by name, in lower case.
type SecretValues struct {
	Values map[string]string
	// Revision is the word of whoever gave them for which they are; empty for none.
	Revision string
}

// Set puts others in the place of all that are held.
func (s *Secrets) Set(values SecretValues) { s.held.Store(&values) }

// Get returns what is held. Nobody changes it.
func (s *Secrets) Get() SecretValues {
	if held := s.held.Load(); held != nil {
		return *held
	}
	return SecretValues{}
}

func (v SecretValues) lookup(name string) (string, bool) {
	value, found := v.Values[name]
	return value, found
}

// Tokens makes an identity token, by its name, for one request.
type Tokens func(name string) (string, error)

// filler has what the placeholders of a policy stand for; each part may be nil.
type filler struct {
	secrets *Secrets
	tokens  Tokens
}

// fill is a transform with values in the places of placeholders. It fails where
// one is missing, or does not make a header: a request that needs it must not be
// sent without.
func (f filler) fill(t transform) (transform, error) {
	if !t.needsFilling {
		return t, nil
	}
	values := f.values()
	filled := make(map[string]string, len(t.set))
	for name, text := range t.set {
		value, err := placeholder.Fill(text, values)
		if errors.Is(err, ErrNoToken) {
			return transform{}, err
		}
		if err != nil || !httpguts.ValidHeaderFieldValue(value) || len(name)+len(value) > maxHeaderLength {
			return transform{}, ErrNoSecret
		}
		filled[name] = value
	}
	return transform{set: filled, remove: t.remove}, nil
}

// values are those of one moment.
func (f filler) values() placeholder.Values {
	values := placeholder.Values{Token: func(name string) (string, error) {
		if f.tokens == nil {
			return "", ErrNoToken
		}
		token, err := f.tokens(name)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrNoToken, err)
		}
		return token, nil
	}}
	if f.secrets != nil {
		values.Secret = f.secrets.Get().lookup
	}
	return values
}
