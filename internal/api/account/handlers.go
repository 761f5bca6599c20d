// Package account has the handlers of signing in, users, teams, members, invitations, API
// keys and access tokens.
package account

import (
	"context"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/internal/api/access"
	"git.omukk.dev/wrenn/sandbox/internal/api/respond"
	"git.omukk.dev/wrenn/sandbox/pkg/identity"
	"git.omukk.dev/wrenn/sandbox/pkg/keys"
)

// TeamDeletion deletes teams with their sandboxes, volumes and everything else.
type TeamDeletion interface {
	Delete(ctx context.Context, teamID uuid.UUID) error
}

// Handlers has what the handlers use.
type Handlers struct {
	Identity     *identity.Service
	Keys         *keys.Service
	TeamDeletion TeamDeletion
	// Access reads the credentials of requests, and their clients' addresses.
	Access *access.Control
	// FirstTeam is the slug of the team that the first admin owns.
	FirstTeam string
}

// Route registers the routes.
func (h *Handlers) Route(router respond.Router) {
	h.routeSignIn(router)
	h.routeMe(router)
	h.routeTeams(router)
	h.routeKeys(router)
	h.routeUsers(router)
}
