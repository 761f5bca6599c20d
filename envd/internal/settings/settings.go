// Package settings holds the settings that the host sends to /init. Every service reads
// them; only /init writes them.
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

// DefaultUser runs commands of callers who name no user, until /init sets another.
const DefaultUser = "user"

// Settings is safe for use by many goroutines. Make one with New.
type Settings struct {
	mutex   sync.RWMutex
	secret  string // its digest; empty until the first /init
	env     map[string]string
	awaited chan struct{} // closed when forgotten variables are set again; nil unless forgotten
	user    string
	workdir string
}

// New returns settings as a template has them: no secret, no variables.
func New() *Settings { return &Settings{user: DefaultUser, env: map[string]string{}} }

// Update is the change of one /init; empty fields change nothing.
type Update struct {
	Secret string
	// Env replaces all variables; nil leaves them.
	Env     map[string]string
	User    string
	Workdir string
}

// Apply applies an update atomically.
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
	if s.awaited != nil {
		close(s.awaited)
		s.awaited = nil
	}
}

// ForgetEnv drops the variables until Apply sets them again. It is called before a
// snapshot from which other sandboxes are created.
func (s *Settings) ForgetEnv() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.env = map[string]string{}
	if s.awaited == nil {
		s.awaited = make(chan struct{})
	}
}

// Env returns the variables of every command, which the caller must not change. After
// ForgetEnv it waits until they are set again or the context ends.
func (s *Settings) Env(ctx context.Context) (map[string]string, error) {
	for {
		s.mutex.RLock()
		env, awaited := s.env, s.awaited
		s.mutex.RUnlock()
		if awaited == nil {
			return env, nil
		}
		select {
		case <-awaited:
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

// HasSecret reports whether an /init has set the host's secret.
func (s *Settings) HasSecret() bool {
	s.mutex.RLock()
	defer s.mutex.RUnlock()
	return s.secret != ""
}

// SecretIs compares with the host's secret in constant time. It is false while no secret is
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

// Caller finds the user that an RPC names in its headers.
func (s *Settings) Caller(header http.Header) (*permissions.User, error) {
	name, err := permissions.NameFromHeader(header)
	if err != nil {
		return nil, errors.Join(permissions.ErrUnknownUser, err)
	}
	return s.User(name)
}
