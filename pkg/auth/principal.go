package auth

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// Principal is who makes a request.
type Principal struct {
	TeamID uuid.UUID
	KeyID  uuid.UUID
}

// touchEvery is how exact the time of a key's last use is.
const touchEvery = time.Minute

// Authenticator finds the principal behind a credential.
type Authenticator struct{ queries *db.Queries }

// NewAuthenticator makes an Authenticator.
func NewAuthenticator(queries *db.Queries) *Authenticator { return &Authenticator{queries: queries} }

// Key authenticates an API key. It asks the database each time, so that a
// revocation takes effect at once.
func (a *Authenticator) Key(ctx context.Context, key string) (Principal, error) {
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
	return Principal{TeamID: found.TeamID, KeyID: found.ID}, nil
}

type principalKey struct{}

// WithPrincipal puts the principal into a request's context.
func WithPrincipal(ctx context.Context, principal Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, principal)
}

// PrincipalOf returns the principal of a request that has passed authentication.
func PrincipalOf(ctx context.Context) Principal {
	principal, _ := ctx.Value(principalKey{}).(Principal)
	return principal
}
