package auth

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"git.omukk.dev/wrenn/sandbox/internal/rows"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// errNotYours is the same for a team that does not exist: nobody learns from it
// which do.
var errNotYours = fault.New(fault.Forbidden, "you are not a member of this team")

// inTeam chooses the team that a request works on: the one in its path, else the
// one of X-Team-ID, else an API key's own or a user's first. An API key works on no
// other team than its own, whatever names it.
func (a *Authenticator) inTeam(ctx context.Context, principal Principal, given Credentials) (Principal, error) {
	wanted, err := given.team()
	if err != nil {
		return Principal{}, err
	}
	switch principal.Kind {
	case ByKey:
		if !given.fits(principal.TeamID) {
			return Principal{}, fault.New(fault.Forbidden, "the API key is of another team")
		}
		return principal, nil
	case ByAdminToken:
		return a.asOwner(ctx, principal, wanted)
	default:
		return a.asMember(ctx, principal, wanted)
	}
}

func (a *Authenticator) asMember(ctx context.Context, principal Principal, wanted *uuid.UUID) (Principal, error) {
	found, err := a.Queries.FindMembership(ctx, rows.FindMembershipParams{UserID: principal.UserID, TeamID: wanted})
	switch {
	case errors.Is(err, pgx.ErrNoRows) && wanted != nil && principal.PlatformAdmin:
		return a.asOwner(ctx, principal, wanted)
	case errors.Is(err, pgx.ErrNoRows) && wanted == nil:
		return Principal{}, fault.New(fault.Forbidden, "you are not a member of any team")
	case errors.Is(err, pgx.ErrNoRows):
		return Principal{}, errNotYours
	case err != nil:
		return Principal{}, fmt.Errorf("find membership: %w", err)
	}
	principal.TeamID, principal.Role = found.TeamID, Role(found.Role)
	return principal, nil
}

// asOwner lets a platform admin work on a team that they name.
func (a *Authenticator) asOwner(ctx context.Context, principal Principal, wanted *uuid.UUID) (Principal, error) {
	if wanted == nil {
		return Principal{}, fault.New(fault.Invalid, "the header X-Team-ID is missing: it names the team to work on")
	}
	team, err := a.Queries.GetTeam(ctx, *wanted)
	if errors.Is(err, pgx.ErrNoRows) {
		return Principal{}, fault.New(fault.NotFound, "there is no such team")
	}
	if err != nil {
		return Principal{}, fmt.Errorf("find team: %w", err)
	}
	principal.TeamID, principal.Role = team.ID, Owner
	return principal, nil
}
