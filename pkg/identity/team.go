package identity

import (
	"context"
	"time"

	"github.com/google/uuid"

	"git.omukk.dev/wrenn/sandbox/pkg/auth"
	"git.omukk.dev/wrenn/sandbox/pkg/config"
	"git.omukk.dev/wrenn/sandbox/pkg/db"
	"git.omukk.dev/wrenn/sandbox/pkg/fault"
	"git.omukk.dev/wrenn/sandbox/pkg/sandbox"
	"git.omukk.dev/wrenn/sandbox/pkg/validate"
)

// mostTeams is how many teams a user may be in and still make another one.
const mostTeams = 50

// Team owns sandboxes, templates and all else that its members use together.
type Team struct {
	ID uuid.UUID
	// Slug is the team's ID, or for the first team of an installation its name there.
	Slug      string
	Name      string
	CreatedAt time.Time
	// Isolation is demanded of the hosts of its sandboxes; empty is any.
	Isolation sandbox.Isolation
}

// Membership is a team as one of its members sees it.
type Membership struct {
	Team     Team
	Role     auth.Role
	JoinedAt time.Time
}

// TeamFilter selects teams. The zero TeamFilter selects all.
type TeamFilter struct {
	Name string // the whole name
}

// EnsureTeam returns the team of a slug, which it makes where there is none.
func EnsureTeam(ctx context.Context, conn db.Conn, slug, name string) (Team, error) {
	return newStore(conn).ensureTeam(ctx, slug, name)
}

// Teams returns the teams of a user. The first is the one of requests that name none.
func (s *Service) Teams(ctx context.Context, userID uuid.UUID) ([]Membership, error) {
	return s.store.membershipsOf(ctx, userID)
}

// CreateTeam makes a team that a user owns.
func (s *Service) CreateTeam(ctx context.Context, userID uuid.UUID, name string) (Team, error) {
	name, err := validate.Name(name)
	if err != nil {
		return Team{}, err
	}
	var team Team
	err = s.inTransaction(ctx, func(tx *changes) error {
		if _, err := tx.lockUser(ctx, userID); err != nil {
			return err
		}
		teams, err := tx.membershipsOf(ctx, userID)
		if err != nil {
			return err
		}
		if len(teams) >= mostTeams {
			return fault.New(fault.Conflict, "you are in %d teams, which is the most", len(teams))
		}
		team, err = tx.newTeam(ctx, name, userID, s.config.NewTeamLimits)
		return err
	})
	return team, err
}

// newTeam makes a team that a user owns.
func (c *changes) newTeam(ctx context.Context, name string, owner uuid.UUID, limits config.TeamLimits) (Team, error) {
	team, err := c.createTeam(ctx, name)
	if err != nil {
		return Team{}, err
	}
	if limits != (config.TeamLimits{}) {
		if err := c.setTeamLimits(ctx, team.ID, limits); err != nil {
			return Team{}, err
		}
	}
	return team, c.addMember(ctx, team.ID, owner, auth.Owner)
}

// RotateTeamTokens revokes the tokens of all sandboxes and volumes of a team. Clients
// ask for the new ones.
func (s *Service) RotateTeamTokens(ctx context.Context, teamID uuid.UUID) error {
	return auth.RevokeTeamTokens(ctx, s.pool, teamID)
}
