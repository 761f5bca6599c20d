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
	"git.omukk.dev/wrenn/sandbox/pkg/service/teams"
)

// TeamDeletion deletes teams with their sandboxes, volumes and everything else.
type TeamDeletion interface {
	Delete(ctx context.Context, teamID uuid.UUID) error
}

// TeamSettings lists teams and changes what they are.
type TeamSettings interface {
	List(ctx context.Context, after uuid.UUID, size int) (page []identity.Team, next uuid.UUID, err error)
	Change(ctx context.Context, teamID uuid.UUID, change teams.Change) (identity.Team, error)
}

// Handlers has what the handlers use.
type Handlers struct {
	Identity     *identity.Service
	Keys         *keys.Service
	TeamDeletion TeamDeletion
	TeamSettings TeamSettings
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
