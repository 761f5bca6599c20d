package egress

import (
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

// fill is the same transform with values in the places of placeholders. It
// fails where one is missing, or does not make a header: a request that needs it
// must not be sent without.
func (t transform) fill(secrets *Secrets) (transform, error) {
	if !t.needsSecrets {
		return t, nil
	}
	if secrets == nil {
		return transform{}, ErrNoSecret
	}
	held := secrets.Get()
	filled := make(map[string]string, len(t.set))
	for name, text := range t.set {
		value, err := placeholder.Fill(text, held.lookup)
		if err != nil || !httpguts.ValidHeaderFieldValue(value) || len(name)+len(value) > maxHeaderLength {
			return transform{}, ErrNoSecret
		}
		filled[name] = value
	}
	return transform{set: filled, remove: t.remove}, nil
}
