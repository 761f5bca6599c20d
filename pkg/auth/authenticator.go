package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Credentials are what a request brings to prove who makes it.
type Credentials struct {
	APIKey string
}

// touchEvery is how exact the time of a credential's last use is.
const touchEvery = time.Minute

// Authenticator finds the principal behind a credential. It asks the database
// each time, so that a revocation takes effect at once.
type Authenticator struct{ queries *db.Queries }

// NewAuthenticator makes an Authenticator.
func NewAuthenticator(queries *db.Queries) *Authenticator { return &Authenticator{queries: queries} }

// Authorize answers who makes a request, or a fault where the rule does not let
// them in.
func (a *Authenticator) Authorize(ctx context.Context, rule Rule, given Credentials) (Principal, error) {
	if rule.IsPublic() {
		return Principal{}, nil
	}
	principal, err := a.key(ctx, given.APIKey)
	if err != nil {
		return Principal{}, err
	}
	if !rule.Accepts(principal.Kind) {
		return Principal{}, fault.New(fault.Forbidden, "an API key is not enough here")
	}
	if rule.ForTeam() && !principal.May(rule.Permission()) {
		return Principal{}, fault.New(fault.Forbidden, "the permission %s is needed", rule.Permission())
	}
	return principal, nil
}

func (a *Authenticator) key(ctx context.Context, key string) (Principal, error) {
	if key == "" {
		return Principal{}, fault.New(fault.Unauthenticated, "an API key is needed in the header X-API-Key")
	}
	if !IsKey(key) {
		return Principal{}, fault.New(fault.Unauthenticated, "the API key is not valid")
	}
	found, err := a.queries.FindAPIKey(ctx, HashKey(key))
	if errors.Is(err, pgx.ErrNoRows) {
		return Principal{}, fault.New(fault.Unauthenticated, "the API key is not valid")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("find API key: %w", err)
	}
	if found.LastUsedAt == nil || time.Since(*found.LastUsedAt) > touchEvery {
		if err := a.queries.TouchAPIKey(ctx, found.ID); err != nil {
			return Principal{}, fmt.Errorf("note the use of an API key: %w", err)
		}
	}
	return Principal{Kind: ByKey, TeamID: found.TeamID, KeyID: found.ID}, nil
}
