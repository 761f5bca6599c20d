package egress

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"

	"git.omukk.dev/wrenn/sandbox/pkg/placeholder"
)

// Secrets are the values of the placeholders in a policy's rules. They are held in memory
// only, and can be replaced while requests are carried: all values in a request are of
// one moment. The zero value has none.
type Secrets struct{ held atomic.Pointer[SecretValues] }

// SecretValues are secrets by name, in lower case.
type SecretValues struct {
	Values map[string]string
	// Revision is the control plane's name for these values; empty for none.
	Revision string
}

// Set replaces all values.
func (s *Secrets) Set(values SecretValues) { s.held.Store(&values) }

// Get returns the values, which must not be changed.
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

// filler has the values of a policy's placeholders; each part may be nil.
type filler struct {
	secrets *Secrets
	tokens  Tokens
}

// fill returns a transform with values in place of placeholders. It fails if a value is
// missing or not valid in a header: the request must not be sent without it.
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

// values has the values of one moment.
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
