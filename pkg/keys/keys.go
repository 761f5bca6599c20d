// Package keys has the credentials of programs: API keys, which act for a team, and
// access tokens, which act as a user.
package keys

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/events"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// most is how many API keys a team, and how many access tokens a user, may have.
const most = 200

// The errors that callers decide on.
var (
	ErrNoKey   = fault.New(fault.NotFound, "there is no such API key")
	ErrNoToken = fault.New(fault.NotFound, "there is no such access token")
)

// Service makes, lists and revokes keys and tokens.
type Service struct {
	pool  *pgxpool.Pool
	store store // by the pool
}

// New makes a Service.
func New(pool *pgxpool.Pool) *Service { return &Service{pool: pool, store: newStore(pool)} }

// RevokeOf revokes the API keys that a user made for a team, or for all teams where
// teamID is nil, and returns the events to be recorded at the end of the transaction.
func RevokeOf(ctx context.Context, tx db.Conn, userID uuid.UUID, teamID *uuid.UUID) ([]events.Draft, error) {
	return newStore(tx).revokeKeysOf(ctx, userID, teamID)
}

// RevokeBeyond is RevokeOf for the keys that a member made for a team and that a role
// may not make.
func RevokeBeyond(ctx context.Context, tx db.Conn, userID, teamID uuid.UUID, role auth.Role) ([]events.Draft, error) {
	return newStore(tx).revokeKeysBeyond(ctx, userID, teamID, role)
}

// DeleteTokensOf revokes the access tokens of a user.
func DeleteTokensOf(ctx context.Context, tx db.Conn, userID uuid.UUID) error {
	return newStore(tx).deleteTokensOf(ctx, userID)
}

// eventOf is the event of a change of an API key.
func eventOf(kind events.Type, teamID, keyID uuid.UUID, name string) events.Draft {
	return events.Draft{TeamID: teamID, Type: kind, ResourceID: keyID.String(), Data: map[string]string{"name": name}}
}

func inFuture(expires *time.Time) error {
	if expires != nil && !expires.After(time.Now()) {
		return fault.New(fault.Invalid, "expiresAt must be in the future")
	}
	return nil
}
