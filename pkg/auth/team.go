package auth

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
)

// errNotYours is the same for a team that does not exist, so that it does not tell which
// teams exist.
var errNotYours = fault.New(fault.Forbidden, "you are not a member of this team")

// inTeam chooses the team of a request: the one in its path, else that of X-Team-ID,
// else an API key's own or a user's first. An API key works on its own team only.
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
	teamID, role, err := a.store.membership(ctx, principal.UserID, wanted)
	switch {
	case errors.Is(err, db.ErrNoRow) && wanted != nil && principal.PlatformAdmin:
		return a.asOwner(ctx, principal, wanted)
	case errors.Is(err, db.ErrNoRow) && wanted == nil:
		return Principal{}, fault.New(fault.Forbidden, "you are not a member of any team")
	case errors.Is(err, db.ErrNoRow):
		return Principal{}, errNotYours
	case err != nil:
		return Principal{}, err
	}
	principal.TeamID, principal.Role = teamID, role
	return principal, nil
}

// asOwner gives an admin of the installation the role of an owner in a named team.
func (a *Authenticator) asOwner(ctx context.Context, principal Principal, wanted *uuid.UUID) (Principal, error) {
	if wanted == nil {
		return Principal{}, fault.New(fault.Invalid, "the header X-Team-ID is missing: it names the team to work on")
	}
	err := a.store.requireTeam(ctx, *wanted)
	if errors.Is(err, db.ErrNoRow) {
		return Principal{}, ErrNoTeam
	}
	if err != nil {
		return Principal{}, err
	}
	principal.TeamID, principal.Role = *wanted, Owner
	return principal, nil
}
