// Package settings holds what the host tells envd by /init: every service
// reads it, only /init writes it.
package settings

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"sync"

	"git.omukk.dev/wrenn/sandbox/envd/internal/permissions"
	"git.omukk.dev/wrenn/sandbox/envd/internal/shared/keys"
)

// DefaultUser runs what names no user, until /init says otherwise.
const DefaultUser = "user"

// Settings is safe for use by many goroutines. Make one with New.
type Settings struct {
	mutex   sync.RWMutex
	secret  string // its digest; empty until the first /init
	env     map[string]string
	given   chan struct{} // closed when forgotten variables are given again; nil unless forgotten
	user    string
	workdir string
}

// New returns settings as a template has them: no secret, no variables.
func New() *Settings { return &Settings{user: DefaultUser, env: map[string]string{}} }

// Update is what one /init changes; empty fields change nothing.
type Update struct {
	Secret string
	// Env takes the place of all that was before; nil leaves it.
	Env     map[string]string
	User    string
	Workdir string
}

// Apply takes an update whole.
func (s *Settings) Apply(update Update) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if update.Secret != "" {
		s.secret = keys.Digest(update.Secret)
	}
	if update.User != "" {
		s.user = update.User
	}
	if update.Workdir != "" {
		s.workdir = update.Workdir
	}
	if update.Env == nil {
		return
	}
	s.env = maps.Clone(update.Env)
	if s.given != nil {
		close(s.given)
		s.given = nil
	}
}

// ForgetEnv drops the variables until the host gives them again: the memory is
// about to be written down for others.
func (s *Settings) ForgetEnv() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.env = map[string]string{}
	if s.given == nil {
		s.given = make(chan struct{})
	}
}

// Env returns the variables every command gets. The caller must not change it.
// While they are forgotten it waits for them, as long as ctx allows.
func (s *Settings) Env(ctx context.Context) (map[string]string, error) {
	for {
		s.mutex.RLock()
		env, given := s.env, s.given
		s.mutex.RUnlock()
		if given == nil {
			return env, nil
		}
		select {
		case <-given:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Workdir is where relative paths start; empty means the user's home.
func (s *Settings) Workdir() string {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	return s.workdir
}

// HasSecret says whether an /init has told what the host is known by.
func (s *Settings) HasSecret() bool {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	return s.secret != ""
}

// SecretIs compares in constant time. It is false for every text while no secret is
// set.
func (s *Settings) SecretIs(candidate string) bool {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	return s.secret != "" && keys.Matches(candidate, s.secret)
}

// User finds the user by name, or the default user when name is empty.
func (s *Settings) User(name string) (*permissions.User, error) {
	if name == "" {
		s.mutex.RLock()
		name = s.user
		s.mutex.RUnlock()
	}
	return permissions.Lookup(name)
}

// Caller finds the user whose name an RPC carries.
func (s *Settings) Caller(header http.Header) (*permissions.User, error) {
	name, err := permissions.NameFromHeader(header)
	if err != nil {
		return nil, errors.Join(permissions.ErrUnknownUser, err)
	}
	return s.User(name)
}
